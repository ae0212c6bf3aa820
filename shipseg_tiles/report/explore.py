"""What is in an archive: its numbers, and one HTML page with charts and examples that stands alone."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.brightness import CHANNELS, measure_brightness
from shipseg_tiles.archive.split import choose_evenly
from shipseg_tiles.archive.statistics import QUANTILES, measure_labels, summarise_measures
from shipseg_tiles.archive.usable import UsableImages
from shipseg_tiles.errors import none_usable
from shipseg_tiles.files import write_json
from shipseg_tiles.patches.census import count_patches, fitting_patches
from shipseg_tiles.report import charts
from shipseg_tiles.report.archive_charts import archive_charts
from shipseg_tiles.report.examples import Example, draw_examples
from shipseg_tiles.report.html import write_page

_SAMPLE = 200
"""At most so many images are decoded for the brightness."""

_SEED = 0


def explore(archive: Archive, out: Path) -> dict[str, Any]:
    """Write `explore.html` and `explore.json`, both with the same numbers.

    Bad images are left out of all numbers with a warning, as far as they are found: by their headers, or because
    they were decoded for the brightness or as an example.

    Args:
        archive: The labelled images.
        out: Folder to write to, made if it is not there.

    Returns:
        The numbers: `skipped` (bad images), `missing` (labelled images that are not there); those of
        `shipseg_tiles.archive.statistics.summarise_measures`; `patches`, the fields of a `PatchCount` for each patch
        size; `brightness`, of a sample, see `Brightness.summary`.

    Raises:
        InputError: If no image is usable, or a run leaves its image.
        OSError: If `out` cannot be written.
    """
    usable = UsableImages(archive)
    measures = measure_labels(archive.labels, usable.sizes)
    ship_counts = {name: len(archive.labels.ships[name]) for name in usable.sizes}
    sample = choose_evenly(ship_counts, min(_SAMPLE, len(ship_counts)), _SEED)
    brightness = measure_brightness(usable, sample)
    examples = list(draw_examples(usable, measures, _SEED))
    if not usable.sizes:
        raise none_usable(archive.source, usable.skipped)
    measures = measures.only(usable.sizes)
    patches = count_patches(archive.labels, usable.sizes, fitting_patches(usable.sizes))
    numbers = {
        "skipped": len(usable.skipped),
        "missing": len(archive.missing),
        **summarise_measures(measures),
        "patches": [asdict(count) for count in patches],
        "brightness": brightness.summary(),
    }
    drawn = charts.embedded(archive_charts(measures, brightness))
    _write_page(out / "explore.html", archive.source, numbers, drawn, examples)
    write_json(out / "explore.json", numbers)
    return numbers


def _write_page(
    path: Path, source: str, numbers: dict[str, Any], drawn: list[dict[str, Any]], examples: Sequence[Example]
) -> None:
    write_page(
        path,
        "explore.html",
        title=f"What is in {source}",
        numbers=numbers,
        rows=_rows(numbers),
        quantiles=[name.replace("percent_", "") + " %" * name.startswith("percent") for name in QUANTILES],
        distributions=_distribution_rows(numbers),
        patches=_patch_rows(numbers),
        brightness=_brightness_rows(numbers),
        charts=drawn,
        bokeh=charts.library(),
        gallery=examples,
    )


def _rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the single numbers as text, each with its meaning."""
    sizes = [f"{size['height']} x {size['width']} ({size['images']:,})" for size in numbers["image_sizes"]]
    return [
        (f"{numbers['images']:,}", "images"),
        (f"{numbers['skipped']:,}", "bad images, left out of all numbers"),
        (f"{numbers['missing']:,}", "labelled images that are not there, left out of all numbers"),
        (", ".join(sizes), "height x width in pixels (images), the most frequent first"),
        (f"{numbers['ship_images']:,}", "images with ships"),
        (_percent(numbers["empty_share"]), "of the images are empty: they show no ship"),
        (f"{numbers['ships']:,}", "ships"),
        (_percent(numbers["ship_pixel_share_ship_images"]), "of the pixels of the images with ships are ship"),
        (_percent(numbers["ship_pixel_share_all_images"]), "of the pixels of all images are ship"),
    ]


def _distribution_rows(numbers: dict[str, Any]) -> list[list[str]]:
    """Return each distribution as a row of text: its meaning, the mean, the quantiles; no row without ships."""
    meanings = {
        "ship_pixels": "pixels of a ship",
        "ship_length": "length of a ship in pixels",
        "ship_width": "width of a ship in pixels",
        "ship_pixels_per_ship_image": "ship pixels of an image with ships",
    }
    return [
        [meaning, *(f"{numbers[name][column]:,.0f}" for column in ("mean", *QUANTILES))]
        for name, meaning in meanings.items()
        if numbers[name]
    ]


def _patch_rows(numbers: dict[str, Any]) -> list[list[str]]:
    """Return each patch size as a row of text: side, ship patches, background patches, share of the ship patches."""
    return [
        [
            f"{count['patch']}",
            f"{count['ship']:,}",
            f"{count['background']:,}",
            _percent(count["ship"] / (count["ship"] + count["background"])),
        ]
        for count in numbers["patches"]
    ]


def _brightness_rows(numbers: dict[str, Any]) -> list[list[str]]:
    """Return each kind of pixel as a row of text: its name, mean, deviation, mean of each channel."""
    kinds = {"ship_pixels": "ships", "other_pixels": "all else"}
    return [
        [text, *(f"{numbers['brightness'][kind][column]:.1f}" for column in ("mean", "deviation", *CHANNELS))]
        for kind, text in kinds.items()
        if numbers["brightness"][kind]
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.3g} %"
