"""How a file of patches comes to be: filled beside its place, then given its name; a shard by one process alone."""

from pathlib import Path
from typing import Any

from shipseg_tiles.patches.fill import ImageTask, fill_slots
from shipseg_tiles.patches.plan import PatchPlan
from shipseg_tiles.patches.store import find_slots
from shipseg_tiles.patches.store_writer import compress_store, create_store


def partial_path(path: Path) -> Path:
    """Return where the file `path` stands while it is being filled."""
    return path.with_name(f".{path.name}.partial")


def fill_shard(
    recorded: dict[str, Any], compression: str, path: Path, plan: PatchPlan, tasks: list[ImageTask]
) -> dict[str, str]:
    """Make a shard, or go on with one that an earlier run or a lost worker began; return as `fill_slots`."""
    unfinished = partial_path(path)
    resumed = unfinished.exists()
    if not resumed:
        create_store(unfinished, plan, recorded)
    reasons = fill_slots(find_slots(unfinished), recorded["patch"], resumed, tasks)
    if not reasons:
        finish(unfinished, path, compression)
    return reasons


def finish(unfinished: Path, path: Path, compression: str) -> None:
    """Give a file that is filled its name, compressed if that is wished."""
    if compression:
        compress_store(unfinished, path, compression)
        unfinished.unlink()
    else:
        unfinished.replace(path)
