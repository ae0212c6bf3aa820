"""What stands in for Python in these tests is a script that ends, or listens, as a verb may."""

import os
import signal
import sys
import threading
import time

import pytest

from shipseg_tiles.cli.call import call
from shipseg_tiles.errors import InputError


@pytest.mark.parametrize("status", [1, 2])
def test_a_verb_that_fails_is_named(monkeypatch, tmp_path, status):
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\nexit {status}\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))

    with pytest.raises(InputError, match="train of preset tiny failed, see above"):
        call("train", "preset tiny")


def test_a_verb_that_is_killed_is_no_interrupt(monkeypatch, tmp_path):
    """As by a system that runs out of memory."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nkill -9 $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))

    with pytest.raises(InputError, match="train of preset tiny was ended by signal 9, most likely as memory ran out"):
        call("train", "preset tiny")


def test_an_interrupt_is_passed_on_to_the_verb_once(monkeypatch, tmp_path):
    """Python hears of it in the main thread, wherever the signal comes from."""
    script, heard = tmp_path / "python", tmp_path / "heard"
    script.write_text(f"#!/bin/sh\ntrap 'echo once >> {heard}; exit 130' INT\necho ready > {heard}\nsleep 60 &\nwait\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))

    def interrupt():
        while not heard.exists():
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        call("train", "preset tiny")
    thread.join()

    assert heard.read_text() == "ready\nonce\n"
