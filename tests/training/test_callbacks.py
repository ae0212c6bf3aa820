import signal
from contextlib import closing, suppress

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.training.callbacks import JudgeEpoch, Pace, StopOnInterrupt, StopOnNaN
from shipseg_tiles.training.journal import Journal
from shipseg_tiles.training.schedule import Schedule, Stage

USAGE = Contract("", "line", 32, 0.5, 1, 32, 0.0, 1, None)


class Line(keras.Model):
    """A net that answers its input times a weight, and holds itself as `net` as a net in training does."""

    def __init__(self):
        super().__init__()
        self.net = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])

    def call(self, inputs, training=False):
        return self.net(inputs)

    @property
    def weight(self):
        return self.net.get_weights()[0].item()


def line(**optimizer):
    model = Line()
    model.compile(keras.optimizers.SGD(0.1, **optimizer), "mse", jit_compile=False)
    model.build((None, 1))
    model.optimizer.build(model.trainable_variables)
    model.net.set_weights([np.zeros((1, 1))])
    return model


class Weighing:
    """Judges by the weight that it finds in the net, and puts it into the contract."""

    monitor, sign = "weight", 1

    def judge(self, net, usage):
        weight = net.get_weights()[0].item()
        return {"weight": weight}, usage

    def score(self, weights, contract):
        return {}


class Told(Weighing):
    """Judges as it is told, epoch by epoch."""

    monitor = "score"

    def __init__(self, scores, sign=1):
        self.scores = iter(scores)
        self.sign = sign

    def judge(self, net, usage):
        return {"score": next(self.scores)}, usage


def saved_epochs(folder, judge, epochs, past=(), keep="best"):
    """Judge epochs that follow those of the past, and return the numbers of those that are saved."""
    saved = []
    journal = Journal(folder, {})
    journal.history = list(past)
    judging = JudgeEpoch(judge, USAGE, False, journal, lambda epoch, contract: saved.append(epoch), keep)
    for callback in (judging, journal):
        callback.set_model(line())
    for epoch in range(len(past), len(past) + epochs):
        logs = {}
        judging.on_epoch_end(epoch, logs)
        journal.on_epoch_end(epoch, logs)
    return saved


@pytest.mark.parametrize(
    ("sign", "values", "saved"),
    [
        (1, [0.2, 0.1, 0.5, 0.5, 0.4, 0.6], [0, 2, 5]),
        (-1, [0.2, 0.1, 0.5, 0.1, 0.4, 0.05], [0, 1, 5]),
        (1, [0.0, 0.0], [0]),
        (1, [-3.0, -2.0], [0, 1]),
    ],
)
def test_only_epochs_better_than_ever_before_are_saved(tmp_path, sign, values, saved):
    assert saved_epochs(tmp_path, Told(values, sign), len(values)) == saved


def test_every_epoch_is_saved_where_the_last_one_is_to_stay(tmp_path):
    assert saved_epochs(tmp_path, Told([0.5, 0.2, 0.4]), 3, keep="last") == [0, 1, 2]


@pytest.mark.parametrize(("sign", "saved"), [(1, [5]), (-1, [4, 6])])
def test_after_a_break_the_best_of_the_past_must_be_beaten(tmp_path, sign, saved):
    """In the past 0.3, 0.6 and 0.4; then 0.5, 0.2, 0.7, 0.1: above 0.6 is only the third, below 0.3 the second and,
    below that one's 0.2, the fourth."""
    past = [{"score": score} for score in (0.3, 0.6, 0.4)]

    assert saved_epochs(tmp_path, Told([0.5, 0.2, 0.7, 0.1], sign), 4, past) == saved


def test_the_moving_average_is_judged_and_training_goes_on_from_the_weights(tmp_path):
    """Each step of the mean square error to 1 at a rate of 0.1 takes the weight a fifth of the way: 0.2, then 0.36, and
    0.488 and 0.5904 in the next epoch.

    The average begins with the first weight and keeps half of itself: 0.2, then 0.28, and 0.384 and 0.4872. Validation
    sees the average too: its error is (1 - 0.28) squared.
    """
    model = line(use_ema=True, ema_momentum=0.5)
    judging = JudgeEpoch(
        Weighing(), USAGE, True, Journal(tmp_path, {}), lambda epoch, contract: saved.append(model.weight)
    )
    saved = []
    one = np.ones((1, 1))

    data = {"x": np.ones((2, 1)), "y": np.ones((2, 1)), "validation_data": (one, one)}
    history = model.fit(**data, epochs=2, batch_size=1, callbacks=[judging], verbose=0).history

    assert history["weight"] == saved == [pytest.approx(0.28), pytest.approx(0.4872)]
    assert history["val_loss"] == [pytest.approx(0.72**2), pytest.approx(0.5128**2)]
    assert history["learning_rate"] == [pytest.approx(0.1)] * 2


def paced(tmp_path, scores, **options):
    """Fit under a schedule, one epoch of two batches at a time; return the rates of all batches and the epochs."""
    rates = []
    model = line()
    schedule = Schedule((Stage("all", 4, 1.0),), options.get("name", "cosine"), 0.0, options.get("patience", 9))
    judge = Told(scores)
    journal = Journal(tmp_path, {})
    judging = JudgeEpoch(judge, USAGE, False, journal, lambda epoch, contract: None)
    pace = Pace(schedule, journal, judge, options.get("minutes", 0.0))
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: rates.append(float(model.optimizer.learning_rate))
    )
    callbacks = [judging, journal, note, pace]
    model.fit(np.ones((2, 1)), np.ones((2, 1)), batch_size=1, epochs=4, callbacks=callbacks, verbose=0)
    return rates, len(journal.history)


def test_the_rate_is_set_before_each_batch(tmp_path):
    """Half a cosine in 8 steps."""
    rates, _ = paced(tmp_path, [0, 0, 0, 0])

    assert rates == pytest.approx([(1 + np.cos(np.pi * step / 8)) / 2 for step in range(8)])


def rates_of(folder, *fits):
    """Drive the rates of half a cosine over 20 epochs of 300 batches through fits, each from an epoch to another."""
    schedule, model, rates = Schedule((Stage("all", 20, 1e-3),), "cosine", 0.0, 9), line(), []
    for begin, end in fits:
        pace = Pace(schedule, Journal(folder, {}), Told([]), 0.0)
        pace.set_model(model)
        pace.set_params({"steps": 300})
        pace.on_train_begin()
        for epoch in range(begin, end):
            pace.on_epoch_begin(epoch)
            for batch in range(300):
                pace.on_train_batch_begin(batch)
                rates.append(pace.rate)
    return rates


def test_rates_after_a_break_are_those_without(tmp_path):
    """A rate is set anew once it has changed by a hundredth, wherever a fit begins."""
    assert rates_of(tmp_path, (0, 7), (7, 20)) == rates_of(tmp_path, (0, 20))


def test_a_training_that_stands_still_ends(tmp_path):
    assert paced(tmp_path, [0.5, 0.4, 0.3], patience=2)[1] == 3


def test_a_training_that_is_out_of_time_ends_in_the_middle_of_an_epoch(tmp_path):
    """The epoch is judged and written down all the same."""
    rates, epochs = paced(tmp_path, [0.5], minutes=1e-9)

    assert (len(rates), epochs) == (1, 1)
    assert rates == pytest.approx([0], abs=1e-6)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_training_with_a_remedy(loss):
    stop = StopOnNaN()
    stop.on_epoch_begin(1)
    stop.on_train_batch_end(6, {"loss": 0.5})

    with pytest.raises(InputError, match=f"the loss is {loss} at step 8 of epoch 2; train again with a lower learning"):
        stop.on_train_batch_end(7, {"loss": loss})


def test_a_validation_loss_that_is_no_number_stops_the_training_as_well():
    """Such as when the last step of an epoch spoils the weights, of which only validation knows yet."""
    stop = StopOnNaN()
    stop.on_epoch_begin(1)
    stop.on_epoch_end(1, {"loss": 0.5})
    stop.on_epoch_end(1, {"loss": 0.5, "val_loss": 0.5})

    with pytest.raises(InputError, match="the loss of the validation patches is nan after epoch 2; train again with a"):
        stop.on_epoch_end(1, {"loss": 0.5, "val_loss": float("nan")})


def test_an_interrupt_that_was_swallowed_ends_the_training_with_the_next_batch():
    """Compiled code that calls Python may print the exception and go on."""
    before = signal.getsignal(signal.SIGINT)
    with closing(StopOnInterrupt()) as interrupt:
        interrupt.on_train_batch_end(0)
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            interrupt.on_train_batch_end(1)
    assert signal.getsignal(signal.SIGINT) is before
