"""How the options of verbs are declared, and those that several of them have."""

import os
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shipseg_tiles.archive.archive import Archive


def option(help: str, *, default: Any = MISSING, default_factory: Any = MISSING, **metadata: Any) -> Any:
    """Declare a field of an options dataclass.

    Args:
        help: One line for `--help`; the default is added to it.
        default: Value if the flag is not given; without one the flag is required.
        default_factory: Makes such a value instead, where it may be changed.
        **metadata: Anything that argparse-dataclass understands, such as `type` or `choices`.
    """
    if default not in (MISSING, None, "") and not isinstance(default, bool):
        help = f"{help} (default: {default})"
    return field(default=default, default_factory=default_factory, metadata={"help": help, **metadata})


def flag_words(name: str, value: Any) -> list[str]:
    """Write an option as words of a command line: none for None and False, the flag alone for True, a list's values."""
    flag = f"--{name.replace('_', '-')}"
    if value is None or value is False:
        return []
    if isinstance(value, list):
        return [flag, *map(str, value)]
    return [flag if value is True else f"{flag}={value}"]


@dataclass(kw_only=True)
class CommonOptions:
    """Options of every verb."""

    json: Path | None = option("also write the result to this JSON file", default=None, metavar="FILE")
    config: Path | None = option("YAML file that sets the same options; flags win", default=None, metavar="FILE")


@dataclass(kw_only=True)
class ArchiveOptions(CommonOptions):
    """Options of verbs that need labelled images."""

    images: Path = option("folder or zip of images", metavar="DIR")
    labels: Path = option("CSV of run-length rows, or folder of mask PNGs", metavar="CSV")

    def archive(self) -> "Archive":
        """Open the images with their labels."""
        from shipseg_tiles.archive.archive import open_archive

        return open_archive(self.images, self.labels)


@dataclass(kw_only=True)
class JudgingOptions(CommonOptions):
    """Options of verbs that judge predictions by labels.

    In `--help` they come after those of a class that stands behind this one among the bases of a verb's options.
    """

    predictions: Path = option("folder that predict wrote, folder of masks, or CSV", metavar="DIR_OR_CSV")
    missing: str = option(
        "what to do with labelled images without prediction: stop, count them as predicted empty, or leave them out",
        default="error",
        choices=["error", "empty", "skip"],
    )
    leave_out_calibrated: bool = option(
        "leave out images that the weights were calibrated on, instead of refusing them",
        default=False,
    )


@dataclass(kw_only=True)
class MiningOptions(ArchiveOptions):
    """Options of verbs that mine with a net the images that it was trained on."""

    weights: Path = option("weights to begin with, with their contract beside them", metavar="FILE.keras")
    patches: list[Path] = option(
        "store that they were trained on, or several; what validates in them is left alone",
        nargs="+",
        metavar="FILE.h5",
    )
    split: Path | None = option(
        "CSV ImageId,split that the patches were cut with; needed if they were", default=None, metavar="CSV"
    )
    workers: int = option("processes that look at images and cut them", default=os.cpu_count() or 1, metavar="N")

    def split_of_images(self) -> dict[str, str] | None:
        """Return the split that the patches were cut with, by image; None if they were split by place."""
        from shipseg_tiles.archive.split_file import read_split

        return read_split(self.split) if self.split else None


@dataclass(kw_only=True)
class SegmenterOptions(CommonOptions):
    """Options of verbs that use a segmenter.

    In `--help` they come after those of a class that stands behind this one among the bases of a verb's options.
    """

    weights: Path | None = option(
        "weights with their contract beside them (default: those that ship with the project)",
        default=None,
        metavar="FILE.keras",
    )

    def segmenter(self) -> Path:
        """Return the weights, those that ship with the project if none are named."""
        from shipseg_tiles.nets.weights_files import default_weights

        return self.weights or default_weights()


@dataclass(kw_only=True)
class WindowOptions(SegmenterOptions):
    """Options of verbs that blend tiles."""

    window: str = option(
        "how overlapping tiles are blended", default="hann", choices=["uniform", "hann", "gaussian", "core"]
    )


@dataclass(kw_only=True)
class GateOptions(SegmenterOptions):
    """Options of verbs that put a gate in front of a segmenter."""

    gate: str = option(
        "weights of a gate, which decides which tiles the net is shown, or off (default: NAME.gate.keras beside"
        " the weights NAME.keras, if it is there)",
        default="",
        metavar="FILE.keras",
    )

    def gate_weights(self) -> Path | None:
        """Return the weights of the gate; None if all tiles are shown."""
        from shipseg_tiles.nets.weights_files import chosen_gate

        return chosen_gate(self.gate, self.segmenter())


@dataclass(kw_only=True)
class PixelOptions(CommonOptions):
    """Options of verbs that find ships in images of whatever satellite."""

    pixel_size: float | None = option(
        "metres from one pixel of the images to the next, where they are others than those that the net was trained on;"
        " it then sees ships in the size that it knows (default: the contract's)",
        default=None,
        metavar="M",
    )


@dataclass(kw_only=True)
class TilingOptions(PixelOptions, GateOptions, WindowOptions):
    """Options of verbs that predict images in tiles as `predict` does, or tell what that takes."""

    tile: int | None = option("side of a tile in pixels (default: the contract's)", default=None, metavar="N")
    overlap: float | None = option(
        "share of its side that a tile shares with the next (default: the contract's)",
        default=None,
        metavar="F",
    )
    symmetries: int | None = option(
        "take the mean over so many symmetries of each tile, at as many times the cost; 2 is mirrored as well"
        " (default: the contract's)",
        default=None,
        choices=[1, 2, 8],
    )


@dataclass(kw_only=True)
class EngineOptions(CommonOptions):
    """Options of verbs that leave it to the user what a net runs on."""

    engine: str = option("what runs the net", default="keras", choices=["keras", "openvino"])
    precision: str = option("of the net's arithmetic", default="float32", choices=["float32", "bfloat16", "int8"])


@dataclass(kw_only=True)
class SceneOptions(CommonOptions):
    """Options of verbs that predict scenes."""

    bands: str = option("bands of scenes that are red, green and blue, such as 3,2,1", default="", metavar="R,G,B")
    scale: str = option("values of scenes that become 0 and 255, such as 0,3000", default="", metavar="LOW,HIGH")

    def bands_and_scale(self) -> dict[str, Any]:
        """Return both as `PredictOptions` has them."""
        from shipseg_tiles.inference.bands import parse_bands, parse_scale

        return {
            "bands": parse_bands(self.bands) if self.bands else None,
            "scale": parse_scale(self.scale) if self.scale else None,
        }
