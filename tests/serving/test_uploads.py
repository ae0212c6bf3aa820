import asyncio

import httpx
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.serving import uploads
from shipseg_tiles.serving.app import build_app
from shipseg_tiles.serving.tasks import TaskQueue
from shipseg_tiles.serving.uploads import Limits


@pytest.mark.parametrize(
    ("megabytes", "megapixels", "flag"), [(0, 1, "--largest-file 0"), (1, -5, "--largest-image -5")]
)
def test_limits_that_refuse_everything_are_refused(megabytes, megapixels, flag):
    with pytest.raises(InputError, match=flag):
        Limits(megabytes, megapixels)


def test_an_upload_that_stalls_is_given_up_and_one_that_is_slow_is_not(tmp_path, monkeypatch, encoded):
    """The slow one takes 1.2 s, in four parts 0.3 s apart; the other one stops after its first bytes."""
    monkeypatch.setattr(uploads, "PATIENCE_SECONDS", 1)
    tasks = TaskQueue(tmp_path, work=None, keep_tasks=2)
    app = build_app(tasks, PredictOptions(weights=tmp_path / "net.keras"), Limits(1, 1), ["localhost"])
    data = encoded(np.zeros((8, 8, 3), dtype=np.uint8))

    async def slow():
        for part in (data[:10], data[10:20], data[20:30], data[30:]):
            yield part
            await asyncio.sleep(0.3)

    async def stalled():
        yield data[:20]
        await asyncio.sleep(60)

    async def answers():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            sent = [client.post("/tasks", params={"name": "ship.png"}, content=part()) for part in (slow, stalled)]
            return await asyncio.gather(*sent, client.post("/tasks", content=data))

    taken, given_up, refused = asyncio.run(asyncio.wait_for(answers(), 20))

    assert taken.status_code == 201
    assert (given_up.status_code, given_up.json()) == (
        408,
        {"error": "ship.png did not arrive: nothing came for 1 seconds; send it again"},
    )
    assert refused.status_code == 503
    tasks.open("the place of the one that was given up")
