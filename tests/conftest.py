"""What many tests look at: a small simulated archive and the store that is cut out of it. Neither may be changed."""

import signal

import pytest

from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.archive.simulate import simulate_archive
from shipseg_tiles.patches.make import MakeOptions, make_patches
from shipseg_tiles.patches.store import PatchStore

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
    options = MakeOptions(patch=64, stride=64, background_ratio=1.0, seed=7, valid_fraction=0.25, full_images=4)
    make_patches(scenes, path, options, workers=1)
    return PatchStore(path)
