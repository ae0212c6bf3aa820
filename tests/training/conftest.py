"""A store that a tiny net learns at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import PatchOptions
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.rle import encode


@pytest.fixture(scope="session")
def easy(tmp_path_factory: pytest.TempPathFactory) -> PatchStore:
    """Bright boxes on 16 dark images of 96 px, every fourth of them empty."""
    folder = tmp_path_factory.mktemp("easy")
    (folder / "images").mkdir()
    random = np.random.default_rng(0)
    rows = ["ImageId,EncodedPixels"]
    for number in range(16):
        image = random.integers(0, 90, (96, 96, 3), dtype=np.uint8)
        for row, column in random.integers(0, 80, (2 if number % 4 else 0, 2)):
            ship = np.zeros((96, 96), dtype=np.uint8)
            ship[row : row + 10, column : column + 14] = 1
            image[ship == 1] = random.integers(150, 240, 3)
            rows.append(f"{number:02}.png,{encode(ship)}")
        if number % 4 == 0:
            rows.append(f"{number:02}.png,")
        Image.fromarray(image).save(folder / "images" / f"{number:02}.png")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    archive = open_archive(folder / "images", folder / "labels.csv")
    options = PatchOptions(patch=32, stride=16, valid_fraction=0.25, full_images=4, seed=0)
    make_patches(archive, folder / "patches.h5", options, workers=1)
    return PatchStore(folder / "patches.h5")


@pytest.fixture(scope="session")
def cut_again(easy: PatchStore) -> Callable[..., PatchStore]:
    """Cut the images of `easy` once more, by other options or out of another folder."""

    def cut(path: Path, folder: Path = easy.paths[0].parent, **changes: Any) -> PatchStore:
        same = {"patch": 32, "stride": 16, "valid_fraction": 0.25, "full_images": 4, "seed": 0}
        make_patches(open_archive(folder / "images", folder / "labels.csv"), path, PatchOptions(**same | changes))
        return PatchStore(path)

    return cut
