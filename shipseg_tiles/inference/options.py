"""What decides how images are predicted; it can be checked without loading a net."""

from dataclasses import dataclass
from pathlib import Path

from shipseg_tiles.nets.contract import CHANGEABLE, Contract
from shipseg_tiles.nets.contract_file import contract_in_front, segmenter_contract
from shipseg_tiles.tiling import Region, WindowName


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Everything that decides what is predicted.

    Attributes:
        weights: `.keras` file of a segmenter, with its contract beside it.
        tile: Side of a tile in pixels; None for the contract's, as with the next five.
        overlap: Share of its side that a tile shares with the next.
        threshold: Probability above which a pixel is ship.
        minimum_area: Ships of fewer pixels are dropped.
        minimum_score: Ships of a lower mean probability are dropped.
        separate_touching: Whether objects are cut into ships that touch.
        window: How overlapping tiles are blended.
        gate: Weights of a gate, which decides which tiles the net is shown; None for all of them.
        classifier: Weights of a classifier, which decides in which images ships are looked for; None for all.
        engine: One of `ENGINES`, for the gate too.
        precision: One of `PRECISIONS`; the gate computes in float32.
        symmetries: In how many symmetries the net is shown a tile; None for the contract's.
        pixel_size: Metres from one pixel of the images to the next; None for the contract's.
        region: The part of each image that is predicted; None for all of it.
        bands: Numbers, from 1, of the bands of a scene that are red, green and blue; None if it has just these.
        scale: Values of a scene that become 0 and 255; None if it has 8 bits.
        rasters: Names in `RASTERS` of what is kept beside the ships.
    """

    weights: Path
    tile: int | None = None
    overlap: float | None = None
    threshold: float | None = None
    minimum_area: int | None = None
    minimum_score: float | None = None
    separate_touching: bool | None = None
    window: WindowName = "hann"
    gate: Path | None = None
    classifier: Path | None = None
    engine: str = "keras"
    precision: str = "float32"
    symmetries: int | None = None
    pixel_size: float | None = None
    region: Region | None = None
    bands: tuple[int, ...] | None = None
    scale: tuple[float, float] | None = None
    rasters: tuple[str, ...] = ()

    def region_in(self, height: int, width: int) -> Region:
        """Return the part of an image of this size that is predicted.

        Raises:
            InputError: If the region shares no pixel with the image.
        """
        return (self.region or Region(0, 0, height, width)).within(height, width)

    def contract(self) -> Contract:
        """Read the contract of the segmenter, as these options change it, and those of the nets in front of it.

        No net is loaded for it, so that a slip is answered at once.

        Raises:
            InputError: If a file is missing or bad, an option is out of its range, or the nets do not fit together.
        """
        segmenter = segmenter_contract(self.weights, **{name: getattr(self, name) for name in CHANGEABLE})
        for in_front in (self.classifier, self.gate):
            if in_front:
                contract_in_front(in_front, segmenter, self.pixel_size)
        return segmenter
