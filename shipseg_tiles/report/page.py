"""One HTML page for a scored run; everything it shows is inside the file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.files import write_text
from shipseg_tiles.images import read_image
from shipseg_tiles.report.html import data_address, jpeg_address, render
from shipseg_tiles.report.pictures import PREDICTED, TRUTH, outlined
from shipseg_tiles.scoring.score import ImageScore, summarise, summary_rows


@dataclass(frozen=True)
class _Item:
    """A picture of the gallery."""

    picture: str
    caption: str


def write_page(
    path: Path,
    title: str,
    archive: Archive,
    predicted: Labels,
    scores: Sequence[ImageScore],
    *,
    curves: Path | None = None,
    pictures: int = 24,
) -> None:
    """Write the page of a scored run.

    Args:
        path: HTML file to write.
        title: Heading of the page.
        archive: The images with their true ships.
        predicted: The predicted ships.
        scores: The score of each image.
        curves: PNG of the training that made the weights.
        pictures: Images shown: those with ships, true or predicted, the worst first, then empty ones.
    """
    summary = summarise(scores)
    shown = sorted(scores, key=lambda score: (not score.truth_pixels and not score.predicted_pixels, score.dice))
    html = render(
        "run.html",
        title=title,
        headline=f"{summary['dice_mean_all_images']:.3f}",
        scores=summary,
        rows=summary_rows(summary),
        gallery=[_item(score, archive, predicted) for score in shown[:pictures]],
        curves=data_address(curves.read_bytes(), "png") if curves else None,
        truth=TRUTH,
        predicted=PREDICTED,
    )
    write_text(path, html)


def _item(score: ImageScore, archive: Archive, predicted: Labels) -> _Item:
    image = read_image(archive.files[score.image])
    shape = image.shape[0], image.shape[1]
    drawn = outlined(image, archive.labels.mask(score.image, shape), TRUTH)
    drawn = outlined(drawn, predicted.mask(score.image, shape), PREDICTED)
    caption = f"{score.image}: dice {score.dice:.3f}, {score.truth_ships} ships, {score.predicted_ships} predicted"
    return _Item(jpeg_address(drawn), caption)
