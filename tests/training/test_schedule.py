import keras
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.errors import InputError
from shipseg_tiles.training.schedule import Schedule, Stage


def schedule(name="constant", epochs=10, warm_up=0.0, patience=6, before=()):
    return Schedule((*before, Stage("all", epochs, 1.0)), name, warm_up, patience)


def kept_by_keras(scores, patience):
    """Go through epochs as Keras does.

    Returns:
        The learning rate after each of them, and how many there were before Keras stopped.
    """
    pixels = keras.Input((1,))
    model = keras.Model(pixels, keras.layers.Dense(1)(pixels))
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    counting = [
        keras.callbacks.EarlyStopping("score", mode="max", patience=patience),
        keras.callbacks.ReduceLROnPlateau(
            "score", mode="max", patience=max(1, patience // 3), factor=0.5, min_delta=0, min_lr=0
        ),
    ]
    callbacks = keras.callbacks.CallbackList(counting, model=model)
    model.stop_training = False
    callbacks.on_train_begin()
    rates = []
    for epoch, score in enumerate(scores):
        callbacks.on_epoch_end(epoch, {"score": score})
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    return rates, len(rates)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=25), st.sampled_from([1, 3, 6, 7]))
def test_plateau_and_patience_are_those_of_keras(scores, patience):
    rates, epochs = kept_by_keras(scores, patience)
    plan = schedule("plateau", epochs=100, patience=patience)

    assert [plan.rate(number + 1, scores[: number + 1]) for number in range(epochs)] == rates
    stops = [number for number in range(1, len(scores) + 1) if plan.is_over(scores[:number])]
    assert (stops or [len(scores)])[0] == epochs


def test_a_standstill_by_hand():
    """Best in epoch 1. The plateau of 2 epochs is full after epoch 3, 5 and 7; the patience of 6 after epoch 7."""
    scores = [0.5, 0.4, 0.5, 0.3, 0.5, 0.5, 0.1]
    plan = schedule("plateau")

    assert [plan.rate(n, scores[:n]) for n in range(8)] == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert [plan.is_over(scores[:n]) for n in range(8)] == [False] * 7 + [True]


def test_a_cosine_is_half_way_down_in_the_middle_and_0_at_the_end():
    plan = schedule("cosine", epochs=4)

    assert [plan.rate(epoch, []) for epoch in (0, 1, 2, 4)] == pytest.approx([1, (1 + 0.5**0.5) / 2, 0.5, 0])


def test_steps_fall_to_a_tenth_twice():
    plan = schedule("step", epochs=100)

    assert [plan.rate(epoch, []) for epoch in (0, 59.9, 60, 84.9, 85, 100)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )


def test_time_counts_if_more_of_it_is_used_than_of_the_epochs():
    plan = schedule("cosine", epochs=4)

    assert plan.rate(1, [], used=0.5) == pytest.approx(0.5)
    assert plan.rate(3, [], used=0.5) == plan.rate(3, [])
    assert plan.rate(1, [], used=1.5) == pytest.approx(0)


def test_it_warms_up_from_0():
    plan = schedule(warm_up=2.0)

    assert [plan.rate(epoch, []) for epoch in (0, 0.5, 2, 3)] == [0, 0.25, 1, 1]


def test_stages_come_one_after_the_other_and_the_last_one_has_the_schedule():
    """One epoch and two; then four in which the cosine begins anew."""
    first, second = Stage("decoder", 1, 0.5), Stage("decoder+1", 2, 0.25)
    plan = schedule("cosine", epochs=4, before=(first, second), warm_up=0.5)

    assert [plan.stage(epoch) for epoch in (0, 0.9, 1, 2.9)] == [first, first, second, second]
    assert [plan.stage(epoch).layers for epoch in (3, 6.9, 7, 20)] == ["all"] * 4
    assert [plan.rate(epoch, []) for epoch in (0, 1, 2.5, 3, 5, 7)] == pytest.approx([0.5, 0.25, 0.25, 0, 0.5, 0])
    assert [plan.stage_ends(epoch) for epoch in range(7)] == [1, 3, 3, 7, 7, 7, 7]
    assert plan.epochs == 7


def test_only_the_scores_of_the_last_stage_count():
    """The score fell when the encoder began to learn; that is no standstill yet."""
    plan = schedule("plateau", patience=3, before=(Stage("decoder", 3, 1.0),))

    assert not plan.is_over([0.9, 0.8, 0.7, 0.1, 0.2, 0.3])
    assert plan.rate(6, [0.9, 0.8, 0.7, 0.1, 0.2, 0.3]) == 1
    assert plan.is_over([0.9, 0.8, 0.7, 0.4, 0.2, 0.3, 0.3])


@pytest.mark.parametrize("text", ["decoder", "decoder:1", "decoder:one:1e-3", "decoder:1:1e-3:2"])
def test_a_stage_that_is_none_is_refused(text):
    with pytest.raises(InputError, match=f"stage '{text}' must be LAYERS:EPOCHS:RATE, such as decoder:1:1e-3"):
        Stage.parse(text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Stage("all", 0, 1.0), "epochs 0 must be above 0"),
        (lambda: Stage("all", 1, float("nan")), "learning rate nan must be above 0"),
        (lambda: schedule("cosign"), "there is no schedule 'cosign'; choose one of plateau, cosine, step, constant"),
        (lambda: schedule(warm_up=-1.0), "warm up -1.0 must be 0 or more"),
        (lambda: schedule(patience=0), "patience 0 must be above 0"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_stage_is_read_from_text():
    assert Stage.parse("decoder+2:3:1e-4") == Stage("decoder+2", 3, 1e-4)
