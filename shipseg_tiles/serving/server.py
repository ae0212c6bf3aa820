"""Listens, answers until it is told to stop, and says when it is ready."""

import logging
import os
import signal
import socket
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from shipseg_tiles.errors import InputError

_PATIENCE_SECONDS = 2
"""What uploads and downloads get to finish when the server stops."""


def listen(host: str, port: int) -> socket.socket:
    """Take a port; connections wait there until somebody answers.

    Args:
        host: Name or address of this machine.
        port: 0 for any that is free.

    Raises:
        InputError: If that is not possible.
    """
    if not 0 <= port < 2**16:
        raise InputError(f"port {port} must be from 0 to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(address[0]), port), family=family)
    except (socket.gaierror, UnicodeError) as error:  # the latter of names that no host can have
        raise InputError(f"host {host!r} is unknown ({error.args[-1]}); give an address of this machine") from None
    except OSError as error:
        reason = os.strerror(error.errno or 0)  # Python's own text goes on after that
        raise InputError(f"port {port} of {host} cannot be taken ({reason}); choose another --port, or 0") from None


def run_server(app: ASGIApp, listener: socket.socket) -> None:
    """Answer until a signal comes: SIGTERM ends it, Ctrl-C does so with a `KeyboardInterrupt`.

    The address is printed once requests are answered.

    Args:
        app: What answers.
        listener: Where; closed in the end.
    """
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE_SECONDS,
    )
    # Once all is shut down the server sends itself its signal again; this one would end the process on the spot.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        _Server(config).run([listener])
    finally:
        signal.signal(signal.SIGTERM, before)


class _Server(uvicorn.Server):
    """Says when it is ready, and goes quietly."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            print(_address(listener), flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # that requests were cut off is no news now
        super().handle_exit(sig, frame)


def _address(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
