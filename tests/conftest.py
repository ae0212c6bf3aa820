"""What many tests look at: small archives and the store that is cut out of one. None of them may be changed."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.archive.simulate import simulate_archive
from shipseg_tiles.digests import checksum
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import write_contract
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import PatchOptions
from shipseg_tiles.patches.store import PatchStore

BROWSER_FLAGS = (
    "--headless=new --window-size=1280,1000 --no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-component-update --disable-sync"
)
"""No screen, root or not, and nothing that the browser asks of the network by itself."""

# A shell starts what runs in its background deaf to Ctrl-C, and processes inherit that: the tests send it for real.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """16 images of 256 px; 7 of them show 22 ships, 9 none."""
    made = simulate_archive(tmp_path_factory.mktemp("scenes"), 16, seed=7, size=256)
    return open_archive(made.images, made.labels)


@pytest.fixture(scope="session")
def store(scenes: Archive, tmp_path_factory: pytest.TempPathFactory) -> PatchStore:
    """Patches of 64 px: 12 images train, 4 validate and are kept whole as well."""
    path = tmp_path_factory.mktemp("store") / "patches.h5"
    options = PatchOptions(patch=64, stride=64, background_ratio=1.0, seed=7, valid_fraction=0.25, full_images=4)
    make_patches(scenes, path, options, workers=1)
    return PatchStore(path)


@pytest.fixture(scope="session")
def landscape() -> Callable[[int, int], NDArray[np.uint8]]:
    """Draw gray land of spots of all sizes, uint8 (256 blocks, 256 blocks), from a number of blocks and a seed."""

    def draw(blocks: int, seed: int) -> NDArray[np.uint8]:
        random = np.random.default_rng(seed)
        side = 256 * blocks
        layers = [random.standard_normal((side // size, side // size)).astype(np.float32) for size in (16, 32, 64, 128)]
        grown = [Image.fromarray(layer).resize((side, side), Image.Resampling.BICUBIC) for layer in layers]
        spots = np.sum([np.array(layer) for layer in grown], axis=0)
        drawn: NDArray[np.uint8] = (120 + 25 * spots / spots.std()).clip(10, 240).astype(np.uint8)
        return drawn

    return draw


@pytest.fixture(scope="session")
def crops(landscape: Callable[[int, int], NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Five places of 3 x 3 blocks, two crops of 2 x 2 out of each: b lies one block down and to the right of a.

    One image more is open water. A ship in every a, none in the others.
    """
    folder = tmp_path_factory.mktemp("crops")
    (folder / "images").mkdir()
    rows = []
    for place in range(5):
        land = landscape(3, place)
        Image.fromarray(land[:512, :512]).save(folder / "images" / f"{place}a.jpg", quality=85)
        Image.fromarray(land[256:, 256:]).save(folder / "images" / f"{place}b.jpg", quality=70)
        rows += [f"{place}a.jpg,1 4\n", f"{place}b.jpg,\n"]
    Image.new("RGB", (512, 512), (20, 60, 90)).save(folder / "images" / "sea.jpg")
    (folder / "labels.csv").write_text("ImageId,EncodedPixels\n" + "".join(rows) + "sea.jpg,\n")
    return open_archive(folder / "images", folder / "labels.csv")


@pytest.fixture(scope="session")
def save_net() -> Callable[..., Path]:
    """Save a net of what is made of the brightness of each pixel, 0 to 1, with its contract."""
    import keras  # slow to load, and most tests do without

    def save(path: Path, answer: Callable[[Any], Any] = lambda brightness: brightness, **changes: Any) -> Path:
        pixels = keras.Input((None, None, 3), dtype="uint8")
        mean = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / 765))
        keras.Model(pixels, answer(mean(keras.layers.Rescaling(1.0)(pixels)))).save(path)
        values = {"weights_sha256": checksum(path), "net": "any", "patch": 64, "threshold": 0.5, "minimum_area": 4}
        use = {"tile": 64, "overlap": 0.25, "tile_multiple": 16, "receptive_field": 0}
        write_contract(Contract(**values | use | changes), path)
        return path

    return save


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of half a megabyte."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], capture_output=True)
        if mounted.returncode:
            pytest.skip("only root may mount a small disk")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Debian's chromium without a screen, with a profile of its own; tests that need it skip where there is none."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("no browser: install Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs[0])
    for flag in (*BROWSER_FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})  # so that a test can look for errors of scripts
    driver = webdriver.Chrome(options=options, service=Service(programs[1]))
    yield driver
    driver.quit()
