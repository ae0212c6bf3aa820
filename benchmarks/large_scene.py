"""Memory and time of one large scene: `python benchmarks/large_scene.py --height 32000 --width 32000 --cheap-net`.

The scene is a GeoTIFF of synthetic images, made for the run and removed after it. `--cheap-net` predicts it with a net
of one layer, so that what is measured is reading, stitching and writing; without it the shipped weights do, for which
a lower scene of the same width tells as much about memory.
"""

import argparse
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

from shipseg_tiles.archive.simulate import simulate_scene
from shipseg_tiles.digests import checksum
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import write_contract
from shipseg_tiles.nets.weights_files import default_weights

KINDS = 12
"""Different images that the scene is tiled with."""

SIDE = 768

MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs in a small process of its own: a process is counted with the memory of the one that it was started from."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=3072)
    parser.add_argument("--width", type=int, default=32_000)
    parser.add_argument("--cheap-net", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        make_scene(folder / "scene.tif", options.height, options.width)
        weights = make_cheap_net(folder / "cheap.keras") if options.cheap_net else default_weights()
        command = ["--images", str(folder / "scene.tif"), "--weights", str(weights), "--out", str(folder / "out")]
        began = time.perf_counter()
        verb = [sys.executable, "-m", "shipseg_tiles", "predict", *command]
        measured = subprocess.run([sys.executable, "-c", MEASURE, *verb], check=True, stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - began
        size = (folder / "scene.tif").stat().st_size
    megapixels, memory = options.height * options.width / 1e6, int(measured.stdout) / 2**20
    print(f"{options.height} x {options.width} px ({megapixels:.0f} megapixels, {size / 1e9:.2f} GB as GeoTIFF)")
    print(f"{seconds:.0f} s, {megapixels / seconds:.1f} megapixels/s, peak memory {memory:.2f} GiB")


def make_scene(path: Path, height: int, width: int) -> None:
    """Write synthetic images side by side."""
    images = [np.moveaxis(simulate_scene(0, number).image, -1, 0) for number in range(KINDS)]
    rng = np.random.default_rng(0)
    place = {"crs": "EPSG:32631", "transform": from_origin(500_000, 5_000_000, 1.5, 1.5)}
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "jpeg", "photometric": "ycbcr"}
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=3, dtype="uint8", **place, **layout
    ) as scene:
        for top, left in product(range(0, height, SIDE), range(0, width, SIDE)):
            lines, columns = min(SIDE, height - top), min(SIDE, width - left)
            image = images[rng.integers(KINDS)][:, :lines, :columns]
            scene.write(image, window=Window(left, top, columns, lines))


def make_cheap_net(path: Path) -> Path:
    """Save a net of one convolution, which calls what is bright a ship."""
    from shipseg_tiles.cli.common import quiet_import

    with quiet_import():
        import keras
    pixels = keras.Input((None, None, 3), dtype="uint8")
    shares = keras.layers.Rescaling(1 / 255)(pixels)
    weights = keras.initializers.Constant(1 / 3)
    keras.Model(pixels, keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=weights)(shares)).save(path)
    contract = Contract(
        checksum(path), "one convolution", 128, 0.9, 10, tile=768, overlap=0.25, tile_multiple=1, receptive_field=0
    )
    write_contract(contract, path)
    return path


if __name__ == "__main__":
    main()
