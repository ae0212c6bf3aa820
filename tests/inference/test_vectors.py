import json
import sys

import numpy as np
import pytest

from shipseg_tiles.connected import separate_objects
from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.detection import Ship
from shipseg_tiles.inference.georeference import Georeference
from shipseg_tiles.inference.scenes import open_scene
from shipseg_tiles.inference.vectors import ship_features, write_geojson

rasterio = pytest.importorskip("rasterio", reason="GeoTIFF is an optional extra")
warp = pytest.importorskip("rasterio.warp", reason="GeoTIFF is an optional extra")
pytest.importorskip("shapely", reason="GeoJSON is an optional extra")


def block(rows, columns, height):
    """Pixel indices of a rectangle of pixels."""
    return np.sort(np.add.outer(np.arange(*columns) * height, np.arange(*rows)).ravel())


def pixels(height, *places):
    """Pixel indices of (row, column) each."""
    return np.sort(np.array([column * height + row for row, column in places]))


def ring_of(feature):
    """The corners of a feature, which must run counter-clockwise and come back to the first."""
    assert feature["type"] == "Feature"
    assert feature["geometry"]["type"] == "Polygon"
    (ring,) = feature["geometry"]["coordinates"]
    x, y = np.array(ring).T
    assert len(ring) == 5
    assert ring[0] == ring[4]
    x, y = x - x[0], y - y[0]
    assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0
    return ring[:4]


def one(ship, height, georeference=None):
    """Corners and properties of the one ship."""
    (feature,) = ship_features([Ship(ship, 0.5)], height, georeference)
    return ring_of(feature), feature["properties"]


def in_utm(transform, zone=32632):
    return Georeference(rasterio.CRS.from_epsg(zone).to_wkt(), tuple(transform)[:6])


def apply(transform, columns, rows):
    """x and y of columns and rows, or with the inverse transform the other way round."""
    a, b, c, d, e, f = tuple(transform)[:6]
    return a * columns + b * rows + c, d * columns + e * rows + f


def on_pixels(ring, crs, transform):
    """Columns and rows (2, N) of points given in longitude and latitude."""
    x, y = warp.transform("EPSG:4326", crs, *zip(*ring, strict=True))
    return np.array(apply(~transform, np.array(x), np.array(y)))


MIDDLE = rasterio.Affine(10, 0, 500_000 - 1000, 0, -10, 6_000_000)
"""10 m pixels; column 100 is the meridian of 9 degrees, where grid north is north and 10 m are 10 / 0.9996 m."""


def test_a_pixel_is_a_square():
    corners, properties = one(pixels(100, (3, 5)), 100)

    assert sorted(corners) == [[5, -4], [5, -3], [6, -4], [6, -3]]
    assert properties.pop("heading") in (0, 90)
    assert properties == {
        "number": 1,
        "centre": [5.5, -3.5],
        "length": 1,
        "width": 1,
        "unit": "px",
        "pixels": 1,
        "score": 0.5,
    }


def test_upright_and_lying_ships_have_whole_sides():
    """Rows 10 and 11, columns 20 to 26: 7 px to the right and 2 down; and the same turned."""
    lying_corners, lying = one(block((10, 12), (20, 27), 50), 50)
    standing_corners, standing = one(block((20, 27), (10, 12), 50), 50)

    assert sorted(lying_corners) == [[20, -12], [20, -10], [27, -12], [27, -10]]
    assert (lying["length"], lying["width"], lying["heading"], lying["pixels"]) == (7, 2, 90, 14)
    assert lying["centre"] == [23.5, -11]
    assert sorted(standing_corners) == [[10, -27], [10, -20], [12, -27], [12, -20]]
    assert (standing["length"], standing["width"], standing["heading"]) == (7, 2, 0)


@pytest.mark.parametrize(("sign", "heading"), [(1, 135), (-1, 45)])
def test_stairs_are_a_turned_rectangle(sign, heading):
    """Ten pixels corner to corner: from the first corner to the last 10 sqrt(2) = 14.14; across, the other two corners
    of each pixel are sqrt(2) = 1.41 apart. Down to the right is south-east, 135 degrees; up to the right 45."""
    ship = pixels(60, *((30 + sign * step, 20 + step) for step in range(10)))

    _, properties = one(ship, 60)

    assert (properties["length"], properties["width"], properties["heading"]) == (14.14, 1.41, heading)
    assert properties["centre"] == pytest.approx([25, -35 if sign == 1 else -26], abs=1e-3)


def test_gaps_and_bays_are_inside_the_rectangle():
    """A U of 5 x 6 pixels without its inside, and a second part 3 columns on: columns 2 to 10, rows 4 to 8."""
    sides = [(row, column) for row in range(4, 9) for column in (2, 7)]
    bottom = [(8, column) for column in range(2, 8)]
    ship = np.unique(pixels(20, *sides, *bottom, (4, 10), (8, 10)))

    corners, properties = one(ship, 20)

    assert sorted(corners) == [[2, -9], [2, -4], [11, -9], [11, -4]]
    assert properties["pixels"] == ship.size == 16


def test_the_centre_of_a_lopsided_ship_is_that_of_its_rectangle():
    """Stairs of 20 pixels down to the right, whose first 5 columns are 4 pixels high. The columns 10 to 29 and the rows
    20 to 39 would have their middle at (20, -30), but the rectangle is wider to the lower left."""
    ship = pixels(90, *((20 + step + below, 10 + step) for step in range(20) for below in range(4 if step < 5 else 1)))

    lopsided, straight = ship_features([Ship(ship, 0.5), Ship(block((60, 64), (50, 70), 90), 0.5)], 90, None)

    assert lopsided["properties"]["heading"] == 135
    assert lopsided["properties"]["centre"] == np.mean(ring_of(lopsided), axis=0).tolist() == [19.25, -30.75]
    assert straight["properties"]["centre"] == [60, -62]


def test_ships_keep_their_order_and_scores():
    ships = [Ship(pixels(10, (1, 8)), 0.25), Ship(block((2, 4), (0, 6), 10), 0.123456), Ship(pixels(10, (9, 9)), 1.0)]

    features = ship_features(ships, 10, None)

    assert [feature["properties"]["number"] for feature in features] == [1, 2, 3]
    assert [feature["properties"]["score"] for feature in features] == [0.25, 0.1235, 1]
    assert [feature["properties"]["pixels"] for feature in features] == [1, 12, 1]
    assert [feature["properties"]["centre"] for feature in features] == [[8.5, -1.5], [3, -3], [9.5, -9.5]]
    assert ship_features([], 10, None) == []


@pytest.mark.parametrize(("degrees", "heading"), [(0, 90), (30, 60), (90, 0), (120, 150), (-20, 110)])
def test_scene_turned_in_utm(degrees, heading):
    """20 columns x 4 rows: 200 / 0.9996 = 200.08 m x 40.02 m. The columns of a scene that is turned by an angle against
    the clock run that angle to the north of east."""
    east, north = 10 * np.cos(np.radians(degrees)), 10 * np.sin(np.radians(degrees))
    transform = (east, north, 500_000, north, -east, 6_000_000)

    _, properties = one(block((8, 12), (0, 20), 50), 50, in_utm(transform))

    assert (properties["length"], properties["width"]) == (200.08, 40.02)
    assert properties["heading"] == pytest.approx(heading, abs=0.1)
    assert len(str(properties["heading"])) <= len("179.9")
    assert properties["unit"] == "m"


def test_heading_is_from_true_north():
    """3 degrees east of the zone's meridian, at 55 degrees north, grid north is tan = tan(3) sin(55) = 0.0524078 *
    0.819152 = 0.04293, 2.46 degrees off: what runs along the grid to the east runs 92.46 degrees from north."""
    (east,), (north,) = warp.transform("EPSG:4326", "EPSG:32632", [12], [55])

    _, properties = one(block((0, 2), (0, 30), 50), 50, in_utm(rasterio.Affine(10, 0, east, 0, -10, north)))

    assert properties["heading"] == 92.5


def test_metres_are_true_in_web_mercator():
    """At 60 degrees north, y = 8,399,737.89. With 1 - e2 sin2 = 1 - 0.00669438 * 0.75 = 0.99497922, whose root is
    0.99748645, the radii are N = a / 0.99748645 = 1.00251988 a eastwards, and northwards
    M = 0.99330562 a / (0.99497922 * 0.99748645) = 1.00083361 a. An angle is cos(60) = 0.5 of its length on the map:
    20 pixels of 10 are 200 * 0.5 * 1.00251988 = 100.25 m, 4 are 40 * 0.5 * 1.00083361 = 20.02 m."""
    transform = rasterio.Affine(10, 0, 1_000_000, 0, -10, 8_399_737.89 + 20)
    georeference = Georeference(rasterio.CRS.from_epsg(3857).to_wkt(), tuple(transform)[:6])

    _, properties = one(block((0, 4), (0, 20), 50), 50, georeference)

    assert (properties["length"], properties["width"], properties["heading"]) == (100.25, 20.02, 90)


@pytest.mark.parametrize(
    ("latitude", "columns", "rows", "length", "width", "heading"),
    [(0, 10, 3, 111.32, 33.17, 90), (0, 3, 10, 110.57, 33.4, 0), (60, 10, 10, 111.41, 55.8, 0)],
)
def test_metres_are_true_in_degrees(latitude, columns, rows, length, width, heading):
    """Pixels of 0.0001 degrees. On the equator a degree is 6,378,137 pi / 180 = 111,319.5 m eastwards, and northwards
    0.99330562 of it, 110,574.3 m. At 60 degrees (see above) 1.00251988 * 0.5 * 111,319.5 = 55,800 m and 1.00083361 *
    111,319.5 = 111,412 m: ten pixels each way are no square there."""
    transform = (0.0001, 0, 12, 0, -0.0001, latitude + 0.0001 * rows / 2)
    georeference = Georeference(rasterio.CRS.from_epsg(4326).to_wkt(), transform)

    corners, properties = one(block((0, rows), (0, columns), 50), 50, georeference)

    assert (properties["length"], properties["width"], properties["heading"]) == (length, width, heading)
    assert min(corner[0] for corner in corners) == 12
    assert max(corner[0] for corner in corners) == pytest.approx(12 + columns * 0.0001, abs=1e-7)
    assert properties["centre"] == pytest.approx([12 + columns * 0.00005, latitude], abs=1e-7)


def test_smallest_rectangle_is_that_on_the_ground():
    """A diagonal of pixels that are twice as high as wide on the ground (60 degrees north, in degrees): the smallest
    rectangle in the map's plane would run at 45 degrees, that on the ground at atan(55.8 / 111.4) = 26.6."""
    georeference = Georeference(rasterio.CRS.from_epsg(4326).to_wkt(), (0.0001, 0, 12, 0, -0.0001, 60.002))

    _, properties = one(pixels(60, *((40 - step, step) for step in range(40))), 60, georeference)

    assert properties["heading"] == pytest.approx(26.6, abs=0.1)


def test_scene_whose_rows_run_north_has_the_same_ships():
    """Row r of 50 is row 50 - r of the other, counted at the pixels' borders."""
    upright = in_utm(MIDDLE)
    flipped = in_utm((10, 0, 500_000 - 1000, 0, 10, 6_000_000 - 500))

    corners, properties = one(block((10, 14), (5, 25), 50), 50, upright)
    flipped_corners, flipped_properties = one(block((36, 40), (5, 25), 50), 50, flipped)

    assert np.allclose(sorted(corners), sorted(flipped_corners), atol=1e-6)
    assert properties["heading"] == flipped_properties["heading"] == 90


def test_longitudes_beyond_180_degrees_are_those_of_the_west():
    """GeoJSON has them from -180 to 180. Columns 10 to 29 of 0.001 degrees, from 200 on, far in the north."""
    georeference = Georeference(rasterio.CRS.from_epsg(4326).to_wkt(), (0.001, 0, 200, 0, -0.001, 70))

    corners, _ = one(block((0, 4), (10, 30), 50), 50, georeference)

    assert min(corners)[0] == pytest.approx(-160 + 0.01, abs=1e-6)
    assert max(corners)[0] == pytest.approx(-160 + 0.03, abs=1e-6)


def test_ship_on_the_antimeridian_is_one_piece():
    """In zone 60, on the equator, 180 degrees east is at an easting of 833,979 m; 30 pixels of 10 m across it."""
    transform = rasterio.Affine(10, 0, 833_979 - 150, 0, -10, 1000)

    corners, properties = one(block((0, 4), (0, 30), 50), 50, in_utm(transform, 32660))

    longitudes = [corner[0] for corner in corners]
    assert min(longitudes) == pytest.approx(180 - 0.00135, abs=2e-5)
    assert max(longitudes) == pytest.approx(180 + 0.00135, abs=2e-5)
    assert properties["length"] == pytest.approx(300, rel=2e-3)
    assert abs(properties["centre"][0]) == pytest.approx(180, abs=1e-5)


PLACES = {
    "utm": ("EPSG:32632", rasterio.Affine(3, 0, 480_000, 0, -3, 5_950_000)),
    "turned": ("EPSG:32632", rasterio.Affine(2.6, 1.5, 480_000, 1.5, -2.6, 5_950_000)),
    "mercator": ("EPSG:3857", rasterio.Affine(5, 0, 970_000, 0, -5, 7_100_000)),
    "degrees": ("EPSG:4326", rasterio.Affine(4e-5, 0, 8.7, 0, -2.5e-5, 53.7)),
}


def drawn(path, crs, transform, corners):
    """Write a scene of 400 x 300 pixels that is white where a pixel's middle lies in the polygon, given in metres of
    UTM zone 32, and black elsewhere."""
    columns, rows = np.meshgrid(np.arange(300) + 0.5, np.arange(400) + 0.5)
    x, y = apply(transform, columns.ravel(), rows.ravel())
    east, north = (np.reshape(axis, columns.shape) for axis in warp.transform(crs, "EPSG:32632", x, y))
    inside = np.ones(columns.shape, dtype=bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inside &= (x2 - x1) * (north - y1) - (y2 - y1) * (east - x1) > 0
    profile = {"driver": "GTiff", "height": 400, "width": 300, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", crs=crs, transform=transform, **profile) as dataset:
        dataset.write(inside.astype(np.uint8) * 255, 1)


@pytest.mark.parametrize("azimuth", [0, 20, 45, 90, 157])
@pytest.mark.parametrize("place", PLACES)
def test_ship_on_the_ground_comes_back(place, azimuth, tmp_path):
    """A ship of 180 x 36 m in the middle of the scene, whose pixels are 2.6 to 3.01 m large on the ground. The pixels
    whose middles it holds end up to half a pixel inside or outside of it where it lies along them, and elsewhere stick
    out by up to half their diagonal, 0.71 px: in all 1 px less to 1.42 px more."""
    crs, transform = PLACES[place]
    (east,), (north,) = warp.transform(crs, "EPSG:32632", *([axis] for axis in apply(transform, 150, 200)))
    ahead = np.array([np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))])
    aside = np.array([ahead[1], -ahead[0]])
    corners = np.array(
        [(east, north) + 90 * ahead * s + 18 * aside * t for s, t in [(-1, 1), (1, 1), (1, -1), (-1, -1)]]
    )
    drawn(tmp_path / "scene.tif", crs, transform, corners)

    with open_scene(tmp_path / "scene.tif") as scene:
        ships = separate_objects(scene[:, :][..., 0])
        assert len(ships) == 1
        ring, properties = one(ships[0], 400, scene.georeference)

    assert -3.01 <= properties["length"] - 180 <= 1.42 * 3.01
    assert -3.01 <= properties["width"] - 36 <= 1.42 * 3.01
    off = (properties["heading"] - azimuth + 90) % 180 - 90  # 9 degrees east is near: grid north is north to 0.3
    assert abs(off) <= 1.5
    back = on_pixels(ring, crs, transform)
    true = np.array(apply(~transform, *map(np.array, warp.transform("EPSG:32632", crs, *corners.T))))
    for corner in true.T:
        assert np.min(np.hypot(*(back - corner[:, np.newaxis]))) <= 2.5  # pixels


@pytest.mark.parametrize("place", PLACES)
def test_ship_along_the_pixels_comes_back_exactly(place, tmp_path):
    """A ship that covers rows 100 to 105 and columns 30 to 70 lies on those pixels again, and is as long and wide as
    its corners are apart: to a centimetre, which is far below half a pixel. Metres of the zone are 0.9996 of true ones
    near its meridian."""
    crs, transform = PLACES[place]
    pixel_corners = np.array([(30, 106), (71, 106), (71, 100), (30, 100)])
    corners = np.transpose(warp.transform(crs, "EPSG:32632", *apply(transform, *pixel_corners.T)))
    drawn(tmp_path / "scene.tif", crs, transform, corners)

    with open_scene(tmp_path / "scene.tif") as scene:
        ring, properties = one(*separate_objects(scene[:, :][..., 0]), 400, scene.georeference)

    assert sorted(on_pixels(ring, crs, transform).T.round(1).tolist()) == [[30, 100], [30, 106], [71, 100], [71, 106]]
    assert properties["length"] == pytest.approx(np.hypot(*(corners[1] - corners[0])) / 0.9996, abs=0.01)
    assert properties["width"] == pytest.approx(np.hypot(*(corners[2] - corners[1])) / 0.9996, abs=0.01)
    assert properties["pixels"] == 6 * 41


def test_file_is_geojson(tmp_path):
    features = ship_features([Ship(block((8, 12), (90, 110), 50), 0.9)], 50, in_utm(MIDDLE))
    path = tmp_path / "ships" / "scene.geojson"

    write_geojson(path, features)

    assert json.loads(path.read_text()) == {"type": "FeatureCollection", "features": features}
    assert features[0]["properties"]["centre"] == pytest.approx([9, 54.147], abs=1e-3)
    assert [file.name for file in path.parent.iterdir()] == ["scene.geojson"]
    write_geojson(path, [])
    assert json.loads(path.read_text()) == {"type": "FeatureCollection", "features": []}


def test_ships_outside_the_earth_are_refused():
    with pytest.raises(InputError, match="nowhere on earth"):
        one(pixels(50, (1, 1)), 50, in_utm(rasterio.Affine(10, 0, 1e30, 0, -10, 0)))


def test_without_shapely_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "shapely", None)

    with pytest.raises(InputError, match=r"needs shapely; .*pip install -e '\.\[scenes\]'$"):
        one(pixels(50, (1, 1)), 50)
