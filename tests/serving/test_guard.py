import asyncio

import httpx
import pytest
from starlette.responses import PlainTextResponse

from shipseg_tiles.serving.guard import Guard


@pytest.mark.parametrize(
    ("listens_at", "asked", "status"),
    [
        (["127.0.0.1"], "192.0.2.7:8000", 400),
        (["192.0.2.7"], "192.0.2.7:8000", 200),
        (["Ships.example", "192.0.2.7"], "Ships.Example:8000", 200),
        (["ships.example", "192.0.2.7"], "192.0.2.7:8000", 200),
        (["ships.example", "192.0.2.7"], "192.0.2.8:8000", 400),
        (["ships.example", "192.0.2.7"], "evil.example", 400),
        (["0", "0.0.0.0"], "192.0.2.7:8000", 200),
        (["::"], "[2001:db8::7]:8000", 200),
        (["0.0.0.0"], "evil.example", 400),
        (["0.0.0.0"], "192.0.2.7.evil.example", 400),
    ],
)
def test_a_server_goes_by_the_name_it_listens_at(listens_at, asked, status):
    """At all addresses of the machine it cannot know them all; what counts is that an address is no name."""

    async def ask():
        app = httpx.ASGITransport(Guard(PlainTextResponse("hello"), listens_at))
        async with httpx.AsyncClient(transport=app, base_url="http://any") as client:
            return await client.get("/", headers={"host": asked})

    assert asyncio.run(ask()).status_code == status
