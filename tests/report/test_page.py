import io
import re
from base64 import b64decode
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.report.page import write_page
from shipseg_tiles.report.pictures import PREDICTED, TRUTH
from shipseg_tiles.rle import encode
from shipseg_tiles.scoring.score import score_labels

SHAPE = (40, 60)


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

    @property
    def pictures(self):
        return [Image.open(io.BytesIO(b64decode(address.split(",")[1]))) for address in self.addresses]


def box(row, column, height, width):
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[row : row + height, column : column + width] = 1
    return encode(mask)


@pytest.fixture
def scored(tmp_path):
    """Four images: `half` is found by half (dice 2/3), `whole` wholly, `sea` has and gets nothing, `false` has nothing
    and gets a ship."""
    (tmp_path / "images").mkdir()
    for name in ("half", "whole", "sea", "false"):
        Image.new("RGB", SHAPE[::-1], (20, 40, 60)).save(tmp_path / "images" / f"{name}.png")
    truth = {"half": box(10, 10, 4, 8), "whole": box(5, 5, 3, 3), "sea": "", "false": ""}
    rows = [f"{name}.png,{ship}\n" for name, ship in truth.items()]
    (tmp_path / "labels.csv").write_text("ImageId,EncodedPixels\n" + "".join(rows))
    archive = open_archive(tmp_path / "images", tmp_path / "labels.csv")
    predicted = Labels(
        "predictions",
        {
            "false.png": (box(20, 20, 5, 5),),
            "half.png": (box(10, 10, 4, 4),),
            "sea.png": (),
            "whole.png": (box(5, 5, 3, 3),),
        },
    )
    return archive, predicted, score_labels(archive.labels, predicted)


def page_of(path, scored, title="A title", **options):
    archive, predicted, scores = scored
    write_page(path, title, archive, predicted, scores, **options)
    return path.read_text(encoding="utf-8")


def test_the_headline_is_the_true_dice_of_all_images(tmp_path, scored):
    """(2/3 + 1 + 1 + 0) / 4 = 0.667."""
    text = page_of(tmp_path / "page.html", scored)

    assert '<p class="score">0.667</p>' in text
    assert "all 4 images" in text
    assert "<td>0.8333</td>" in text  # over the ship images: (2/3 + 1) / 2


def test_everything_that_it_shows_is_inside_the_file(tmp_path, scored):
    text = page_of(tmp_path / "page.html", scored)

    page = Page(text)
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert not re.search(r"https?://|url\(|@import", text)


def test_the_worst_images_come_first_and_empty_ones_last(tmp_path, scored):
    captions = re.findall(r"<figcaption>([^:]+): dice ([0-9.]+)", page_of(tmp_path / "page.html", scored))

    assert captions == [("false.png", "0.000"), ("half.png", "0.667"), ("whole.png", "1.000"), ("sea.png", "1.000")]


def test_no_more_pictures_than_asked_for(tmp_path, scored):
    assert len(Page(page_of(tmp_path / "page.html", scored, pictures=2)).pictures) == 2


def test_true_and_predicted_ships_are_outlined_in_their_colours(tmp_path, scored):
    """JPEG blurs thin lines: a colour counts as there if some pixel is nearer to it than to the sea."""
    false, half, whole, sea = Page(page_of(tmp_path / "page.html", scored)).pictures

    def holds(picture, colour):
        pixels = np.array(picture.convert("RGB")).astype(int)
        to_colour, to_sea = (np.abs(pixels - other).sum(axis=2) for other in (colour, (20, 40, 60)))
        return bool((to_colour < to_sea).any())

    assert false.size == SHAPE[::-1]
    assert [holds(picture, PREDICTED) for picture in (false, half, whole, sea)] == [True, True, True, False]
    assert not holds(false, TRUTH)
    assert holds(half, TRUTH)


def test_curves_are_shown_if_there_are_any(tmp_path, scored):
    Image.new("RGB", (50, 20)).save(tmp_path / "curves.png")

    without = Page(page_of(tmp_path / "without.html", scored))
    with_curves = Page(page_of(tmp_path / "with.html", scored, curves=tmp_path / "curves.png"))

    assert len(with_curves.pictures) == len(without.pictures) + 1
    assert with_curves.pictures[-1].size == (50, 20)


def test_a_title_is_text_not_code(tmp_path, scored):
    text = page_of(tmp_path / "page.html", scored, title="<script>alert('ships & sea')</script>")

    page = Page(text)
    assert "script" not in page.tags
    assert "<script>alert('ships & sea')</script>" in "".join(page.words)
