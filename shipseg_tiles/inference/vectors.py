"""Ships as GeoJSON: where each one lies, how long and wide it is, and which way it points."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.extras import import_extra
from shipseg_tiles.files import write_json
from shipseg_tiles.inference.detection import Ship
from shipseg_tiles.inference.georeference import Georeference, metres_per_degree, within_180
from shipseg_tiles.pixels import PixelIndices, rows_and_columns

_DECIMALS = {"m": 7, "px": 3}
"""Of coordinates: 0.0000001 degrees are a centimetre."""


def ship_features(ships: Sequence[Ship], height: int, georeference: Georeference | None) -> list[dict[str, Any]]:
    """Draw the smallest rectangle, turned as it may be, around the squares of each ship's pixels.

    With a georeference the coordinates are longitude and latitude (RFC 7946), and all measures are true ones on the
    ground, whatever the coordinate system of the scene does to them. A ship on the antimeridian is not cut in two: its
    corners go on beyond 180 degrees.

    Without one they are (column, -row): QGIS shows an image that lies nowhere with its rows running down from 0, so
    that the ships lie on it.

    Args:
        ships: None without pixels.
        height: Height of the scene in pixels.
        georeference: Where the scene lies; None if that is not known.

    Returns:
        One GeoJSON Feature a ship: a Polygon whose ring runs counter-clockwise, and as properties `number` (from 1),
        `centre`, `length`, `width` (never above the length), `unit` of both ("m" or "px"), `heading` of the long axis
        (degrees clockwise from north, or from up; 0 to below 180, as bow and stern look alike), `pixels` and `score`.

    Raises:
        InputError: If shapely is missing, or pixels lie nowhere on earth.
    """
    if not ships:
        return []
    unit = "px" if georeference is None else "m"
    points, owners = _hulls([ship.pixels for ship in ships], height)
    coordinates = _located(points, owners, georeference)
    plane = _Plane.around(coordinates, owners, in_degrees=georeference is not None)
    rectangles = _rectangles(plane.flattened(coordinates, owners), owners)
    rings = plane.back(rectangles[:, [0, 1, 2, 3, 0]]).round(_DECIMALS[unit]).tolist()
    centres = plane.back(rectangles.mean(axis=1, keepdims=True)).round(_DECIMALS[unit]).tolist()
    features = []
    rows = zip(ships, rings, centres, _measures(rectangles), strict=True)
    for number, (ship, ring, (centre,), measures) in enumerate(rows, start=1):
        geometry = {"type": "Polygon", "coordinates": [ring]}
        what = {"number": number, "pixels": int(ship.pixels.size), "score": round(ship.score, 4)}
        properties = {**what, "centre": centre, **measures, "unit": unit}
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return features


def write_geojson(path: Path, features: Sequence[dict[str, Any]]) -> None:
    """Write features as a GeoJSON file, whole or not at all."""
    write_json(path, {"type": "FeatureCollection", "features": list(features)})


def _hulls(ships: Sequence[PixelIndices], height: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the corners of each ship's convex hull: (N, 2) of column and row, and (N,) the place of their ship."""
    shapely = import_shapely()
    outlines = [_outline(ship, height) for ship in ships]
    owners = np.repeat(np.arange(len(ships)), [len(outline) for outline in outlines])
    lines = shapely.linestrings(np.concatenate(outlines), indices=owners)
    return shapely.get_coordinates(shapely.convex_hull(lines), return_index=True)  # type: ignore[no-any-return]


def _outline(ship: PixelIndices, height: int) -> NDArray[np.float64]:
    """Return (N, 2) of column and row: the four corners of the squares from the first to the last row, by columns.

    What lies between them is inside their hull, so that a ship of 100 columns has 400 points, however wide it is.
    """
    rows, columns = rows_and_columns(ship, height)
    firsts = np.flatnonzero(np.diff(columns, prepend=-1))
    left, top, bottom = columns[firsts], rows[firsts], rows[np.append(firsts[1:], ship.size) - 1] + 1
    corners = np.stack((left, top, left, bottom, left + 1, top, left + 1, bottom), axis=1)
    return corners.reshape(-1, 2).astype(np.float64)


def import_shapely() -> Any:
    """Import shapely, which is an optional extra."""
    return import_extra("shapely", "scenes", "GeoJSON needs shapely")


def _located(
    points: NDArray[np.float64], owners: NDArray[np.int64], georeference: Georeference | None
) -> NDArray[np.float64]:
    """Turn columns and rows (N, 2) of the ships `owners` (N,) into the coordinates that the file will have."""
    if georeference is None:
        return points * (1, -1)
    degrees = georeference.to_degrees(points)
    near = within_180(degrees[_firsts(owners), 0])[owners]  # of scenes in 0 to 360 degrees too
    degrees[:, 0] = near + within_180(degrees[:, 0] - near)  # -179.9 beside 179.9 is 180.1
    return degrees


def _firsts(owners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the points of each ship begin; those of one ship stand together."""
    return np.flatnonzero(np.diff(owners, prepend=-1))


@dataclass(frozen=True)
class _Plane:
    """A flat map around each ship: x to the east or right, y to the north or up, in metres or pixels.

    Attributes:
        origins: (ships, 2), coordinates of the middle of each ship.
        scales: (ships, 2), metres or pixels from one whole number of a coordinate to the next.
    """

    origins: NDArray[np.float64]
    scales: NDArray[np.float64]

    @classmethod
    def around(cls, coordinates: NDArray[np.float64], owners: NDArray[np.int64], in_degrees: bool) -> "_Plane":
        """Make the plane of each ship; if `in_degrees`, that which touches the ellipsoid in the ship's middle."""
        firsts = _firsts(owners)
        origins = (np.minimum.reduceat(coordinates, firsts) + np.maximum.reduceat(coordinates, firsts)) / 2
        if not in_degrees:
            return cls(origins, np.ones_like(origins))
        return cls(origins, metres_per_degree(origins[:, 1]))

    def flattened(self, coordinates: NDArray[np.float64], owners: NDArray[np.int64]) -> NDArray[np.float64]:
        """Take coordinates (N, 2) of the ships `owners` (N,) into the plane of each."""
        return (coordinates - self.origins[owners]) * self.scales[owners]

    def back(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take points (ships, N, 2) of each plane back to coordinates."""
        return points / self.scales[:, np.newaxis] + self.origins[:, np.newaxis]


def _rectangles(points: NDArray[np.float64], owners: NDArray[np.int64]) -> NDArray[np.float64]:
    """Find the smallest rectangle around each ship's points: corners (ships, 4, 2), counter-clockwise."""
    shapely = import_shapely()
    rectangles = shapely.oriented_envelope(shapely.linestrings(points, indices=owners))
    corners: NDArray[np.float64] = shapely.get_coordinates(rectangles).reshape(-1, 5, 2)[:, :4]
    (x1, y1), (x2, y2) = _sides(corners).transpose(1, 2, 0)
    clockwise = x1 * y2 < y1 * x2
    corners[clockwise] = corners[clockwise, ::-1]
    return corners


def _sides(rectangles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the vectors (ships, 2, 2) along the first two sides of rectangles (ships, 4, 2)."""
    return np.diff(rectangles[:, :3], axis=1)


def _measures(rectangles: NDArray[np.float64]) -> list[dict[str, float]]:
    """Return length, width and heading of each of the rectangles (ships, 4, 2)."""
    sides = _sides(rectangles)
    extents = np.hypot(sides[..., 0], sides[..., 1])
    long_sides = sides[np.arange(len(sides)), extents.argmax(axis=1)]
    # Rounded before the turn is taken off, as 179.96 becomes 180, which is 0; and after it, which leaves 15.0999999.
    headings = (np.degrees(np.arctan2(long_sides[:, 0], long_sides[:, 1])).round(1) % 180).round(1)
    rows = zip(extents.max(axis=1).round(2), extents.min(axis=1).round(2), headings, strict=True)
    return [
        {"length": float(length), "width": float(width), "heading": float(heading)} for length, width, heading in rows
    ]
