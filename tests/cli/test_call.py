"""What stands in for Python in these tests is a script that ends, or listens, as a verb may."""

import os
import signal
import subprocess
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


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_verb_ends_with_its_caller(tmp_path, how):
    """Of so many scenes it would make more for hours."""
    out = tmp_path / "scenes"
    calling = f"from shipseg_tiles.cli.call import call; call('simulate', 'a test', images=99999, out={str(out)!r})"
    with subprocess.Popen([sys.executable, "-c", calling], stderr=subprocess.PIPE, text=True) as caller:
        assert caller.stderr is not None
        while not list(out.glob("*/*.jpg")):
            assert caller.poll() is None
            time.sleep(0.1)
        caller.send_signal(how)
        complaint = caller.stderr.read()  # to the end, as nobody holds it any more

    assert complaint.endswith("error: interrupted\n")
