import numpy as np
import pytest

from shipseg_tiles.inference.georeference import Georeference, metres_per_degree

rasterio = pytest.importorskip("rasterio", reason="GeoTIFF is an optional extra")


def placed(crs, *transform):
    return Georeference(rasterio.CRS.from_user_input(crs).to_wkt(), transform)


def test_pixels_in_utm():
    """Along its meridian, where the middle of the scene is, a zone is drawn 0.9996 times as large as the ground; 300 km
    away from it 1.0007 times."""
    georeference = placed("EPSG:32632", 10, 0, 200_000, 0, -10, 6_000_000)

    assert georeference.pixel_size(100, 60_000) == pytest.approx(10 / 0.9996, rel=1e-4)


def test_pixels_in_web_mercator():
    """At 60 degrees north it is twice as large as the ground: 10 m are 5 m, and 0.2 % more from west to east, as the
    ellipsoid is flat. That is in the middle of the scene; at its upper end, 50 km further north, they are 4.93 m."""
    georeference = placed("EPSG:3857", 10, 0, 1_113_194.9 - 500, 0, -10, 8_399_737.9 + 100_000)

    assert georeference.pixel_size(20_000, 100) == pytest.approx(5, rel=3e-3)


def test_pixels_in_degrees_are_as_large_as_their_area():
    """At 60 degrees north a degree is 55,800 m from west to east and 111,412 m from south to north (tables of the
    ellipsoid): 0.0001 degrees are 5.58 m x 11.14 m, as much as 7.885 m squared."""
    georeference = placed("EPSG:4326", 0.0001, 0, 12, 0, -0.0001, 60.005)

    assert georeference.pixel_size(100, 100) == pytest.approx(7.885, abs=1e-3)


@pytest.mark.parametrize("angle", [0.3, 2.0, 4.0])
def test_turned_pixels_are_as_large_as_others(angle):
    cosine, sine = 10 * np.cos(angle), 10 * np.sin(angle)
    georeference = placed("EPSG:32632", cosine, sine, 500_000, sine, -cosine, 6_000_000)

    assert georeference.pixel_size(100, 200) == pytest.approx(10 / 0.9996, rel=1e-4)


def test_pixels_across_the_antimeridian():
    """The middle, column 50, is at 180 degrees."""
    georeference = placed("EPSG:4326", 0.0001, 0, 179.995, 0, -0.0001, 0.005)

    assert georeference.pixel_size(100, 100) == pytest.approx(11.1, abs=0.05)


def test_pixels_that_lie_nowhere_have_no_size():
    assert placed("EPSG:4326", 1, 0, 0, 0, -1, 300).pixel_size(10, 10) is None


def test_degrees_on_the_ellipsoid():
    """On the equator a degree of longitude is 6,378,137 m times pi / 180 = 111,319.49 m, one of latitude 110,574.28 m,
    which is less by the eccentricity squared; at the pole it is 6,399,593.63 m times pi / 180 = 111,693.98 m."""
    np.testing.assert_allclose(
        metres_per_degree(np.array([0.0, 90.0])), [(111_319.49, 110_574.28), (0, 111_693.98)], atol=0.01
    )
