"""Finished strips of a scene as small files: what a later run need not do again."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import written_whole
from shipseg_tiles.inference.detection import RASTERS, Strip
from shipseg_tiles.zipped import identity_of


class StripFolder:
    """The strips of one scene in a folder, from the top, each read when it is asked for.

    Attributes:
        folder: Where they are; made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tops = sorted(int(path.stem) for path in folder.glob("[0-9]*.npz"))

    def __len__(self) -> int:
        return len(self._tops)

    def begins_at(self, top: int) -> bool:
        """Say whether the strip whose first row in the image is `top` is there."""
        return top in self._tops

    def __iter__(self) -> Iterator[Strip]:
        return map(self._read, self._tops)

    def save(self, strip: Strip) -> None:
        """Keep a strip."""
        with written_whole(self._path(strip.top)) as temporary:
            np.savez_compressed(
                temporary,
                left=strip.left,
                pixels=strip.pixels,
                probabilities=strip.probabilities,
                tiles=(strip.tiles, strip.tiles_skipped),
                **strip.rasters,  # type: ignore[arg-type]  # numpy takes allow_pickle for one of the arrays
            )
        self._tops = sorted({*self._tops, strip.top})

    def remove(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, top: int) -> Strip:
        path = self._path(top)
        try:
            with np.load(path, allow_pickle=False) as saved:
                rasters = {name: saved[name] for name in RASTERS if name in saved}
                counts = saved["tiles"].tolist()
                return Strip(top, int(saved["left"]), saved["pixels"], saved["probabilities"], rasters, *counts)
        except Exception as error:  # NumPy and the unpacking below it raise nearly every kind
            raise InputError(f"{path} is damaged ({error}); remove it, and it is predicted again") from None

    def _path(self, top: int) -> Path:
        return self.folder / f"{top:09d}.npz"


def strips_of(scene: Path, folder: Path) -> StripFolder:
    """Take up what an earlier run has kept of a scene, and remove what is of another file that has had its name.

    Raises:
        InputError: If there is no such scene.
    """
    own = folder / scene.name / identity_of(scene)
    for other in own.parent.glob("*"):
        if other != own:
            shutil.rmtree(other, ignore_errors=True)  # nor is every file there ours, such as a .DS_Store
    return StripFolder(own)
