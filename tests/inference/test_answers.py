import threading
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import NetError
from shipseg_tiles.inference.answers import ask, checked_probabilities


def test_probabilities_pass_as_float32_of_0_to_1():
    """Arithmetic of 8 bits may leave it by a thousandth."""
    answers = np.array([[0.0, 0.3], [-0.0009, 1.0009]])

    passed = checked_probabilities(answers)

    assert passed.dtype == np.float32
    assert np.array_equal(passed, np.array([[0, 0.3], [0, 1]], dtype=np.float32))


@pytest.mark.parametrize("wrong", [-0.002, 1.002, np.nan, np.inf])
def test_one_answer_that_is_no_probability_is_enough(wrong):
    answers = np.full((2, 8, 8, 1), 0.5)
    answers[1, 3, 4] = wrong

    with pytest.raises(NetError, match=r"the net answers .* but probabilities are from 0 to 1"):
        checked_probabilities(answers)


class Crowd:
    """A net that notes how many threads ask it at the same time."""

    def __init__(self):
        self.inside = self.most = 0
        self.lock = threading.Lock()

    def predict_on_batch(self, images):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.05)
        with self.lock:
            self.inside -= 1
        return images / 255


@pytest.mark.parametrize(("backend", "most"), [("tensorflow", 4), ("torch", 4), ("jax", 1)])
def test_threads_ask_at_the_same_time_but_under_jax(backend, most, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    net, images = Crowd(), np.full((1, 8, 8, 3), 255, dtype=np.uint8)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: ask(net, images), range(4)))

    assert net.most == most
    assert all((answer == 1).all() for answer in answers)
