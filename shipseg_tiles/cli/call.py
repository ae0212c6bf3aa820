"""A verb that calls another one, in a process of its own."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

from shipseg_tiles.cli.main import main
from shipseg_tiles.cli.options import flag_words
from shipseg_tiles.errors import InputError

_SECONDS_TO_TIDY_UP = 60
"""How long a verb has, after Ctrl-C, to end by itself."""


def call(verb: str, of: str, **flags: Any) -> None:
    """Run a verb so that no training inherits memory or compiled nets of another; what it prints goes to the terminal.

    Args:
        verb: Its name.
        of: What it is run for, for messages.
        **flags: Its options by name, see `flag_words`.

    Raises:
        InputError: If it fails; what was wrong stands above on the terminal.
    """
    words = [word for name, value in flags.items() for word in flag_words(name, value)]
    command = [sys.executable, "-m", __name__, verb, *words]
    # In a session of its own: Ctrl-C then comes to this process alone, whoever sends it, and is passed on once.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr, start_new_session=True)
    try:
        status = process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(_SECONDS_TO_TIDY_UP)
        process.kill()
        raise
    if status in (-signal.SIGINT, 130):
        raise KeyboardInterrupt
    if status < 0:
        raise InputError(
            f"{verb} of {of} was ended by signal {-status}, most likely as memory ran out; free some, then give the"
            " same command again"
        )
    if status:
        raise InputError(f"{verb} of {of} failed, see above")


def _end_with_caller() -> None:
    """Watch the standard input, which closes when the caller ends, however it does; end as after Ctrl-C then."""

    def watch() -> None:
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    _end_with_caller()
    main()
