"""A server in a process of its own, with a net whose answers are known, and images to send to it."""

import os
import subprocess
import sys
import time
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image

BOXES = [(40, 5, 10, 3), (10, 20, 4, 6), (70, 60, 5, 10)]
"""Row, column, height and width of white boxes on black, in the order in which ships are numbered: by columns."""


@pytest.fixture(scope="session")
def weights(save_net, tmp_path_factory):
    """A net that answers the brightness of each pixel, 0 to 1, and is for pixels of 5 m."""
    return save_net(tmp_path_factory.mktemp("weights") / "net.keras", pixel_size=5.0)


@pytest.fixture(scope="session")
def drawn():
    """Draw white boxes on black: uint8 (100, 80, 3)."""

    def draw(boxes=BOXES):
        pixels = np.zeros((100, 80, 3), dtype=np.uint8)
        for row, column, height, width in boxes:
            pixels[row : row + height, column : column + width] = 255
        return pixels

    return draw


@pytest.fixture(scope="session")
def encoded():
    """Turn pixels into the bytes of an image file."""

    def encode(pixels, kind="PNG"):
        file = BytesIO()
        Image.fromarray(pixels).save(file, kind)
        return file.getvalue()

    return encode


@pytest.fixture
def scene(tmp_path, drawn):
    """A GeoTIFF of three bands, with pixels of 10 m."""
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFF is an optional extra")

    def write(count=3, dtype="uint8"):
        place = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 6_000_000)}
        layout = {"driver": "GTiff", "height": 100, "width": 80, "count": count, "dtype": dtype}
        with rasterio.open(tmp_path / "scene.tif", "w", **layout, **place) as dataset:
            dataset.write(np.resize(drawn().transpose(2, 0, 1), (count, 100, 80)).astype(dtype))
        return (tmp_path / "scene.tif").read_bytes()

    return write


@pytest.fixture(scope="session")
def address(weights):
    """The address of a server that takes files up to 1 MB and images up to 2 million pixels."""
    arguments = ["serve", "--weights", weights, "--port", "0", "--largest-file", "1", "--largest-image", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "shipseg_tiles", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    yield process.stdout.readline().strip()
    process.terminate()
    assert process.wait(60) == 0


@pytest.fixture(scope="session")
def site(address):
    """Ask that server."""
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def finished(site):
    """Send an image, and return its id and what has become of it in the end."""

    def send(data, name):
        answer = site.post("/tasks", params={"name": name}, content=data)
        assert answer.status_code == 201, answer.text
        identity = answer.json()["id"]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            task = site.get(f"/tasks/{identity}").json()
            if task["state"] in ("done", "failed"):
                break
            time.sleep(0.02)
        return identity, task

    return send
