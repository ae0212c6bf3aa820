"""What a net, and a gate in front of it, answer of labelled images: each image once, for all settings."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.calibration.evidence import Evidence, collect_evidence, peak_map
from shipseg_tiles.calibration.settings import Axes, Setting, gate_thresholds
from shipseg_tiles.digests import image_digest
from shipseg_tiles.errors import none_readable
from shipseg_tiles.images import readable_images
from shipseg_tiles.inference.gate import Gate, are_seen
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.nets.contract import Contract, GateUse, gate_threshold
from shipseg_tiles.tiling import TileGrid


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        current: How the net is used so far.
        gate: Contract of the gate; None if there is none.
        tile: Side in pixels of the tiles of the largest images: these are what a threshold of the gate is chosen for.
        evidence: Of each image that could be read, by its name.
        digests: What tells these images, see `image_digest`.
        peaks: float32 (N,) for each of these images, the gate's peaks of its tiles if they have the side `tile`.
    """

    current: Setting
    gate: Contract | None
    tile: int
    evidence: dict[str, Evidence] = field(default_factory=dict)
    digests: list[str] = field(default_factory=list)
    peaks: list[NDArray[np.float32]] = field(default_factory=list)

    def axes(self) -> Axes:
        """Return the settings to try."""
        return Axes.around(self.current, gate_thresholds(np.concatenate(self.peaks)) if self.peaks else ())

    def use_of_gate(self, chosen: Setting) -> GateUse | None:
        """Return what a contract says of the gate in a setting; None without a gate."""
        return None if self.gate is None else GateUse(self.gate.weights_sha256, self.tile, chosen.gate)


def measure_nets(
    weights: Path, gate_weights: Path | None, archive: Archive, pixel_size: float | None = None
) -> Measurement:
    """Run net and gate over all images of an archive; bad images are left out with a warning.

    Args:
        weights: `.keras` file of a segmenter, with its contract beside it.
        gate_weights: The same of a gate; None for none.
        archive: The images and their labels.
        pixel_size: Of the images in metres; None for that of the contract.

    Raises:
        InputError: If a net is bad, a ship leaves its image, or no image can be read.
    """
    archive.check_labels()
    predictor = Predictor.load(weights, pixel_size=pixel_size)
    contract = predictor.contract
    gate = Gate.load(gate_weights, contract, pixel_size=pixel_size) if gate_weights else None
    tile = max((predictor.grid(*size).tile for size in archive.sizes().values()), default=contract.tile)
    threshold = gate.threshold(tile) if gate else None
    current = Setting(
        contract.threshold, contract.minimum_area, contract.minimum_score, threshold, contract.separate_touching
    )
    measured = Measurement(current, gate.contract if gate else None, tile)
    thresholds = Axes.around(current).thresholds
    for name, image in readable_images([*archive.files.values()], "calibrate"):
        ships = archive.labels.ship_indices(name, (image.shape[0], image.shape[1]))
        grid, probabilities = predictor.grid(*image.shape[:2]), predictor.probabilities(image)
        peaks = _peaks(measured, gate, image, grid) if gate else np.ones_like(probabilities)
        measured.evidence[name] = collect_evidence(probabilities, ships, thresholds, peaks)
        measured.digests.append(image_digest(archive.files[name]))
    if not measured.evidence:
        raise none_readable(f"images in {archive.source}")
    return measured


def _peaks(measured: Measurement, gate: Gate, image: NDArray[np.uint8], grid: TileGrid) -> NDArray[np.float32]:
    """Return the peaks of an image as `peak_map` does; those of tiles of the side that counts are kept.

    Of smaller ones the gate's own threshold decides, whatever is tried: their peaks are infinite, plus or minus.
    """
    peaks = gate.tile_peaks(image, grid)
    if grid.tile == measured.tile:
        measured.peaks.append(peaks)
        return peak_map(grid, peaks)
    seen = are_seen(peaks, gate_threshold(gate.contract, grid.tile))
    return peak_map(grid, np.where(seen, np.float32(np.inf), np.float32(-np.inf)))
