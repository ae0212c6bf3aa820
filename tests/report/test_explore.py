import io
import json
import re
from base64 import b64decode
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.support.ui import WebDriverWait

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.errors import InputError, SkippedImageWarning
from shipseg_tiles.report.explore import explore
from shipseg_tiles.report.pictures import TRUTH
from shipseg_tiles.rle import encode

SEA = (20, 40, 60)


class Page(HTMLParser):
    """Collects what a page refers to and what it says."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data):
        self.words.append(data)

    def pictures(self, kind):
        start = f"data:image/{kind};base64,"
        data = [address.removeprefix(start) for address in self.addresses if address.startswith(start)]
        return [Image.open(io.BytesIO(b64decode(each))) for each in data]


def box(shape, row, column, height, width):
    mask = np.zeros(shape, dtype=np.uint8)
    mask[row : row + height, column : column + width] = 1
    return encode(mask)


def write_archive(folder, shape, ships):
    """Write images of one size and colour; `ships` names the boxes of each."""
    (folder / "images").mkdir()
    rows = []
    for name, boxes in ships.items():
        Image.new("RGB", shape[::-1], SEA).save(folder / "images" / name)
        rows += [f"{name},{box(shape, *each)}\n" for each in boxes] or [f"{name},\n"]
    (folder / "labels.csv").write_text("ImageId,EncodedPixels\n" + "".join(rows))
    return open_archive(folder / "images", folder / "labels.csv")


@pytest.fixture
def archive(tmp_path):
    """Four images of 150 x 200: `many` with three ships of 20 pixels, `large` with one of 600, `tiny` with one of 4,
    and `sea`."""
    ships = {
        "many.png": [(10, 10, 2, 10), (50, 50, 2, 10), (90, 90, 2, 10)],
        "large.png": [(40, 60, 10, 60)],
        "tiny.png": [(100, 3, 2, 2)],
        "sea.png": [],
    }
    return write_archive(tmp_path, (150, 200), ships)


def explored(archive, out):
    numbers = explore(archive, out)
    return numbers, (out / "explore.html").read_text(encoding="utf-8")


def captions(text):
    return re.findall(r"<figcaption>(.*?)</figcaption>", text)


def charts_of(text):
    """Names of the charts that the page holds, each of which has an element."""
    (held,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', text, re.DOTALL)
    names = [chart["target_id"] for chart in json.loads(held)]
    assert set(re.findall(r'<div class="chart" id="(\w+)"', text)) == set(names)
    return names


def test_the_file_of_numbers_holds_what_is_returned(archive, tmp_path):
    """664 ship pixels of 4 * 150 * 200. Patches of 64 begin at rows 0, 64, 86 and columns 0, 64, 128, 136: 12 in an
    image.

    `many`: (10..11, 10..19) lies in one; (50..51, 50..59) in one; (90..91, 90..99) in those of rows 64 and 86 and of
    column 64. `large`: (40..49, 60..119) in those of row 0 and columns 0 and 64. `tiny`: (100..101, 3..4) in those of
    rows 64 and 86 and column 0. The first two of `many` share the patch at 0, 0: 3 + 2 + 2 = 7.

    Patches of 128 begin at rows 0, 22 and columns 0, 72: 4. `many`: (10..11, 10..19) in 1 of them, at 0, 0;
    (50..51, 50..59) in that and the one at 22, 0; (90..91, 90..99) in all. `large` in all. `tiny` in two: 4 + 4 + 2.
    """
    numbers, _ = explored(archive, tmp_path / "out")

    assert json.loads((tmp_path / "out" / "explore.json").read_text()) == numbers
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["explore.html", "explore.json"]
    assert (numbers["images"], numbers["ship_images"], numbers["ships"]) == (4, 3, 5)
    assert (numbers["skipped"], numbers["missing"]) == (0, 0)
    assert numbers["ship_pixel_share_all_images"] == 664 / 120000
    assert numbers["patches"] == [
        {"patch": 64, "ship": 7, "background": 41},
        {"patch": 128, "ship": 10, "background": 6},
    ]
    assert numbers["brightness"]["images"] == 4
    assert numbers["brightness"]["other_pixels"]["mean"] == 40


def test_the_page_says_the_numbers(archive, tmp_path):
    _, text = explored(archive, tmp_path)

    assert "<td>4</td><td>images</td>" in text
    assert "<td>25 %</td><td>of the images are empty" in text
    assert "<td>0.553 %</td><td>of the pixels of all images are ship" in text
    assert "<td>150 x 200 (4)</td>" in text
    assert "<td>pixels of a ship</td><td>133</td><td>4</td>" in text  # 664 / 5, and the smallest
    assert "<td>128</td><td>10</td><td>6</td><td>62.5 %</td>" in text
    assert "4 of the 4 images" in text


def test_everything_that_it_shows_is_inside_the_file(archive, tmp_path):
    _, text = explored(archive, tmp_path)

    page = Page(text)
    assert len(page.pictures("jpeg")) == len(page.addresses) > 0
    assert "link" not in page.tags
    assert charts_of(text) == ["ships_per_image", "brightness", "ship_pixels", "ship_sides"]


def test_the_page_asks_the_network_for_nothing_and_draws_its_charts(archive, tmp_path, browser):
    explored(archive, tmp_path / "out")
    browser.get_log("browser")
    browser.get((tmp_path / "out" / "explore.html").as_uri())
    heights = """return Array.from(document.querySelectorAll(".chart"),
        (chart) => chart.firstElementChild?.getBoundingClientRect().height ?? 0)"""

    WebDriverWait(browser, 20).until(lambda _: min(browser.execute_script(heights)) > 150)

    assert len(browser.execute_script(heights)) == 4
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []


def test_a_long_name_makes_no_page_wider_than_a_phone(tmp_path, browser):
    archive = write_archive(tmp_path, (64, 64), {f"{'a' * 150}.png": [(8, 8, 4, 4)]})
    explore(archive, tmp_path / "out")
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        browser.get((tmp_path / "out" / "explore.html").as_uri())
        width = browser.execute_script("return document.documentElement.scrollWidth")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    assert width == 360


def test_the_bars_are_the_numbers(archive, tmp_path):
    """One image without ships, two with one and one with three; ships of 4, 20, 20, 20 and 600 px."""
    _, text = explored(archive, tmp_path)
    (held,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', text, re.DOTALL)
    ships_per_image, _, ship_pixels, _ = json.loads(held)

    def tops(chart):
        (entries,) = re.findall(r'"top", (\[.*?\])', json.dumps(chart))
        return json.loads(entries)

    assert tops(ships_per_image) == [1, 2, 0, 1]
    assert [top for top in tops(ship_pixels) if top] == [1, 3, 1]


def test_examples_of_each_kind(archive, tmp_path):
    """60 ship pixels is the median of 4, 60 and 600; `tiny` is nearer to it than `large`."""
    _, text = explored(archive, tmp_path)

    assert captions(text) == [
        "most ships: many.png, 3 ships, 60 ship pixels",
        "most ships: large.png, 1 ship, 600 ship pixels",
        "typical: many.png, 3 ships, 60 ship pixels",
        "typical: tiny.png, 1 ship, 4 ship pixels",
        "largest ship: large.png, 1 ship, 600 ship pixels",
        "largest ship: many.png, 3 ships, 60 ship pixels",
        "smallest ship: tiny.png, 4 px at row 100, column 4, enlarged 6 times",
        "smallest ship: many.png, 20 px at row 10, column 14, enlarged 6 times",
        "empty: sea.png, 0 ships, 0 ship pixels",
    ]


def test_ships_are_outlined_and_tiny_ones_enlarged(archive, tmp_path):
    """JPEG blurs thin lines: a colour counts as there if some pixel is nearer to it than to the sea.

    The 96 x 96 px around the ship at row 100, column 4 begin at row 52 and are moved to column 0: its pixels 3 and 4
    of row 100 stand at 18 to 29 across and 288 down, and the outline just above.
    """
    _, text = explored(archive, tmp_path)
    pictures = [np.array(picture) for picture in Page(text).pictures("jpeg")]

    def holds(picture):
        to_truth, to_sea = (np.abs(picture.astype(int) - colour).sum(axis=2) for colour in (TRUTH, SEA))
        return to_truth < to_sea

    assert [bool(holds(picture).any()) for picture in pictures] == [True] * 8 + [False]
    assert pictures[0].shape == (150, 200, 3)
    tiny = holds(pictures[6])
    assert tiny.shape == (576, 576)
    assert tiny[284:288, 20:28].any()
    assert not tiny[300:, 60:].any()


def test_no_ship_is_lost_when_a_large_image_is_shrunk(tmp_path):
    """2,100 px are shrunk 3 times; one pixel at an odd place would not survive taking every third."""
    archive = write_archive(tmp_path, (30, 2100), {"wide.png": [(10, 1000, 1, 1)]})

    _, text = explored(archive, tmp_path)

    picture = np.array(Page(text).pictures("jpeg")[0]).astype(int)
    assert picture.shape == (10, 700, 3)
    assert picture[..., 2].max() > 120  # the blue of the outline; the sea has 60


def test_an_archive_without_ships(tmp_path):
    numbers, text = explored(write_archive(tmp_path, (70, 70), {"sea.png": []}), tmp_path)

    assert numbers["ship_pixels"] is None
    assert numbers["patches"] == [{"patch": 64, "ship": 0, "background": 4}]
    assert "No image shows a ship." in text
    assert charts_of(text) == ["ships_per_image", "brightness"]
    assert captions(text) == ["empty: sea.png, 0 ships, 0 ship pixels"]


def test_an_archive_without_empty_images(tmp_path):
    numbers, text = explored(write_archive(tmp_path, (70, 70), {"a.png": [(3, 3, 1, 1)]}), tmp_path)

    assert numbers["empty_share"] == 0
    assert not any(caption.startswith("empty") for caption in captions(text))


def test_bad_images_are_left_out_of_all_numbers(archive, tmp_path):
    """`large` has a bad header; the pixels of `many` are torn, which shows only when it is decoded."""
    (tmp_path / "images" / "large.png").write_text("no image")
    noise = np.random.default_rng(0).integers(0, 255, (150, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "images" / "many.png").write_bytes((tmp_path / "whole.png").read_bytes()[:40000])

    with pytest.warns(SkippedImageWarning) as warned:
        numbers, text = explored(archive, tmp_path)

    assert [str(each.message).split()[0] for each in warned] == ["large.png", "many.png"]
    assert numbers["skipped"] == 2
    assert (numbers["images"], numbers["ships"], numbers["ship_pixels"]["largest"]) == (2, 1, 4)
    assert numbers["patches"][0] == {"patch": 64, "ship": 2, "background": 22}
    assert numbers["brightness"]["images"] == 2
    assert not [caption for caption in captions(text) if "many.png" in caption or "large.png" in caption]


@pytest.mark.filterwarnings("ignore::shipseg_tiles.errors.SkippedImageWarning")
def test_without_a_usable_image_nothing_is_written(archive, tmp_path):
    for path in (tmp_path / "images").iterdir():
        path.write_text("no image")

    with pytest.raises(InputError, match=r"none of the 4 images in .* is usable; the first: .*large.png is damaged"):
        explore(archive, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_name_is_text_not_code(tmp_path):
    name = "<script>alert('ships & sea')<.png"
    _, text = explored(write_archive(tmp_path, (70, 70), {name: []}), tmp_path)

    page = Page(text)
    assert "<script>alert" not in text
    assert f"empty: {name}, 0 ships" in "".join(page.words)


def test_the_same_archive_makes_the_same_files(scenes, tmp_path):
    for out in ("first", "second"):
        explore(scenes, tmp_path / out)

    for name in ("explore.html", "explore.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
