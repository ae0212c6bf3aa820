import keras
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.training.precision import precision


@pytest.mark.parametrize("name", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_layers_are_built_at_a_precision_and_later_ones_are_not(name):
    with precision(name):
        inside = keras.layers.Dense(1)

    assert inside.dtype_policy.name == name
    assert keras.layers.Dense(1).dtype_policy.name == "float32"


def test_the_machine_knows_which_one_is_fastest():
    with precision("auto"):
        inside = keras.layers.Dense(1)

    assert inside.dtype_policy.name in ("float32", "mixed_bfloat16")


def test_an_error_inside_leaves_no_trace():
    with pytest.raises(ZeroDivisionError), precision("mixed_bfloat16"):
        raise ZeroDivisionError

    assert keras.config.dtype_policy().name == "float32"


def test_the_precision_before_comes_back():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with precision("float32"):
            pass
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_precision_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="there is no precision 'float8'; choose one of float32, mixed_bfloat16"):
        precision("float8").__enter__()
