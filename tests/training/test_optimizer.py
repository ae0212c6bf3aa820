import keras
import numpy as np
import pytest

from shipseg_tiles.training.optimizer import build_optimizer


def line(weight_decay=0.0, moving_average=0.0, rate=0.1):
    """One weight and one bias, both 1; the loss falls by what they grow."""
    pixels = keras.Input((1,))
    model = keras.Model(
        pixels, keras.layers.Dense(1, kernel_initializer="ones", bias_initializer="ones")(pixels), name="line"
    )
    loss = lambda truth, answer: -keras.ops.mean(answer)  # noqa: E731
    model.compile(build_optimizer(rate, weight_decay, moving_average), loss, jit_compile=False)
    return model


def step(model, times=1):
    for _ in range(times):
        model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
    return [weight.item() for weight in model.get_weights()]


def test_weights_shrink_and_biases_do_not():
    """Each step of Adam goes up by the rate of 0.1; before it, decay takes 0.1 x 0.5 of the weight."""
    assert step(line(weight_decay=0.5)) == pytest.approx([1 - 0.05 + 0.1, 1.1], abs=1e-4)


def test_the_average_keeps_less_of_itself_at_first():
    """The weight is 1.1, 1.2 and 1.3 after three steps. The average begins with the first; it keeps 2/11 of itself at
    the second step and 3/12 at the third, which is less than the half that it may keep."""
    model = line(moving_average=0.5)
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(model)
    expected = 1.1
    for number, weight in ((1, 1.2), (2, 1.3)):
        share = (1 + number) / (10 + number)
        expected = share * expected + (1 - share) * weight

    step(model, 3)
    swap.on_test_begin()

    assert model.get_weights()[0].item() == pytest.approx(expected, abs=1e-4)


def test_it_keeps_at_most_what_was_asked_for():
    """With 0.1 the average of many steps lags 0.1 / 0.9 of a step behind the weight."""
    model = line(moving_average=0.1)
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(model)

    weight, _ = step(model, 30)
    swap.on_test_begin()

    assert weight - model.get_weights()[0].item() == pytest.approx(0.1 * 0.1 / 0.9, abs=1e-3)


def test_the_weights_stay_when_a_fit_ends():
    """Two fits of one step are one of two steps."""
    ones = np.ones((1, 1))
    model = line(moving_average=0.9)
    for _ in range(2):
        model.fit(ones, ones, verbose=0)

    assert model.get_weights()[0].item() == pytest.approx(1.2, abs=1e-4)
