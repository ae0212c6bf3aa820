import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shipseg_tiles.errors import InputError
from shipseg_tiles.training.callbacks import Journal, KeepBest, Replay, StopOnNaN, draw_curves

PATIENCE = 6
PLATEAU = 2


def tiny_model(weight=0.0):
    pixels = keras.Input((1,))
    model = keras.Model(pixels, keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(weight))(pixels))
    model.compile(keras.optimizers.Adam(1.0), "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def trained(model, scores, past):
    """Go through the epochs of a training as Keras does, behind those of `past`, until it stops itself.

    Returns:
        The logs of all epochs; the learning rate among them is the one after the epoch.
    """
    counting = [
        keras.callbacks.EarlyStopping("score", mode="max", patience=PATIENCE),
        keras.callbacks.ReduceLROnPlateau("score", mode="max", patience=PLATEAU, factor=0.5, min_delta=0),
    ]
    callbacks = keras.callbacks.CallbackList([*counting, Replay(past, counting)], model=model)
    model.stop_training = False
    callbacks.on_train_begin()
    history = list(past)
    for epoch in range(len(past), len(scores)):
        logs = {"score": scores[epoch]}
        callbacks.on_epoch_end(epoch, logs)
        history.append(logs | {"rate after": float(model.optimizer.learning_rate)})
        if model.stop_training:
            break
    return history


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=2, max_size=25), st.data())
def test_patience_and_learning_rate_go_on_where_a_break_left_them(model, scores, data):
    model.optimizer.learning_rate = 1.0
    whole = trained(model, scores, [])

    break_after = data.draw(st.integers(1, len(whole)))
    model.optimizer.learning_rate = 1.0
    first = trained(model, scores[:break_after], [])
    # What a checkpoint brings back is the rate after the last epoch, which the model still has.
    both = trained(model, scores[: len(whole)], first)

    assert [logs["rate after"] for logs in both] == [logs["rate after"] for logs in whole]
    assert len(both) == len(whole)


def test_a_standstill_by_hand(model):
    """Best in epoch 1. The plateau of 2 epochs is full after epoch 3, 5 and 7; the patience of 6 after epoch 7."""
    scores = [0.5, 0.4, 0.5, 0.3, 0.5, 0.5, 0.1, 0.9]
    model.optimizer.learning_rate = 1.0
    first = trained(model, scores[:4], [])

    history = trained(model, scores, first)

    assert [logs["rate after"] for logs in history] == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]


@pytest.mark.parametrize(
    ("sign", "values", "saved"),
    [
        (1, [0.2, 0.1, 0.5, 0.5, 0.4, 0.6], [0, 2, 5]),
        (-1, [0.2, 0.1, 0.5, 0.1, 0.4, 0.05], [0, 1, 5]),
        (1, [0.0, 0.0], [0]),
        (1, [-3.0, -2.0], [0, 1]),
    ],
)
def test_only_epochs_better_than_ever_before_are_saved(sign, values, saved):
    epochs = []
    best = KeepBest("score", sign, [], epochs.append)

    for epoch, value in enumerate(values):
        best.on_epoch_end(epoch, {"score": value})

    assert epochs == saved


@pytest.mark.parametrize(("sign", "saved"), [(1, [5]), (-1, [4, 6])])
def test_after_a_break_the_best_of_the_past_must_be_beaten(sign, saved):
    """In the past 0.3, 0.6 and 0.4; then 0.5, 0.2, 0.7, 0.1: above 0.6 is only the third, below 0.3 the second and,
    below that one's 0.2, the fourth."""
    past = [{"score": 0.3}, {"score": 0.6}, {"score": 0.4}]
    epochs = []
    best = KeepBest("score", sign, past, epochs.append)

    for epoch, value in enumerate([0.5, 0.2, 0.7, 0.1], start=3):
        best.on_epoch_end(epoch, {"score": value})

    assert epochs == saved


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The journal of two epochs of a model of weight 3, whose learning rate came down to 1/8."""
    model = tiny_model(weight=3.0)
    model.optimizer.learning_rate = 0.125
    journal = Journal(tmp_path_factory.mktemp("journal") / "net.training", {"width": 2, "seed": 0, "store": "abc"})
    journal.set_model(model)
    for epoch in range(2):
        journal.on_epoch_end(epoch, {"loss": 1 / (epoch + 1), "val_true_dice": 0.25, "learning_rate": np.float32(0.5)})
    return journal


@pytest.fixture
def spoiled(written, tmp_path):
    """A copy of it that a test may spoil."""
    shutil.copytree(written.folder, tmp_path, dirs_exist_ok=True)
    return Journal(tmp_path, written.options)


def test_a_journal_holds_all_that_there_is_to_look_at(written):
    table = pd.read_csv(written.folder / "history.csv")
    assert table.columns.tolist() == ["epoch", "loss", "val_true_dice", "learning_rate"]
    assert table["epoch"].tolist() == [1, 2]
    assert table["loss"].tolist() == [1, 0.5]
    assert Image.open(written.folder / "curves.png").width > 1000
    assert sorted(path.name for path in written.folder.iterdir()) == [
        "checkpoint.weights.h5",
        "curves.png",
        "history.csv",
        "state.json",
    ]


def test_a_journal_brings_back_weights_rate_and_history(written):
    model, journal = tiny_model(), Journal(written.folder, written.options)

    journal.take_up(model)

    assert model.get_weights()[0].item() == 3
    assert float(model.optimizer.learning_rate) == 0.125
    assert [logs["loss"] for logs in journal.history] == [1, 0.5]


def test_a_journal_of_other_options_is_refused_by_their_names(written, model):
    with pytest.raises(InputError, match=r"begun with another width, store; resume with the same"):
        Journal(written.folder, {"width": 4, "seed": 0, "store": "abd"}).take_up(model)


def test_where_there_is_no_journal_there_is_nothing_to_resume(tmp_path, model):
    with pytest.raises(InputError, match=r"state\.json does not exist; there is nothing to resume"):
        Journal(tmp_path, {}).take_up(model)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"options": {}}', '{"options": 1, "history": []}'])
def test_a_damaged_journal_is_refused(spoiled, model, text):
    (spoiled.folder / "state.json").write_text(text)

    with pytest.raises(InputError, match=r"state\.json is damaged"):
        spoiled.take_up(model)


def test_a_damaged_or_missing_checkpoint_is_refused(spoiled, model):
    checkpoint = spoiled.folder / "checkpoint.weights.h5"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(InputError, match="missing or damaged"):
        spoiled.take_up(model)

    checkpoint.unlink()
    with pytest.raises(InputError, match="missing or damaged"):
        spoiled.take_up(model)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_training_with_a_remedy(loss):
    stop = StopOnNaN()
    stop.on_epoch_begin(1)
    stop.on_train_batch_end(6, {"loss": 0.5})

    with pytest.raises(InputError, match=f"the loss is {loss} at step 8 of epoch 2; train again with a lower learning"):
        stop.on_train_batch_end(7, {"loss": loss})


def test_curves_are_drawn_where_scores_are_missing(tmp_path):
    table = {
        "epoch": [1, 2],
        "loss": [0.5, 0.4],
        "patch_dice": [0.1, 0.2],
        "val_f2": [np.nan, 0.4],
        "learning_rate": [1e-3, 1e-3],
    }

    draw_curves(pd.DataFrame(table), tmp_path / "curves.png")

    assert np.array(Image.open(tmp_path / "curves.png").convert("L")).min() < 100
