import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shipseg_tiles.errors import InputError
from shipseg_tiles.training import journal as journal_module
from shipseg_tiles.training.journal import Journal, draw_curves


def tiny_model(weight=0.0, units=1):
    pixels, initializer = keras.Input((1,)), keras.initializers.Constant(weight)
    model = keras.Model(pixels, keras.layers.Dense(units, kernel_initializer=initializer)(pixels))
    model.compile(keras.optimizers.Adam(1.0), "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The journal of two epochs of a model of weight 3, whose learning rate came down to 1/8."""
    model = tiny_model(weight=3.0)
    model.optimizer.learning_rate = 0.125
    journal = Journal(tmp_path_factory.mktemp("journal") / "net.training", {"width": 2, "seed": 0, "store": "abc"})
    journal.set_model(model)
    for epoch in range(2):
        journal.on_epoch_end(epoch, {"loss": 1 / (epoch + 1), "val_true_dice": 0.25, "learning_rate": np.float32(0.5)})
    journal.close()
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
        "checkpoint-2.weights.h5",
        "curves.png",
        "history.csv",
        "state.json",
    ]


def test_a_journal_brings_back_weights_rate_and_history(written):
    model, journal = tiny_model(), Journal(written.folder, written.options)

    journal.take_up()
    journal.load(model)

    assert model.get_weights()[0].item() == 3
    assert float(model.optimizer.learning_rate) == 0.125
    assert [logs["loss"] for logs in journal.history] == [1, 0.5]
    assert journal.scores("loss", -1) == [-1, -0.5]


def test_a_full_disk_is_told_before_hdf5_meets_it_and_the_epoch_before_stays(spoiled, monkeypatch):
    """A megabyte is wanted beside the checkpoint, which has 2,000 weights and two moments of each, 4 bytes or more."""
    spoiled.take_up()
    spoiled.set_model(tiny_model(units=1000))
    usage = shutil.disk_usage(spoiled.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=2**20 + 4 * 6000))

    with pytest.raises(OSError, match=r"No space left on device: .*checkpoint-3\.weights\.h5'$"):
        spoiled.on_epoch_end(2, {"loss": 0.1, "val_true_dice": 0.25, "learning_rate": 0.5})

    assert [path.name for path in spoiled.folder.glob("checkpoint-*")] == ["checkpoint-2.weights.h5"]


def test_time_goes_on_where_a_break_left_it(spoiled):
    """An hour was used before the break."""
    state = json.loads((spoiled.folder / "state.json").read_text())
    (spoiled.folder / "state.json").write_text(json.dumps(state | {"seconds": 3600.0}))

    spoiled.take_up()

    assert 3600 <= spoiled.seconds < 3660


def test_the_checkpoint_is_that_of_the_state_whenever_a_run_is_killed(spoiled):
    """A third epoch's checkpoint is written, its state is not: the training goes on after the second epoch."""
    (spoiled.folder / "checkpoint-3.weights.h5").write_bytes(b"of weights that no state speaks of")
    model = tiny_model()

    spoiled.take_up()
    spoiled.load(model)

    assert len(spoiled.history) == 2
    assert model.get_weights()[0].item() == 3


def test_a_new_journal_forgets_the_one_before(spoiled):
    """TensorBoard would draw the events of both as one training."""
    (spoiled.folder / "tensorboard" / "train").mkdir(parents=True)
    (spoiled.folder / "tensorboard" / "train" / "events").touch()

    spoiled.begin()

    assert list(spoiled.folder.iterdir()) == []


def test_options_are_compared_as_they_are_written(tmp_path):
    """Tuples become lists in a file."""
    journal = Journal(tmp_path, {"stages": ("decoder:1:1e-3",)})
    journal.set_model(tiny_model())
    journal.on_epoch_end(0, {"loss": 1.0})

    Journal(tmp_path, {"stages": ("decoder:1:1e-3",)}).take_up()
    with pytest.raises(InputError, match="begun with another stages"):
        Journal(tmp_path, {"stages": ()}).take_up()


def test_a_journal_of_other_options_is_refused_by_their_names(written):
    with pytest.raises(InputError, match=r"begun with another width, store; resume with the same"):
        Journal(written.folder, {"width": 4, "seed": 0, "store": "abd"}).take_up()


def test_where_there_is_no_journal_there_is_nothing_to_resume(tmp_path):
    with pytest.raises(InputError, match=r"state\.json does not exist; there is nothing to resume"):
        Journal(tmp_path, {}).take_up()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"options": {}}', '{"options": 1, "history": []}', '{"options": {}, "history": []}']
)
def test_a_damaged_journal_is_refused(spoiled, text):
    (spoiled.folder / "state.json").write_text(text)

    with pytest.raises(InputError, match=r"state\.json is damaged"):
        spoiled.take_up()


def test_a_damaged_or_missing_checkpoint_is_refused(spoiled):
    spoiled.take_up()
    checkpoint = spoiled.folder / "checkpoint-2.weights.h5"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    with pytest.raises(InputError, match="missing or damaged"):
        spoiled.load(tiny_model())

    checkpoint.unlink()
    with pytest.raises(InputError, match="missing or damaged"):
        spoiled.load(tiny_model())


def test_curves_are_drawn_seldom_and_at_the_end(tmp_path, monkeypatch):
    """Three epochs come within ten seconds; only the second is drawn, as if they were over, and all when it ends."""
    journal, curves = Journal(tmp_path, {}), tmp_path / "curves.png"
    journal.set_model(tiny_model())
    logs = {"loss": 0.5, "learning_rate": 0.1}

    journal.on_epoch_end(0, logs)
    assert not curves.exists()
    monkeypatch.setattr(journal_module, "CURVES_EVERY", 0.0)
    journal.on_epoch_end(1, logs)
    first = curves.read_bytes()
    monkeypatch.undo()
    journal.on_epoch_end(2, logs)
    before = curves.read_bytes()
    journal.close()

    assert first == before != curves.read_bytes()


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


def test_curves_are_drawn_of_a_column_that_there_is_not(tmp_path):
    """A net without validation has no dice."""
    draw_curves(pd.DataFrame({"epoch": [1], "loss": [0.5], "learning_rate": [0.1]}), tmp_path / "curves.png")

    assert (tmp_path / "curves.png").is_file()
