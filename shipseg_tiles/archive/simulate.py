"""Synthetic scenes: an archive in the competition's own layout for tests, the demo, and a first try.

Real images may not be passed on. These could be mistaken for a poor satellite day: open sea, coasts and harbours,
ships of all sizes among waves, clouds, rocks and piers. Good enough to see a pipeline work and to compare its
settings; weights trained on them alone know no real ship.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from tqdm import tqdm

from shipseg_tiles import rle
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.archive.simulation.fields import Colours, Field
from shipseg_tiles.archive.simulation.land import (
    Berth,
    Land,
    draw_land,
    make_coast,
    make_harbour,
    make_inland,
    make_islands,
)
from shipseg_tiles.archive.simulation.ships import Ship, draw_length, draw_ship, label, make_ship
from shipseg_tiles.archive.simulation.sky import Clouds, add_haze, draw_clouds, expose, make_clouds, no_clouds
from shipseg_tiles.archive.simulation.sprites import Pose
from shipseg_tiles.archive.simulation.water import make_water
from shipseg_tiles.errors import InputError
from shipseg_tiles.files import write_text, written_whole

EMPTY_FRACTION = 0.6
"""Share of the scenes without a ship; 0.78 in the competition, which wastes time in small archives."""

SMALLEST_SIZE = 128
"""Scenes below this side leave no room for ships."""

_SMALLEST_LABEL = 6
_JPEG_QUALITY = 88

_MOST_IMAGES = 1_000_000
"""Five times as many as the competition has; their names are made before the first of them."""

_NO_DATA = ((0, 0, 0), (255, 255, 255), (0, 0, 255))

Setting = Literal["sea", "coast", "islands", "harbour", "inland", "no data"]


@dataclass(frozen=True)
class Scene:
    """A synthetic satellite image and its ships.

    Attributes:
        image: uint8 (size, size, 3), red first.
        ships: One mask (size, size) a ship, True inside the box that labels it. The boxes do not overlap, end at
            the image border, and have at least 6 pixels. Empty if there is no ship.
    """

    image: NDArray[np.uint8]
    ships: tuple[NDArray[np.bool_], ...]


@dataclass(frozen=True)
class SimulatedArchive:
    """What `simulate_archive` wrote.

    Attributes:
        images: Folder of the JPEG files.
        labels: The CSV file.
        image_count: Images in the folder.
        ship_image_count: Those with at least one ship.
        ship_count: Ships in all.
    """

    images: Path
    labels: Path
    image_count: int
    ship_image_count: int
    ship_count: int


def simulate_archive(out: Path, images: int, seed: int, *, size: int = 768) -> SimulatedArchive:
    """Write synthetic scenes as `out/train_v2/*.jpg` and `out/train_ship_segmentations_v2.csv`.

    The files have the competition's layout: one CSV row a ship, one row with an empty field for an image without
    ships, sorted by name. Image k of a seed is the same bytes however many images are asked for.

    Args:
        out: Folder, made if missing.
        images: How many, 1 to a million.
        seed: 0 or more; another seed gives other scenes under other names.
        size: Side of the images in pixels, 128 or more.

    Raises:
        InputError: If a value is out of its range, or the folder holds images of another run.
    """
    if not 1 <= images <= _MOST_IMAGES:
        raise InputError(f"{images} images asked for; ask for 1 to {_MOST_IMAGES}")
    folder, labels = out / "train_v2", out / "train_ship_segmentations_v2.csv"
    names = [image_name(seed, index) for index in range(images)]
    _refuse_strangers(folder, names)
    rows: dict[str, list[str]] = {}
    for index, name in enumerate(tqdm(names, desc="simulate", unit="image", disable=None)):
        scene = simulate_scene(seed, index, size=size, empty=is_empty(seed, index))
        with written_whole(folder / name) as temporary:
            temporary.write_bytes(simplejpeg.encode_jpeg(scene.image, quality=_JPEG_QUALITY, colorspace="RGB"))
        rows[name] = [rle.encode(mask) for mask in scene.ships]
    write_text(labels, Labels("", {name: tuple(rows[name]) for name in sorted(rows)}).to_csv())
    with_ships = [texts for texts in rows.values() if texts]
    return SimulatedArchive(folder, labels, images, len(with_ships), sum(map(len, with_ships)))


def _refuse_strangers(folder: Path, names: list[str]) -> None:
    """Refuse a folder with images that the labels will not name, such as those of another seed."""
    strangers = sorted({path.name for path in folder.glob("*.jpg")} - set(names))
    if strangers:
        raise InputError(f"{folder} holds other images ({strangers[0]} ...); remove them or choose another folder")


def image_name(seed: int, index: int) -> str:
    """Name of an image as the competition's: 9 hexadecimal digits and .jpg, distinct within a seed."""
    _check_seed(seed, index)
    # An odd factor permutes the numbers below a power of two, so that no two indices share a name.
    scattered = (index * 0x9E3779B97 + _mixed(seed)) & 0xFFFFFFFFF
    return f"{scattered:09x}.jpg"


def is_empty(seed: int, index: int) -> bool:
    """Decide whether an image of an archive has no ship.

    Multiples of the golden ratio fill the unit interval evenly from the first on, so that every stretch of images
    has nearly its share: of any 8 or more images in a row at least a quarter have ships.
    """
    _check_seed(seed, index)
    position = (_mixed(seed) / 2**36 + index * 0.6180339887498949) % 1
    return position < EMPTY_FRACTION


def _check_seed(seed: int, index: int) -> None:
    if min(seed, index) < 0:
        raise InputError(f"seed {seed} and index {index} must be 0 or more")


def _mixed(seed: int) -> int:
    """36 bits that look random, from the seed."""
    return int(np.random.default_rng(seed).integers(2**36))


def simulate_scene(seed: int, index: int, *, size: int = 768, empty: bool | None = None) -> Scene:
    """Make one synthetic scene.

    Args:
        seed: 0 or more.
        index: Number of the image under this seed, 0 or more. Equal seeds and indices give equal scenes.
        size: Side in pixels, 128 or more.
        empty: Whether it has no ship; None to decide as `is_empty` does.

    Raises:
        InputError: If a value is out of its range.
    """
    if size < SMALLEST_SIZE:
        raise InputError(f"scenes of {size} px are too small for ships; ask for {SMALLEST_SIZE} or more")
    if empty is None:
        empty = is_empty(seed, index)
    _check_seed(seed, index)
    rng = np.random.default_rng([seed, index])
    setting = _draw_setting(rng, empty)
    if setting == "no data":
        blank = _NO_DATA[rng.integers(len(_NO_DATA))]
        return Scene(np.full((size, size, 3), blank, dtype=np.uint8), ())
    return _make_scene(rng, size, setting, empty)


def _draw_setting(rng: np.random.Generator, empty: bool) -> Setting:
    settings: list[Setting] = ["sea", "coast", "islands", "harbour", "inland", "no data"]
    shares = [0.755, 0.11, 0.05, 0.03, 0.05, 0.005] if empty else [0.69, 0.14, 0.04, 0.13, 0.0, 0.0]
    return settings[rng.choice(len(settings), p=shares)]


def _make_scene(rng: np.random.Generator, size: int, setting: Setting, empty: bool) -> Scene:
    sun = rng.uniform(0, 2 * np.pi)
    canvas = make_water(rng, size)
    land = _make_land(rng, size, setting)
    water = np.ones((size, size), dtype=np.float32)
    if land is not None:
        draw_land(rng, canvas, land)
        water -= land.cover
    if rng.random() < 0.08:
        _add_buoys(rng, canvas)
    clouds = make_clouds(rng, size, sun) if rng.random() < (0.3 if empty else 0.15) else no_clouds(size)
    berths = land.berths if land is not None else ()
    masks = () if empty else _add_ships(rng, canvas, _Site(sun, water, clouds, berths))
    if not empty and not masks:  # no room on land or all below clouds: rare, so begin anew where there is room
        return _make_scene(rng, size, "sea", empty)
    draw_clouds(canvas, clouds)
    if rng.random() < 0.08:
        add_haze(rng, canvas)
    return Scene(expose(rng, canvas), masks)


def _make_land(rng: np.random.Generator, size: int, setting: Setting) -> Land | None:
    makers = {"coast": make_coast, "islands": make_islands, "harbour": make_harbour, "inland": make_inland}
    return makers[setting](rng, size) if setting in makers else None


def _add_buoys(rng: np.random.Generator, canvas: Colours) -> None:
    """Sprinkle bright dots that are no ships, in place: buoys, floats, flotsam."""
    for row, column in rng.integers(canvas.shape[0] - 2, size=(rng.integers(1, 8), 2)):
        dot = canvas[row : row + 2, column : column + rng.integers(1, 3)]
        dot[:] = rng.uniform([150, 100, 60], [250, 230, 220])


@dataclass(frozen=True)
class _Site:
    """What ships need to know about the scene: the sun's direction, (size, size) water, clouds, berths."""

    sun: float
    water: Field
    clouds: Clouds
    berths: tuple[Berth, ...]


def _add_ships(rng: np.random.Generator, canvas: Colours, site: _Site) -> tuple[NDArray[np.bool_], ...]:
    """Draw ships until the scene has its number or no more room; return their boxes."""
    wanted = _draw_number(rng, bool(site.berths))
    size = canvas.shape[0]
    taken = np.zeros((size, size), dtype=np.bool_)
    masks: list[NDArray[np.bool_]] = []
    for ship in _candidates(rng, size, wanted, site.berths):
        mask = label(rng, ship, size)
        if _fits(mask, taken, site, moored=ship.speed == 0 and bool(site.berths)):
            draw_ship(rng, canvas, ship, sun=site.sun, water=site.water)
            taken |= mask
            masks.append(mask)
        if len(masks) == wanted:
            break
    return tuple(masks)


def _draw_number(rng: np.random.Generator, harbour: bool) -> int:
    if harbour:
        return int(rng.integers(3, 16))
    numbers = np.arange(1, 16)
    shares = np.array([644, 181, 69, 38, 21, 15, 8, 7, 5, 3, 3, 2, 1, 2, 1])
    return int(rng.choice(numbers, p=shares / shares.sum()))


def _candidates(rng: np.random.Generator, size: int, wanted: int, berths: tuple[Berth, ...]) -> Iterator[Ship]:
    """Propose ships: moored ones first, if there are berths, then free ones."""
    longest = 0.4 * size
    for number in rng.permutation(len(berths)):
        yield from _moored(rng, berths[number], longest)
    for _ in range(40 + 10 * wanted):
        length = draw_length(rng, alone=wanted == 1, longest=longest)
        x, y = rng.uniform(-0.3 * length, size + 0.3 * length, 2)
        yield make_ship(rng, Pose(x, y, rng.uniform(0, 2 * np.pi)), length, moored=False)


def _moored(rng: np.random.Generator, berth: Berth, longest: float) -> Iterator[Ship]:
    """Lay ships of like size along a berth, or side by side with their bows to it."""
    typical = min(draw_length(rng, alone=False, longest=longest), 0.9 * berth.length)
    if typical < 8:
        return
    abreast = typical < 30 and rng.random() < 0.5
    place = -berth.length / 2 + rng.uniform(0.5, 1) * typical
    while place < berth.length / 2 - 0.4 * typical:
        length = float(np.clip(typical * np.exp(rng.normal(0, 0.2)), 6, berth.length))
        heading = berth.out if abreast else berth.along + (np.pi if rng.random() < 0.5 else 0)
        ship = make_ship(rng, Pose(0, 0, heading + rng.normal(0, 0.015)), length, moored=True)
        off = (length if abreast else ship.width) / 2 * 1.12 + rng.uniform(1.2, 2.5)
        x = berth.x + place * np.cos(berth.along) + off * np.cos(berth.out)
        y = berth.y + place * np.sin(berth.along) + off * np.sin(berth.out)
        if off < berth.room and rng.random() < 0.8:
            yield replace(ship, pose=Pose(x, y, ship.pose.heading))
        place += (ship.width * 1.3 + 3 if abreast else length * 1.15 + 5) + rng.exponential(4)


def _fits(mask: NDArray[np.bool_], taken: NDArray[np.bool_], site: _Site, *, moored: bool) -> bool:
    """Say whether a box is large enough, free, on water, and to be seen below the clouds."""
    if mask.sum() < _SMALLEST_LABEL or (mask & taken).any():
        return False
    wet, clouded = site.water[mask], site.clouds.cover[mask]
    return bool(wet.mean() > (0.93 if moored else 0.995) and clouded.mean() < 0.45)
