"""Ships: their sizes, their looks, their wakes, and the boxes that label them."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.archive.simulation.fields import Colours, Field
from shipseg_tiles.archive.simulation.sprites import Pose, Sprite, paste

Kind = Literal["boat", "barge", "bulk", "tanker", "container", "ferry", "navy"]

# Length in pixels at these shares of the ships. Fitted to the areas of the competition's labels, which have a
# median of about 800 px where one ship is alone and 340 px where there are several.
_SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.97, 1.0)
_LENGTHS_ALONE = (5.5, 9.0, 19.0, 50.0, 110.0, 178.0, 230.0, 270.0)
_LENGTHS_IN_COMPANY = (5.5, 8.5, 16.0, 33.0, 68.0, 110.0, 165.0, 230.0)

_HULLS = ((150, 145, 135), (120, 50, 42), (95, 60, 50), (70, 74, 78), (55, 75, 62), (205, 205, 200), (50, 62, 88))
_DECKS: dict[Kind, tuple[tuple[int, int, int], ...]] = {
    "boat": ((225, 225, 220), (190, 190, 185), (120, 110, 100), (235, 235, 235), (90, 120, 150)),
    "barge": ((150, 105, 70), (125, 110, 95), (95, 80, 72), (170, 150, 120), (70, 72, 74)),
    "bulk": ((125, 62, 52), (150, 140, 128), (92, 112, 95), (175, 120, 90), (110, 108, 108)),
    "tanker": ((140, 58, 46), (120, 70, 60), (95, 115, 100), (150, 140, 130), (80, 110, 130)),
    "container": ((110, 70, 60), (100, 105, 108), (85, 95, 90)),
    "ferry": ((228, 228, 224), (205, 208, 210), (190, 195, 205)),
    "navy": ((125, 130, 134), (110, 116, 122), (140, 144, 146)),
}
_BOXES = ((160, 70, 55), (60, 90, 140), (190, 185, 178), (150, 120, 70), (80, 120, 90), (120, 60, 60), (200, 150, 90))


Line = NDArray[np.float32]
"""Coordinates along or across a wake, shaped to broadcast against each other."""


@dataclass(frozen=True)
class Ship:
    """One ship.

    Attributes:
        pose: Its middle, and the direction of its bow.
        length: Pixels from bow to stern.
        width: Pixels from side to side.
        kind: Decides its looks.
        speed: 0 at rest, without a wake, to 1.
    """

    pose: Pose
    length: float
    width: float
    kind: Kind
    speed: float


def draw_length(rng: np.random.Generator, *, alone: bool, longest: float) -> float:
    """Draw a ship's length in pixels, at most `longest`."""
    lengths = np.minimum(_LENGTHS_ALONE if alone else _LENGTHS_IN_COMPANY, longest)
    return float(np.exp(np.interp(rng.random(), _SHARES, np.log(lengths))))


def make_ship(rng: np.random.Generator, pose: Pose, length: float, *, moored: bool) -> Ship:
    """Make a ship of a kind and width that suit its length."""
    typical = np.interp(length, [6, 20, 40, 80, 150, 260], [2.1, 2.6, 3.4, 4.4, 5.3, 6.0])
    width = max(length / (typical * np.exp(rng.normal(0, 0.16))), 2.6)
    kind = _draw_kind(rng, length)
    if kind == "navy":
        width *= 0.75
    speed = 0.0 if moored or rng.random() < (0.45 if length > 40 else 0.35) else rng.uniform(0.15, 1.0)
    return Ship(pose, length, width, kind, float(speed))


def _draw_kind(rng: np.random.Generator, length: float) -> Kind:
    if length < 22:
        return "boat"
    kinds: list[Kind] = ["barge", "bulk", "tanker", "container", "ferry", "navy"]
    shares = [0.5, 0.15, 0.1, 0.0, 0.2, 0.05] if length < 55 else [0.14, 0.3, 0.25, 0.14, 0.1, 0.07]
    return kinds[rng.choice(len(kinds), p=shares)]


def label(rng: np.random.Generator, ship: Ship, size: int) -> NDArray[np.bool_]:
    """Draw the box around a ship, a little loose and askew as people draw them, cut at the border.

    Returns:
        (size, size), True inside the box.
    """
    half_length = (ship.length * rng.uniform(1.0, 1.06) + rng.uniform(0, 1.2)) / 2
    half_width = (ship.width * rng.uniform(1.0, 1.12) + rng.uniform(0, 1.2)) / 2
    heading = ship.pose.heading + rng.normal(0, 0.3) / half_length
    x, y = ship.pose.x + rng.normal(0, 0.25), ship.pose.y + rng.normal(0, 0.25)
    steps_x, steps_y = np.arange(size) + 0.5 - x, np.arange(size)[:, np.newaxis] + 0.5 - y
    along = steps_x * np.cos(heading) + steps_y * np.sin(heading)
    across = steps_y * np.cos(heading) - steps_x * np.sin(heading)
    inside: NDArray[np.bool_] = (np.abs(along) <= half_length) & (np.abs(across) <= half_width)
    return inside


def draw_ship(rng: np.random.Generator, canvas: Colours, ship: Ship, *, sun: float, water: Field) -> None:
    """Draw a ship with its wake and its shadow on `canvas`, in place.

    Args:
        rng: Source of randomness.
        canvas: The scene so far.
        ship: What to draw.
        sun: Direction towards the sun; the shadow falls the other way.
        water: (size, size) share of water in each pixel; wakes and shadows stay on it.
    """
    if ship.speed > 0:
        _draw_wake(rng, canvas, ship, water)
    hull = _hull_sprite(rng, ship, _background(canvas, ship, water))
    height = ship.width * rng.uniform(0.06, 0.22)
    shade = Sprite(np.zeros_like(hull.colours), hull.cover, hull.texels)
    below = Pose(ship.pose.x - height * np.cos(sun), ship.pose.y - height * np.sin(sun), ship.pose.heading)
    paste(canvas, shade, below, opacity=rng.uniform(0.25, 0.6), allowed=water)
    paste(canvas, hull, ship.pose)


def _background(canvas: Colours, ship: Ship, water: Field) -> float:
    """Brightness of the water about a ship, 0..255."""
    size, reach = canvas.shape[0], int(ship.length / 2 + 4)
    x, y = int(np.clip(ship.pose.x, 0, size - 1)), int(np.clip(ship.pose.y, 0, size - 1))
    around = np.s_[max(0, y - reach) : y + reach + 1 : 2, max(0, x - reach) : x + reach + 1 : 2]
    wet = water[around] > 0.9
    return float(canvas[around][wet].mean()) if wet.any() else 60.0


def _hull_sprite(rng: np.random.Generator, ship: Ship, background: float) -> Sprite:
    """Paint a ship upright: x from stern to bow."""
    texels = int(np.clip(np.ceil(60 / ship.length), 2, 6))
    length, width = max(8, round(ship.length * texels)), max(5, round(ship.width * texels))
    half = _half_widths(rng, ship.kind, length) * width / 2
    across = np.abs(np.arange(width) + 0.5 - width / 2)[:, np.newaxis]
    cover = across <= half
    picture = np.empty((width, length, 3), dtype=np.float32)
    choices = _DECKS[ship.kind]
    picture[:] = choices[rng.integers(len(choices))]
    _PAINTERS[ship.kind](rng, picture)
    rim = max(0.06 * width, 0.7 * texels) if ship.length > 22 else 0
    picture[across > half - rim] = np.array(_HULLS[rng.integers(len(_HULLS))]) * rng.uniform(0.6, 1.1)
    tilt = rng.uniform(-0.1, 0.1)
    picture *= 1 + rng.normal(0, 0.1, (width, length, 1)).astype(np.float32)
    picture *= np.linspace(0.98 - tilt, 0.98 + tilt, width, dtype=np.float32)[:, np.newaxis, np.newaxis]
    gray = picture.mean(axis=2, keepdims=True)
    picture = gray + (picture - gray) * np.float32(rng.uniform(0.45, 1.0))  # the air takes colour away
    picture *= np.float32(_contrasting(rng, float(picture[cover].mean()), background))
    padded = np.pad(picture.clip(0, 255).astype(np.uint8), ((texels, texels), (texels, texels), (0, 0)), mode="edge")
    return Sprite(padded, np.pad(cover, texels).astype(np.uint8) * np.uint8(255), texels)


def _half_widths(rng: np.random.Generator, kind: Kind, length: int) -> NDArray[np.float64]:
    """(length,) half of the width from stern to bow, 0..1."""
    place = (np.arange(length) + 0.5) / length
    bow = {"boat": 0.5, "barge": 0.07, "navy": 0.5, "ferry": 0.25}.get(kind, 0.14) * rng.uniform(0.8, 1.3)
    stern = 0.06 if kind == "barge" else rng.uniform(0.06, 0.16)
    before_bow = np.clip((1 - place) / bow, 0, 1)
    after_stern = np.clip(place / stern, 0, 1)
    return np.asarray((1 - (1 - before_bow) ** rng.uniform(1.7, 2.4)) * (0.72 + 0.28 * np.sqrt(after_stern)))


def _contrasting(rng: np.random.Generator, ship: float, background: float) -> float:
    """Factor on a ship's colours that keeps it apart from the water; the weather hides one in ten all the same."""
    ship_seen = ship * rng.uniform(0.6, 1.15)
    if abs(ship_seen - background) < 28 and rng.random() < 0.9:
        darker = background > 95
        ship_seen = background * rng.uniform(0.35, 0.65) if darker else background + rng.uniform(30, 80)
    return ship_seen / max(ship, 1.0)


def _part(picture: Colours, along: tuple[float, float], across: tuple[float, float]) -> Colours:
    """View the part of a picture between shares of its length (from the stern) and of its width."""
    width, length = picture.shape[:2]
    left, right = round(along[0] * length), max(round(along[1] * length), round(along[0] * length) + 1)
    top, bottom = round(across[0] * width), max(round(across[1] * width), round(across[0] * width) + 1)
    return picture[top:bottom, left:right]


def _paint_bridge(rng: np.random.Generator, picture: Colours, start: float, depth: float) -> None:
    """White superstructure across the ship with its shadow and a funnel."""
    _part(picture, (start - 0.02, start + depth + 0.02), (0.06, 0.94))[:] *= 0.55
    _part(picture, (start, start + depth), (0.1, 0.9))[:] = rng.uniform(190, 240)
    _part(picture, (start + depth * 0.55, start + depth * 0.8), (0.02, 0.98))[:] = rng.uniform(170, 235)
    _part(picture, (start, start + depth * 0.4), (0.4, 0.6))[:] = (60, 60, 70)


def _paint_boat(rng: np.random.Generator, picture: Colours) -> None:
    cabin = rng.uniform(0.15, 0.5)
    _part(picture, (cabin, cabin + rng.uniform(0.15, 0.3)), (0.2, 0.8))[:] = rng.uniform(120, 250)
    _part(picture, (0.0, rng.uniform(0.1, 0.25)), (0.15, 0.85))[:] *= rng.uniform(0.5, 1.0)


def _paint_barge(rng: np.random.Generator, picture: Colours) -> None:
    hold = np.array(_DECKS["barge"][rng.integers(5)], dtype=np.float32) * rng.uniform(0.6, 1.2)
    _part(picture, (0.2, 0.93), (0.16, 0.84))[:] = hold
    if rng.random() < 0.6:
        _part(picture, (0.2, 0.93), (0.16, 0.3))[:] *= 0.6
    if rng.random() < 0.7:
        _paint_bridge(rng, picture, rng.uniform(0.03, 0.07), 0.11)


def _paint_bulk(rng: np.random.Generator, picture: Colours) -> None:
    hatches = int(rng.integers(4, 10))
    colour = np.array(_HULLS[rng.integers(len(_HULLS))], dtype=np.float32) * rng.uniform(0.8, 1.25)
    edges = np.linspace(0.2, 0.93, hatches + 1)
    for first, last in pairwise(edges):
        _part(picture, (first + 0.012, last - 0.01), (0.18, 0.86))[:] *= 0.55
        _part(picture, (first + 0.015, last - 0.015), (0.2, 0.8))[:] = colour * rng.uniform(0.9, 1.1)
    if rng.random() < 0.4:
        for edge in edges[1:-1:2]:
            _part(picture, (edge - 0.008, edge + 0.008), (0.3, 0.98))[:] = rng.uniform(150, 220)
    _paint_bridge(rng, picture, 0.05, 0.09)


def _paint_tanker(rng: np.random.Generator, picture: Colours) -> None:
    pipe = rng.uniform(150, 210)
    _part(picture, (0.2, 0.9), (0.46, 0.54))[:] = pipe
    for place in np.linspace(0.25, 0.88, int(rng.integers(4, 9))):
        _part(picture, (place, place + 0.006), (0.15, 0.85))[:] = pipe * 0.8
    middle = rng.uniform(0.45, 0.55)
    _part(picture, (middle, middle + 0.03), (0.1, 0.9))[:] *= 1.4
    _paint_bridge(rng, picture, 0.04, 0.1)


def _paint_container(rng: np.random.Generator, picture: Colours) -> None:
    width, length = picture.shape[:2]
    bays, stacks = int(rng.integers(10, 20)), int(rng.integers(7, 14))
    palette = np.array(_BOXES, dtype=np.float32)
    boxes = palette[rng.integers(len(palette), size=(stacks, bays))] * rng.uniform(0.7, 1.2, (stacks, bays, 1))
    empty = rng.random(bays) < 0.15
    boxes[:, empty] = picture[0, 0] * 0.8
    rows = (np.arange(width) * stacks // width)[:, np.newaxis]
    columns = np.arange(length) * bays // length
    picture[:] = boxes[rows, columns]
    gaps = np.diff(columns, prepend=0) > 0
    picture[:, gaps] *= 0.5
    _part(picture, (0.93, 1.0), (0.0, 1.0))[:] = (130, 90, 80)
    _paint_bridge(rng, picture, rng.choice([0.12, 0.2, 0.3]), 0.06)


def _paint_ferry(rng: np.random.Generator, picture: Colours) -> None:
    _part(picture, (0.08, 0.8), (0.12, 0.88))[:] *= rng.uniform(0.8, 1.05)
    for place in rng.uniform(0.1, 0.75, 5):
        _part(picture, (place, place + rng.uniform(0.02, 0.08)), (0.25, 0.75))[:] = rng.uniform(90, 240)
    _part(picture, (0.25, 0.33), (0.4, 0.6))[:] = rng.choice([60.0, 160.0, 240.0])


def _paint_navy(rng: np.random.Generator, picture: Colours) -> None:
    _part(picture, (0.02, 0.2), (0.15, 0.85))[:] *= rng.uniform(0.75, 0.95)
    _part(picture, (0.3, 0.65), (0.25, 0.75))[:] *= rng.uniform(1.1, 1.4)
    _part(picture, (0.4, 0.45), (0.35, 0.65))[:] *= 0.5


_PAINTERS = {
    "boat": _paint_boat,
    "barge": _paint_barge,
    "bulk": _paint_bulk,
    "tanker": _paint_tanker,
    "container": _paint_container,
    "ferry": _paint_ferry,
    "navy": _paint_navy,
}


def _draw_wake(rng: np.random.Generator, canvas: Colours, ship: Ship, water: Field) -> None:
    """White water behind a ship and the two arms of its wake; small fast boats trail long and bright ones."""
    reach = ship.length * ship.speed * (rng.uniform(4, 12) if ship.length < 40 else rng.uniform(1, 3.5)) + 6
    reach = min(reach, 420.0)
    opening = rng.uniform(0.03, 0.12)  # sideways pixels a pixel behind; the theory's 0.35 is seldom visible
    half = ship.width + (reach + ship.length) * opening
    columns, rows = round(reach + ship.length), 2 * round(half) + 1
    behind = np.arange(columns, dtype=np.float32)[::-1] - np.float32(ship.length * 0.92)
    across = np.arange(rows, dtype=np.float32)[:, np.newaxis] - rows // 2
    foam = np.maximum(_trail(rng, ship, behind, across, reach), _arms(rng, ship, behind, across, opening))
    foam *= np.clip(3 - 3 * behind / reach, 0, 1) * rng.uniform(0.35, 1.0, (rows, columns))
    colours = np.full((rows, columns, 3), rng.uniform([175, 190, 190], [235, 240, 240])).astype(np.uint8)
    sprite = Sprite(colours, (foam * 255 * ship.speed**0.5).clip(0, 255).astype(np.uint8), 1)
    back, heading = (columns - ship.length) / 2, ship.pose.heading
    middle = Pose(ship.pose.x - back * np.cos(heading), ship.pose.y - back * np.sin(heading), heading)
    paste(canvas, sprite, middle, allowed=water)


def _trail(rng: np.random.Generator, ship: Ship, behind: Line, across: Line, reach: float) -> NDArray[np.float32]:
    """Turbulent water behind the stern, as wide as the ship, slowly wider, in clumps, 0..1."""
    along = np.maximum(behind, 0)
    wander = np.interp(behind, np.linspace(-50, 450, 26), rng.normal(0, 0.12 * ship.width, 26))
    spread = 0.34 * ship.width + 0.015 * along + 0.4
    clumps = np.interp(behind, np.linspace(-50, 450, 120), rng.uniform(0.3, 1.0, 120))
    brightest = 1.3 if ship.length < 40 else 0.9
    fade = rng.uniform(0.3, brightest) * np.exp(-along / (rng.uniform(0.2, 0.5) * reach))
    return np.asarray(np.exp(-(((across - wander) / spread) ** 2)) * clumps * fade, dtype=np.float32)


def _arms(rng: np.random.Generator, ship: Ship, behind: Line, across: Line, opening: float) -> NDArray[np.float32]:
    """The bow wave: two thin lines that leave the hull and part, one often brighter than the other, 0..1."""
    from_bow = np.maximum(behind + ship.length * 0.92, 0)
    line = np.minimum(from_bow, ship.width) * 0.5 + from_bow * opening
    thickness = 0.7 + 0.05 * ship.width + 0.006 * from_bow
    sides = np.where(across < 0, rng.uniform(0.05, 0.6), rng.uniform(0.05, 0.6))
    fade = np.exp(-from_bow / (1.2 * ship.length + 20))
    return np.asarray(np.exp(-(((np.abs(across) - line) / thickness) ** 2)) * sides * fade, dtype=np.float32)
