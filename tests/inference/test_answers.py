import numpy as np
import pytest

from shipseg_tiles.errors import NetError
from shipseg_tiles.inference.answers import checked_probabilities


def test_probabilities_pass_as_float32():
    """Arithmetic of 8 bits may leave 0 to 1 by a thousandth."""
    answers = np.array([[0.0, 1.0], [-0.0009, 1.0009]])

    passed = checked_probabilities(answers)

    assert passed.dtype == np.float32
    assert np.array_equal(passed, answers.astype(np.float32))


@pytest.mark.parametrize("wrong", [-0.002, 1.002, np.nan, np.inf])
def test_one_answer_that_is_no_probability_is_enough(wrong):
    answers = np.full((2, 8, 8, 1), 0.5)
    answers[1, 3, 4] = wrong

    with pytest.raises(NetError, match=r"the net answers .* but probabilities are from 0 to 1"):
        checked_probabilities(answers)
