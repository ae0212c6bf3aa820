"""`shipseg-tiles convert-labels`: the competition's CSV to a folder of mask PNGs, or back."""

from dataclasses import dataclass
from pathlib import Path

from shipseg_tiles.cli.common import Outcome
from shipseg_tiles.cli.options import CommonOptions, option


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `convert-labels`."""

    labels: Path = option("CSV of run-length rows, or folder of mask PNGs", metavar="CSV_OR_DIR")
    out: Path = option("folder of masks to write for a CSV, CSV to write for a folder", metavar="DIR_OR_CSV")
    images: Path | None = option(
        "folder or zip of the images, if they are not 768 x 768 pixels or not called NAME.jpg",
        default=None,
        metavar="DIR",
    )


def run(options: Options) -> Outcome:
    """Convert in the direction that `labels` asks for."""
    from shipseg_tiles.archive.archive import named_after
    from shipseg_tiles.archive.labels import read_labels
    from shipseg_tiles.archive.mask_folder import write_masks
    from shipseg_tiles.files import write_text
    from shipseg_tiles.images import list_images, read_size

    labels = read_labels(options.labels)
    if options.labels.is_dir():
        if options.images:
            files = {path.name: path for path in list_images(options.images)}
            labels = named_after(labels, files)
            for name in files.keys() & labels.ships:  # complains if a mask is not as large as its image
                labels.ship_indices(name, read_size(files[name], to_decode=False))
        write_text(options.out, labels.to_csv())
    else:
        write_masks(labels, options.out, options.images)
    ships = sum(map(len, labels.ships.values()))
    data = {"images": len(labels.ships), "ships": ships, "out": str(options.out)}
    return Outcome(f"{len(labels.ships)} images with {ships} ships written to {options.out}", data)
