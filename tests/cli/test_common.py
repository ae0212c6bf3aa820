import os

import pytest

from shipseg_tiles.cli.common import interrupts, percent, quiet_import
from shipseg_tiles.errors import InputError


def test_a_share_is_said_in_whole_percent():
    """1 of 3 is 33.3 %, 2 of 3 are 66.7 %; a share of nothing has no number."""
    assert percent(1, 3) == "33 %"
    assert percent(2, 3) == "67 %"
    assert percent(0, 7) == "0 %"
    assert percent(0, 0) == "-"


def test_what_libraries_say_on_their_start_is_kept_off_the_terminal(capfd):
    """Written to the file descriptor itself, as C++ does, which no change of `sys.stderr` would catch."""
    os.write(2, b"before\n")
    with quiet_import():
        os.write(2, b"started with 2 cores\n")
    os.write(2, b"after\n")

    assert capfd.readouterr().err == "before\nafter\n"


def test_an_error_in_between_gives_the_terminal_back(capfd):
    with pytest.raises(ImportError), quiet_import():
        raise ImportError
    os.write(2, b"after\n")

    assert capfd.readouterr().err == "after\n"


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module named 'jax'"), ValueError("Unable to import backend : jax")]
)
def test_a_backend_that_is_missing_is_named_with_a_remedy(monkeypatch, error):
    """Keras raises the second one for names that it does not know."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")

    message = rf"Keras cannot start \({error}\); install its backend, or set KERAS_BACKEND to tensorflow"
    with pytest.raises(InputError, match=message), quiet_import():
        raise error


def test_ctrl_c_is_told_on_the_way(capfd):
    with pytest.raises(KeyboardInterrupt), interrupts("what is done is kept"):
        raise KeyboardInterrupt

    assert capfd.readouterr().err == "what is done is kept\n"


def test_ctrl_c_while_compiled_code_answers_is_one(capfd):
    """Python finds the interrupt set beside an answer, and makes a `SystemError` of it, as below."""
    with pytest.raises(KeyboardInterrupt), interrupts("what is done is kept"):
        raise SystemError(
            "<built-in function imdecode> returned a result with an exception set"
        ) from KeyboardInterrupt()

    assert capfd.readouterr().err == "what is done is kept\n"


def test_other_errors_of_compiled_code_stay_what_they_are(capfd):
    with pytest.raises(SystemError, match="bad argument"), interrupts("what is done is kept"):
        raise SystemError("bad argument to internal function")

    assert capfd.readouterr().err == ""
