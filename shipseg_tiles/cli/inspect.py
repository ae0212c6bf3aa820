"""`shipseg-tiles inspect`: what is in a patch store, and whether it is as it was written."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipseg_tiles.cli.common import Outcome
from shipseg_tiles.cli.options import CommonOptions, option
from shipseg_tiles.errors import InputError

if TYPE_CHECKING:
    from shipseg_tiles.patches.store import PatchStore


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `inspect`."""

    patches: Path = option("store that make-patches wrote", args=["patches"], metavar="FILE.h5")
    sheet: Path | None = option(
        "write a PNG of patches, those with ships also outlined: training above, validation below",
        default=None,
        metavar="FILE.png",
    )
    verify: bool = option("read all of it and find what is not as it was written", default=False)


def run(options: Options) -> Outcome:
    """Inspect."""
    from shipseg_tiles.patches.store import PatchStore

    store = PatchStore(options.patches)
    data = _describe(store)
    lines = _lines(options.patches, data)
    if options.verify:
        data["verified"] = _verify(options.patches)
        lines.append(f"{data['verified']} patches verified")
    if options.sheet:
        from shipseg_tiles.report.sheet import write_sheet

        write_sheet(store, options.sheet)
        lines.append(f"patches to look at: {options.sheet}")
    return Outcome("\n".join(lines), data)


def _describe(store: "PatchStore") -> dict[str, Any]:
    counts: dict[str, dict[str, int]] = {split: {} for split, _ in store.sets}
    for (split, kind), patches in store.sets.items():
        counts[split][kind] = len(patches)
    return {
        "patches": counts,
        "background_per_ship": {
            split: round(of_split["background"] / of_split["ship"], 4) if of_split["ship"] else None
            for split, of_split in counts.items()
        },
        "side": store.side,
        "bytes": sum(path.stat().st_size for path in {*store.paths, *store.files}),
        "shards": 0 if store.files == store.paths else len(store.files),
        "compression": store.compression,
        "full_images": sum(1 for _ in store.full_images()),
        "left_out": store.left_out,
        "options": store.options,
        "plan_fingerprint": store.fingerprint,
    }


def _lines(path: Path, data: dict[str, Any]) -> list[str]:
    total = sum(sum(of_split.values()) for of_split in data["patches"].values())
    shards = f" in {data['shards']} shards" if data["shards"] else ""
    compression = f", {data['compression']}" if data["compression"] else ""
    return [
        f"{path}: {total} patches of {data['side']} px, {data['bytes'] / 1e6:.1f} MB{shards}{compression}",
        *(
            f"{split}: {counts['ship']} ship and {counts['background']} background patches"
            f" ({'-' if ratio is None else f'{ratio:.2f}'} per ship patch)"
            for (split, counts), ratio in zip(
                data["patches"].items(), data["background_per_ship"].values(), strict=True
            )
        ),
        f"{data['full_images']} full images, {len(data['left_out'])} images left out",
        # Names as Python writes them, without the quotes: of a stranger they might write to the terminal.
        "options: " + ", ".join(f"{repr(name)[1:-1]} {value!r}" for name, value in data["options"].items()),
        f"fingerprint: {data['plan_fingerprint']}",
    ]


def _verify(path: Path) -> int:
    """Return how many patches were verified.

    Raises:
        InputError: If anything is not as it was written.
    """
    from shipseg_tiles.patches.verify import verify_store

    verification = verify_store(path)
    problems = verification.problems
    if problems:
        raise InputError(
            f"{path} is damaged, make it again with make-patches; the first of {len(problems)} problems: {problems[0]}"
        )
    return verification.patches
