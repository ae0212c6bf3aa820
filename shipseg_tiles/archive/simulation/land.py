"""Land: coasts, islands, harbours, and what grows or stands on them."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from shipseg_tiles.archive.simulation.fields import Colours, Field, blend, enlarge, fractal, projection, smoothstep

Palette = tuple[tuple[int, int, int], ...]

_WILD: tuple[Palette, ...] = (
    ((30, 48, 32), (58, 78, 48)),
    ((38, 58, 38), (74, 88, 56)),
    ((92, 84, 58), (58, 66, 42)),
    ((128, 112, 84), (84, 76, 54)),
    ((206, 174, 140), (186, 152, 120)),
    ((140, 132, 112), (88, 86, 66)),
)
_TOWN: Palette = (
    *((152, 96, 76), (140, 84, 66), (168, 118, 96), (190, 186, 178), (160, 158, 152), (128, 124, 118)),
    *((62, 78, 52), (72, 88, 58), (104, 100, 84), (214, 212, 206)),
)
_INDUSTRY: Palette = (
    *((172, 170, 164), (132, 132, 130), (110, 124, 140), (146, 92, 76), (96, 92, 86), (200, 198, 190)),
    *((122, 112, 98), (140, 128, 110), (84, 84, 82)),
)
_FIELDS: Palette = ((84, 96, 56), (122, 112, 76), (64, 86, 48), (146, 130, 94), (98, 88, 62), (72, 80, 50))
_SAND = (212, 196, 164)
_CONCRETE = (150, 144, 132)


@dataclass(frozen=True)
class Berth:
    """A straight edge where ships can lie.

    Attributes:
        x: Middle of the edge.
        y: Middle of the edge.
        along: Direction of the edge.
        out: Direction from the edge to the water.
        length: Of the edge, in pixels.
        room: Free water before it, in pixels.
    """

    x: float
    y: float
    along: float
    out: float
    length: float
    room: float


@dataclass(frozen=True)
class Land:
    """Land of a scene.

    Attributes:
        cover: (size, size) share of land in each pixel.
        colours: (size, size, 3) its looks.
        shore: (size, size) about the distance to the shore in pixels, below 0 on the water; None where quays are.
        berths: Where ships can lie.
    """

    cover: Field
    colours: Colours
    shore: Field | None = None
    berths: tuple[Berth, ...] = field(default=())


def draw_land(rng: np.random.Generator, canvas: Colours, land: Land) -> None:
    """Lay land on the water with its shallows and surf, in place."""
    if land.shore is not None:
        _draw_shallows(rng, canvas, land.shore)
    blend(canvas, land.colours, land.cover)


def _draw_shallows(rng: np.random.Generator, canvas: Colours, shore: Field) -> None:
    depth = np.maximum(-shore, 0)
    bottom = np.array([70, 125, 120], dtype=np.float32) + rng.normal(0, 18, 3).astype(np.float32)
    bottom = np.maximum(bottom, canvas[::16, ::16].mean(axis=(0, 1)))  # glint outshines the bottom
    blend(canvas, bottom, np.float32(rng.uniform(0, 0.6)) * np.exp(-depth / np.float32(rng.uniform(6, 60))))
    if rng.random() < 0.6:
        broken = smoothstep(fractal(rng, shore.shape[0], 0.9, cell=2), rng.uniform(-0.6, 0.6), 1.5)
        surf = np.exp(-(((depth - 2) / np.float32(rng.uniform(1.5, 4))) ** 2)) * broken
        blend(canvas, np.array([225, 230, 228], dtype=np.float32), surf * np.float32(rng.uniform(0.3, 0.9)))


def make_coast(rng: np.random.Generator, size: int) -> Land:
    """Make a natural coast on one side of the image."""
    share = rng.uniform(-0.35, 0.45)
    rough = fractal(rng, size, rng.uniform(1.75, 2.2), cell=2) * np.float32(rng.uniform(0.03, 0.14) * size)
    shore = projection(size, rng.uniform(0, 2 * np.pi)) + np.float32(share * size / 2 - 0.15 * size) + rough
    return _grown(rng, size, shore)


def make_islands(rng: np.random.Generator, size: int) -> Land:
    """Make some rocks or small islands in open water."""
    bumps = fractal(rng, size, rng.uniform(1.6, 2.2), cell=2, longest=rng.uniform(60, 300))
    shore = (bumps - np.float32(rng.uniform(2.2, 3.2))) * np.float32(rng.uniform(12, 30))
    return _grown(rng, size, shore)


def make_inland(rng: np.random.Generator, size: int) -> Land:
    """Make a scene without any water."""
    nowhere = np.full((size, size), 1000, dtype=np.float32)
    return _grown(rng, size, nowhere)


def _grown(rng: np.random.Generator, size: int, shore: Field) -> Land:
    cover = np.clip(shore + np.float32(0.5), 0, 1)
    if not cover.any():
        return Land(cover, np.zeros((size, size, 3), dtype=np.float32), shore)
    colours = _wilderness(rng, size)
    kind = rng.choice(["wild", "town", "fields"], p=[0.45, 0.35, 0.2])
    if kind != "wild":
        settled = smoothstep(fractal(rng, size, 1.5, cell=4), *(np.array([-0.08, 0.08]) + rng.uniform(-1, 0.7)))
        texture = _town(rng, size) if kind == "town" else _farmland(rng, size)
        blend(colours, texture, settled)
    beach = np.exp(-np.maximum(shore, 0) / np.float32(rng.uniform(1.5, 10))) * np.float32(rng.uniform(0.3, 1.0))
    blend(colours, np.array(_SAND, dtype=np.float32) * np.float32(rng.uniform(0.6, 1.05)), beach)
    return Land(cover, colours, shore)


def make_harbour(rng: np.random.Generator, size: int) -> Land:
    """Make quays with piers and basins before sheds and yards; ships can lie along their edges."""
    angle = rng.uniform(0, 2 * np.pi)
    scale = size / 768
    frame = _Frame(size, angle, -size * rng.uniform(-0.05, 0.38))
    polygons, yards = [frame.box(-3 * size, 3 * size, -3 * size, 0)], [frame.box(-3 * size, 3 * size, -3 * size, -8)]
    berths: list[Berth] = []
    place = -0.75 * size + rng.uniform(0, 120) * scale
    while place < 0.75 * size:
        gap, width, reach = rng.uniform(50, 300) * scale, _draw_pier_width(rng) * scale, rng.uniform(30, 330) * scale
        polygons.append(frame.box(place, place + width, -5, reach))
        berths += frame.sides(place, place + width, reach, gap / 2)
        berths.append(frame.quay(place + width, place + width + gap))
        if width > 60 * scale:  # broad enough for sheds
            yards.append(frame.box(place + 8, place + width - 8, -20, reach - 8))
        elif rng.random() < 0.3:  # a mole bends to shelter the basin behind it
            polygons.append(frame.box(place, place + 0.6 * gap, reach, reach + min(width, 12 * scale)))
        place += gap + width
    colours = _port(rng, size, angle, _polygon_cover(size, yards))
    return Land(_polygon_cover(size, polygons), colours, None, tuple(berths))


def _draw_pier_width(rng: np.random.Generator) -> float:
    """Draw a width at 768 px a scene: jetties, piers, and broad terminals."""
    least, most = ((4, 9), (10, 28), (40, 200))[rng.choice(3, p=[0.4, 0.35, 0.25])]
    return float(rng.uniform(least, most))


@dataclass(frozen=True)
class _Frame:
    """Coordinates of a harbour: `a` along the quay, `b` out to the water, 0 at the quay."""

    size: int
    angle: float
    offset: float

    def point(self, a: float, b: float) -> tuple[float, float]:
        """Scene coordinates (x, y) of a point."""
        b += self.offset
        cosine, sine = float(np.cos(self.angle)), float(np.sin(self.angle))
        return self.size / 2 + a * cosine - b * sine, self.size / 2 + a * sine + b * cosine

    def box(self, left: float, right: float, near: float, far: float) -> list[tuple[float, float]]:
        """Corners of a box in scene coordinates."""
        return [self.point(a, b) for a, b in ((left, near), (right, near), (right, far), (left, far))]

    def sides(self, left: float, right: float, reach: float, room: float) -> list[Berth]:
        """Berths on both sides of a pier."""
        out = self.angle + np.pi / 2
        return [
            Berth(*self.point(left, reach / 2), out, self.angle + np.pi, reach, room),
            Berth(*self.point(right, reach / 2), out, self.angle, reach, room),
        ]

    def quay(self, left: float, right: float) -> Berth:
        """Berth along the quay between two piers."""
        return Berth(*self.point((left + right) / 2, 0), self.angle, self.angle + np.pi / 2, right - left, right - left)


def _polygon_cover(size: int, polygons: list[list[tuple[float, float]]]) -> Field:
    """(size, size) share of each pixel inside any of the polygons."""
    picture = Image.new("L", (2 * size, 2 * size))
    draw = ImageDraw.Draw(picture)
    for polygon in polygons:
        draw.polygon([(2 * x, 2 * y) for x, y in polygon], fill=255)
    return np.asarray(picture.reduce(2), dtype=np.float32) / np.float32(255)


def _port(rng: np.random.Generator, size: int, angle: float, yard: Field) -> Colours:
    """Concrete quays before yards full of clutter, with sheds between."""
    concrete = np.array(_CONCRETE, dtype=np.float32) * np.float32(rng.uniform(0.7, 1.2))
    stained = 1 + np.float32(0.06) * fractal(rng, size, 0.8, cell=2)
    colours: Colours = concrete * stained[..., np.newaxis]
    yards = colours * np.float32(rng.uniform(0.65, 0.95))
    _add_blocks(rng, yards, angle, (5, 14), _INDUSTRY, margin=1, filled=rng.uniform(0.3, 0.6))
    _add_blocks(rng, yards, angle, (24, 80), _INDUSTRY, margin=5, filled=rng.uniform(0.25, 0.5))
    blend(colours, yards, yard)
    return colours


def _wilderness(rng: np.random.Generator, size: int) -> Colours:
    """Woods, grass, rock or desert, with hills and shade."""
    palette = np.array(_WILD[rng.integers(len(_WILD))], dtype=np.float32) * np.float32(rng.uniform(0.75, 1.15))
    relief = fractal(rng, size, 1.7, cell=2)
    mixed = smoothstep(fractal(rng, size, 1.1, cell=2) + relief, -1.5, 1.5)
    colours = palette[0] + (palette[1] - palette[0]) * mixed[..., np.newaxis]
    slope = np.diff(relief, axis=0, append=relief[-1:]) * np.float32(rng.uniform(0.5, 4))
    roughest = 0.2 if palette[0].mean() < 80 else 0.08  # woods have crowns and shade, sand has neither
    crowns = fractal(rng, size, 0.7, longest=12) * np.float32(rng.uniform(0.03, roughest))
    colours *= np.clip(1 + slope + crowns, 0.35, 1.8)[..., np.newaxis]
    return np.asarray(colours, dtype=np.float32)


def _town(rng: np.random.Generator, size: int) -> Colours:
    ground = np.array([[118, 112, 102], [70, 78, 56]][rng.integers(2)]) * rng.uniform(0.8, 1.2)
    shades = 1 + np.float32(0.1) * fractal(rng, size, 0.9, cell=2)
    colours: Colours = ground.astype(np.float32) * shades[..., np.newaxis]
    side = int(rng.integers(6, 11))
    _add_blocks(rng, colours, rng.uniform(0, np.pi), (side, 2 * side), _TOWN, margin=1, filled=rng.uniform(0.6, 0.95))
    return colours


def _farmland(rng: np.random.Generator, size: int) -> Colours:
    colours = np.full((size, size, 3), (50, 62, 40), dtype=np.float32)
    _add_blocks(rng, colours, rng.uniform(0, np.pi), (35, 130), _FIELDS, margin=1, filled=1.0)
    return colours


def _add_blocks(
    rng: np.random.Generator,
    colours: Colours,
    angle: float,
    sides: tuple[int, int],
    palette: Palette,
    *,
    margin: int,
    filled: float,
) -> None:
    """Draw rectangles of random colour in rows that are shifted against each other, in place: roofs or fields.

    Args:
        rng: Source of randomness.
        colours: What they stand on.
        angle: Direction of the rows.
        sides: Shortest and longest side of a rectangle; those above 30 px are flat, the others have a ridge.
        palette: Their colours.
        margin: Half of the gap between them, in pixels.
        filled: Share of the places that have one.
    """
    size = colours.shape[0]
    bend = enlarge(rng.normal(0, 6, (5, 5)).astype(np.float32), size) + np.float32(size)
    across = (projection(size, angle + np.pi / 2) + bend).astype(np.int32)
    rows = _cut(rng, 2 * size + 64, sides, margin)
    columns = _cut(rng, 3 * size + 64, sides, margin)
    row = rows.number[across]
    along = (projection(size, angle) + bend).astype(np.int32)
    along += rng.integers(0, size, rows.number[-1] + 1, dtype=np.int32)[row]
    place = (row * 61 + columns.number[along] * 7 + (row * columns.number[along]) % 13) & 255
    house = rows.inside[across] & columns.inside[along] & (rng.random(256) < filled)[place]
    tones = np.array(palette, dtype=np.float32)[rng.integers(len(palette), size=256)]
    tones *= rng.normal(1, 0.12, (256, 1)).astype(np.float32)
    lee = np.float32(0.82 if sides[1] <= 30 else 0.97)
    sloped = np.concatenate([tones, tones * lee])
    np.copyto(colours, sloped[place + 256 * rows.second_half[across]], where=house[..., np.newaxis])
    if margin > 1 or sides[1] <= 30:
        colours[~house & np.roll(house, (2, 1), (0, 1))] *= np.float32(0.6)


@dataclass(frozen=True)
class _Cut:
    """A line cut into pieces; arrays by position.

    Attributes:
        number: Of the piece.
        inside: Whether the position is inside the piece's margins.
        second_half: Whether it is past the middle of the piece.
    """

    number: NDArray[np.int32]
    inside: NDArray[np.bool_]
    second_half: NDArray[np.bool_]


def _cut(rng: np.random.Generator, length: int, sides: tuple[int, int], margin: int) -> _Cut:
    """Cut a line into pieces; before every sixth of them there is room for a street."""
    pieces = rng.integers(sides[0], sides[1], length // sides[0] + 1)
    pieces[::6] += 5
    ends = np.cumsum(pieces)
    positions = np.arange(length)
    number = np.searchsorted(ends, positions, side="right")
    past, left = positions - (ends - pieces)[number], ends[number] - positions
    street = np.where(number % 6 == 0, 5, 0)
    return _Cut(number.astype(np.int32), (past >= margin + street) & (left > margin), past > left)
