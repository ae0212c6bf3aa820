"""Keeps other sites from using the server through the browser of somebody who may."""

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

_EVERYWHERE = ("0.0.0.0", "::")
"""Addresses to listen at that stand for all addresses of the machine."""


class Guard:
    """Middleware that answers only requests made under the server's own name, and changes from its own pages.

    A site whose name suddenly stands for this machine (DNS rebinding) gives itself away by that name in `Host`, a form
    or script on another site by `Origin`.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        """Guard an application.

        Args:
            app: Is asked if nothing is wrong.
            hosts: Where the server listens: the address, and the name that stands for it if there is one.
        """
        self._app = app
        self._names = {"localhost", "127.0.0.1", "::1", *map(str.lower, hosts)}
        self._everywhere = any(host in _EVERYWHERE for host in hosts)
        if self._everywhere:
            self._names.add(socket.gethostname().lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SECURITY_HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        app = self._app
        if not self._is_ours(host):
            app = JSONResponse({"error": f"there is no {host!r} here; use the address that the server printed"}, 400)
        elif scope["method"] not in ("GET", "HEAD") and origin is not None and _host_of(origin) != host:
            app = JSONResponse({"error": f"a page of {origin} may not send images here"}, 403)
        await app(scope, receive, send_guarded)

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self._names or (self._everywhere and _is_address(name))


def _host_of(origin: str) -> str:
    """Return host and port of an origin; "" for one without, such as "null"."""
    return origin.partition("://")[2]


def _is_address(name: str) -> bool:
    """Say whether it is an address, not a name that could be made to stand for another."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
