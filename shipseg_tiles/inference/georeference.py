"""Where the pixels of a scene lie on earth, and how large they are there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError

_EQUATOR_RADIUS = 6_378_137.0
_ECCENTRICITY_SQUARED = 0.00669437999014
"""The ellipsoid of WGS84, in metres."""


@dataclass(frozen=True)
class Georeference:
    """Where the pixels of a scene lie; plain values, which can be sent to other processes.

    Attributes:
        crs: Coordinate reference system as WKT.
        transform: (a, b, c, d, e, f) that take column and row to x = a column + b row + c, y = d column + e row + f.
            Whole numbers are the corners of pixels: (0, 0) is the upper left corner of the upper left pixel.
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]

    def to_degrees(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Find the WGS84 longitude and latitude of points: (N, 2) of column and row to (N, 2).

        Raises:
            InputError: If one of them is nowhere on earth.
        """
        from rasterio.warp import transform

        a, b, c, d, e, f = self.transform
        columns, rows = points.T
        try:
            degrees = transform(self.crs, "EPSG:4326", a * columns + b * rows + c, d * columns + e * rows + f)
        except Exception as error:  # GDAL's own errors, which have no public class
            raise InputError(f"pixels lie nowhere on earth ({error})") from None
        located = np.stack(degrees, axis=1)
        if not np.all(np.isfinite(located)) or np.any(np.abs(located[:, 1]) > 90):
            raise InputError("pixels lie nowhere on earth")
        return located

    def pixel_size(self, height: int, width: int) -> float | None:
        """Measure on the ground how many metres it is, in the middle of a scene, from one pixel to the next.

        Args:
            height: Of the scene in pixels.
            width: Likewise.

        Returns:
            The side of a square as large as a pixel; None if the middle is nowhere on earth.
        """
        middle = np.array((width / 2, height / 2))
        try:
            here, right, below = self.to_degrees(middle + np.array([(0, 0), (1, 0), (0, 1)]))
        except InputError:
            return None
        steps = within_180(np.stack((right, below)) - here)
        across, down = steps * metres_per_degree(here[1])
        return float(np.sqrt(abs(across[0] * down[1] - across[1] * down[0])))


def within_180(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn longitudes, or differences of them, by whole circles until they are from -180 to below 180."""
    return (degrees + 180) % 360 - 180


def metres_per_degree(latitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many metres a degree of longitude and of latitude are on the ellipsoid: (...) to (..., 2)."""
    radians = np.radians(latitudes)
    curvature = 1 - _ECCENTRICITY_SQUARED * np.sin(radians) ** 2
    eastwards = _EQUATOR_RADIUS / np.sqrt(curvature) * np.cos(radians)
    northwards = _EQUATOR_RADIUS * (1 - _ECCENTRICITY_SQUARED) / curvature**1.5
    metres: NDArray[np.float64] = np.radians(np.stack((eastwards, northwards), axis=-1))
    return metres
