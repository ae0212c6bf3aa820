"""What the server answers, asked over HTTP."""

import json
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import PurePath

import numpy as np
import pytest
from PIL import Image

CSV = """ImageId,EncodedPixels
{name},541 10 641 10 741 10
{name},2011 4 2111 4 2211 4 2311 4 2411 4 2511 4
{name},6071 5 6171 5 6271 5 6371 5 6471 5 6571 5 6671 5 6771 5 6871 5 6971 5
"""
"""Row 40 of column 5 is pixel 5 * 100 + 40 + 1."""


def test_the_page_and_what_it_needs_come_from_the_server_alone(site):
    page = site.get("/")

    assert page.status_code == 200
    assert "up to 1 MB and 2\nmillion pixels" in page.text
    assert "http" not in page.text.replace("http://www.w3.org", "")
    for file, kind in (("page.js", "text/javascript"), ("page.css", "text/css"), ("icon.svg", "image/svg+xml")):
        answer = site.get(f"/static/{file}")
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, kind)
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert page.headers["content-security-policy"].startswith("default-src 'self';")


def test_ships_of_an_image_are_found(finished, site, drawn, encoded):
    """The boxes are 10 x 3, 4 x 6 and 5 x 10 px, height first: the first one's long side points up, which is 0."""
    pixels = drawn()
    identity, task = finished(encoded(pixels), "three.png")

    seconds, ships = task.pop("seconds"), task.pop("ships")
    assert task == {"name": "three.png", "state": "done", "height": 100, "width": 80, "shrunk": 1, "remark": ""}
    assert seconds >= 0
    told = [[ship[name] for name in ("number", "pixels", "length", "width", "heading", "unit")] for ship in ships]
    assert told == [[1, 30, 10, 3, 0, "px"], [2, 24, 6, 4, 90, "px"], [3, 50, 10, 5, 90, "px"]]
    assert [ship["score"] for ship in ships] == pytest.approx([1, 1, 1])
    assert sorted(ships[0]["outline"]) == [[5, 40], [5, 50], [8, 40], [8, 50]]
    assert site.get(f"/tasks/{identity}/csv").text == CSV.format(name="three.png")
    mask = np.array(Image.open(BytesIO(site.get(f"/tasks/{identity}/mask").content)))
    assert np.array_equal(mask, pixels[..., 0])
    features = site.get(f"/tasks/{identity}/geojson").json()["features"]
    assert [feature["properties"]["pixels"] for feature in features] == [30, 24, 50]
    assert features[0]["geometry"]["coordinates"][0][0][1] < 0  # rows run down from 0


def test_an_image_without_ships_is_a_result_too(finished, site, drawn, encoded):
    identity, task = finished(encoded(drawn([])), "sea.png")

    assert (task["state"], task["ships"]) == ("done", [])
    assert site.get(f"/tasks/{identity}/csv").text == "ImageId,EncodedPixels\nsea.png,\n"
    assert site.get(f"/tasks/{identity}/geojson").json() == {"type": "FeatureCollection", "features": []}
    assert not np.array(Image.open(BytesIO(site.get(f"/tasks/{identity}/mask").content))).any()


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "WEBP", "TIFF"])
def test_the_kind_of_a_file_is_seen_in_it_not_in_its_name(finished, drawn, encoded, kind):
    _, task = finished(encoded(drawn(), kind), "three.png")

    assert len(task["ships"]) == 3


def test_users_at_once_get_the_results_of_their_own_images(finished, site, drawn, encoded):
    """Each of 12 images has one box of 5 x 5 px, in another column: the first pixel of the 7th is 7 * 5 * 100 + 1."""

    def ask(number):
        name = f"{number}.png"
        identity, _ = finished(encoded(drawn([(0, 5 * number, 5, 5)])), name)
        return site.get(f"/tasks/{identity}/csv").text

    with ThreadPoolExecutor(12) as users:
        answers = list(users.map(ask, range(12)))

    for number, text in enumerate(answers):
        runs = " ".join(f"{column * 100 + 1} 5" for column in range(5 * number, 5 * number + 5))
        assert text == f"ImageId,EncodedPixels\n{number}.png,{runs}\n"


def test_a_scene_is_measured_in_metres_and_keeps_its_place(finished, site, scene):
    """Its left border is the middle of the zone, where the projection shortens by 0.9996: 10 px are 100.04 m."""
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFF is an optional extra")

    identity, task = finished(scene(), "harbour.tif")

    assert task["remark"].startswith("has pixels of 10 m, and the net is for 5 m; --pixel-size 10 lets it see ")
    assert [ship["unit"] for ship in task["ships"]] == ["m"] * 3
    assert [ship["length"] for ship in task["ships"]] == pytest.approx([100.04, 60.02, 100.04], abs=0.02)
    assert sorted(map(tuple, task["ships"][0]["outline"])) == [(5, 40), (5, 50), (8, 40), (8, 50)]
    assert site.get(f"/tasks/{identity}/csv").text == CSV.format(name="harbour.tif")
    longitude, latitude = site.get(f"/tasks/{identity}/geojson").json()["features"][0]["properties"]["centre"]
    assert (longitude, latitude) == pytest.approx((9.001, 54.15), abs=0.01)
    mask = site.get(f"/tasks/{identity}/mask")
    assert mask.headers["content-disposition"] == 'attachment; filename="harbour_mask.tif"'
    with rasterio.MemoryFile(mask.content).open() as dataset:
        assert dataset.crs.to_epsg() == 32632
        assert np.count_nonzero(dataset.read(1) == 255) == 104


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc/passwd.jpg", "passwd.jpg"),
        ("C:\\ships\\one.png", "one.png"),
        ("..", "image"),
        ("", "image"),
        (".hidden.png", "image"),
        ("a\x00b\r\nc\x1b.png", "abc.png"),
        ("x" * 300 + ".png", "x" * 96 + ".png"),
    ],
)
def test_names_lose_their_folders(finished, site, drawn, encoded, text, name):
    identity, task = finished(encoded(drawn([])), text)

    assert task["name"] == name
    said = site.get(f"/tasks/{identity}/mask").headers["content-disposition"]
    assert said == f'attachment; filename="{PurePath(name).stem}_mask.png"'


def test_names_of_other_scripts_are_kept(finished, site, drawn, encoded):
    """U+8239 is a ship; it has the bytes E8 88 B9."""
    identity, task = finished(encoded(drawn([])), '\u8239 "1".png')

    assert task["name"] == '\u8239 "1".png'
    said = site.get(f"/tasks/{identity}/csv").headers["content-disposition"]
    assert said == """attachment; filename*=utf-8''%E8%88%B9%20%221%22.csv; filename="___1_.csv\""""


def refusal(site, data, name="ship.jpg"):
    answer = site.post("/tasks", params={"name": name}, content=data)
    return answer.status_code, answer.json()["error"]


def test_what_is_no_image_is_refused(site):
    words = "ship.jpg is no image that can be read here; choose a JPEG, PNG, TIFF, BMP or WebP"

    assert refusal(site, b"hello") == (415, words)
    assert refusal(site, b"%!PS-Adobe-3.0 EPSF-3.0") == (415, words)
    assert refusal(site, b"") == (400, "ship.jpg is empty; choose an image")


def test_a_damaged_image_is_refused_by_its_name(site, drawn, encoded, scene):
    jpeg = encoded(drawn(), "JPEG")
    deep = encoded(drawn()[..., 0].astype(np.uint16) * 257)

    for data, words in (
        (jpeg[:-20], "ship.jpg is cut off: a JPEG ends with its end marker"),
        (jpeg[:9], "ship.jpg is damaged"),
        (b"\x89PNG\r\n\x1a\n", "ship.jpg is damaged"),
        (b"II*\x00rubbish", "ship.jpg is damaged"),
        (deep, "ship.jpg has pixels of mode I;16"),
        (scene(count=4, dtype="uint16"), "ship.jpg has 4 bands of uint16; say which bands are red, green and blue"),
    ):
        status, error = refusal(site, data)
        assert status == 400
        assert error.startswith(words)


def test_damage_that_shows_up_late_makes_a_failed_task(finished, site, encoded):
    """Half of the compressed pixels are missing; the header is whole."""
    data = encoded(np.random.default_rng(0).integers(0, 256, (100, 80, 3), dtype=np.uint8))

    identity, task = finished(data[: len(data) // 2], "half.png")

    assert task["state"] == "failed"
    assert task["error"].startswith("half.png is damaged or no image")
    assert site.get(f"/tasks/{identity}/mask").status_code == 404


def test_too_large_a_file_is_refused_before_it_is_there(site):
    """With its size said beforehand, and without: a generator is sent in chunks."""
    words = "ship.jpg has more than 1 MB; cut it into parts, or start the server with --largest-file"

    assert refusal(site, bytes(1_000_001)) == (413, words)
    assert refusal(site, (bytes(100_000) for _ in range(11))) == (413, words)
    assert refusal(site, bytes(1_000_000))[0] == 415


def test_too_large_an_image_is_refused_by_its_header(site, encoded):
    """2000 x 1001 black pixels are 2.002 million, in a file of a few kB without its end: nothing is decoded."""
    data = encoded(np.zeros((2000, 1001, 3), dtype=np.uint8))

    assert refusal(site, data[:1000]) == (
        413,
        "ship.jpg has 2000 x 1001 pixels, more than 2 million; cut it into parts, or start the server with"
        " --largest-image",
    )


def test_an_image_beyond_what_any_command_takes_is_refused_by_the_limit_of_the_server(site):
    """60,000 x 60,000 pixels, as the header of a PNG says that holds none."""
    header = struct.pack(">I4sIIBBBBB", 13, b"IHDR", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + header + struct.pack(">I", zlib.crc32(header[4:]))

    status, error = refusal(site, data + struct.pack(">I4s", 100, b"IDAT") + bytes(104))

    assert (status, error) == (
        413,
        "ship.jpg has 60000 x 60000 pixels, more than 2 million; cut it into parts, or start the server with"
        " --largest-image",
    )


def test_an_image_that_is_a_long_line_is_refused(site, encoded):
    data = encoded(np.zeros((1, 131073, 3), dtype=np.uint8))

    assert refusal(site, data) == (
        413,
        "ship.jpg has 1 x 131073 pixels, more than 131072 to a side; cut it into parts",
    )


def test_a_form_is_refused_with_a_word_on_how_to_send_a_file(site, encoded):
    data = encoded(np.zeros((8, 8, 3), dtype=np.uint8))

    answer = site.post("/tasks", params={"name": "ship.png"}, files={"file": data})

    assert answer.status_code == 415
    assert answer.json() == {"error": "the body is a form; send the file itself, as curl --data-binary @FILE does"}


def test_options_that_an_error_names_are_said_to_be_those_of_the_server(site, scene):
    _, error = refusal(site, scene(dtype="uint16"))

    assert error.endswith("such as --scale 0,3000; such options are given where the server is started")


@pytest.mark.parametrize(
    "path",
    ["/tasks/none", "/tasks/none/mask", "/tasks/..%2f..%2f", "/static/../app.py", "/static/%2e%2e/app.py", "/else"],
)
def test_what_is_not_there_is_not_found(site, path):
    answer = site.get(path)

    assert answer.status_code == 404
    assert json.loads(answer.text)["error"]


def test_other_names_than_the_own_are_refused(site, address, drawn, encoded):
    port = address.rpartition(":")[2]

    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        assert site.get("/", headers={"host": host}).status_code == 200
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "192.0.2.1", "", "["):
        answer = site.get("/", headers={"host": host})
        assert (answer.status_code, "there is no" in answer.json()["error"]) == (400, True)


def test_other_sites_may_not_send_images(site, address, drawn, encoded):
    data = encoded(drawn())

    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"):
        answer = site.post("/tasks", content=data, headers={"origin": origin})
        assert (answer.status_code, answer.json()["error"]) == (403, f"a page of {origin} may not send images here")
    assert site.post("/tasks", content=data, headers={"origin": address}).status_code == 201
