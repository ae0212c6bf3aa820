"""What the gallery's script does in a browser."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from shipseg_tiles.connected import separate_objects
from shipseg_tiles.inference.detection import Strip, join_ships
from shipseg_tiles.masks import write_mask
from shipseg_tiles.pixels import mask_of, union
from shipseg_tiles.report.gallery import Gallery
from shipseg_tiles.report.report import ReportData, write_report
from shipseg_tiles.report.run import open_run
from shipseg_tiles.rle import encode_indices

NOTHING, HIT, MISSED, FALSE, OUTLINE = range(5)
COLOURS = {HIT: (100, 143, 255), MISSED: (255, 176, 0), FALSE: (220, 38, 127)}

READ_CANVAS = """
const canvas = document.querySelector(`[data-name="${arguments[0]}"] canvas`);
return [canvas.width, canvas.height, Array.from(canvas.getContext("2d").getImageData(
  0, 0, canvas.width, canvas.height).data)];
"""

SET_THRESHOLD = """
document.querySelector("[name=cut]").value = arguments[0];
document.querySelector("[name=cut]").dispatchEvent(new Event("input", {bubbles: true}));
"""


class Page:
    """A report in a browser."""

    def __init__(self, browser, path):
        self.browser = browser
        browser.get_log("browser")  # forget what other pages complained of
        browser.get(path.as_uri())
        self.wait(self.count)

    def wait(self, is_so):
        return WebDriverWait(self.browser, 20, 0.05).until(lambda _: is_so())

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def shown(self):
        """Names of the figures that can be seen, in their order."""
        figures = self.browser.find_elements(By.CSS_SELECTOR, ".exhibit")
        return [figure.get_attribute("data-name").split(".")[0] for figure in figures if figure.is_displayed()]

    def choose(self, name, value):
        Select(self.find(f"select[name={name}]")).select_by_value(value)

    def count(self):
        return self.find("[name=count]").text

    def threshold(self, value):
        """Move the slider, and wait until everything has followed."""
        before = self.count()
        self.browser.execute_script(SET_THRESHOLD, value)
        self.wait(lambda: self.count() != before)

    def dice(self, name):
        return self.find(f'[data-name="{name}"] .dice').text

    def drawn(self, name):
        """Whether the canvas of an image has been drawn on; one that cannot be seen has no pixels."""
        return self.find(f'[data-name="{name}"] canvas').get_attribute("width") == "60"

    def found(self, name):
        """The mask on the canvas of an image: bool (height, width)."""
        kinds = self.kinds(name)
        return (kinds == HIT) | (kinds == FALSE)

    def kinds(self, name):
        """What each pixel of the canvas says: uint8 (height, width)."""
        self.browser.execute_script(f"""document.querySelector('[data-name="{name}"]').scrollIntoView()""")
        self.wait(lambda: self.drawn(name))
        width, height, values = self.browser.execute_script(READ_CANVAS, name)
        pixels = np.array(values).reshape(height, width, 4)
        distances = [np.abs(pixels[..., :3] - colour).sum(axis=2) for colour in COLOURS.values()]
        kinds = np.argmin(distances, axis=0) + HIT
        return np.select([pixels[..., 3] == 0, pixels[..., 3] == 255], [NOTHING, OUTLINE], kinds)


def write(made, scores=slice(0)):
    """Write a report with charts of some of the scores; a page without any is faster."""
    run = open_run(made / "predictions", made / "labels.csv", made / "images")
    charted = replace(run, scores=[score for score in run.scores if score.image == "sea.png"] + run.scores[scores])
    write_report(made / "report.html", "A title", ReportData(charted), Gallery(run, 60))
    return made / "report.html"


@pytest.fixture
def page(browser, made):
    return Page(browser, write(made))


def box(row, column, height, width):
    mask = np.zeros((40, 60), dtype=bool)
    mask[row : row + height, column : column + width] = True
    return mask


def test_the_page_asks_the_network_for_nothing_and_logs_no_error(browser, made):
    """With charts, of which each is a tree of its own inside its element."""
    page = Page(browser, write(made, slice(None)))
    height = "return document.getElementById(arguments[0]).firstElementChild?.getBoundingClientRect().height"

    for name in ("dice", "recall"):
        page.wait(lambda name=name: (browser.execute_script(height, name) or 0) > 150)
    requests = browser.execute_script("return performance.getEntriesByType('resource').map(({name}) => name)")
    assert [name for name in requests if not name.startswith("data:")] == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []


@pytest.mark.parametrize("name", ["false", "half", "large", "missed", "sea", "whole"])
def test_at_the_threshold_of_the_run_the_canvas_is_the_predicted_mask(page, made, name):
    """3 px of `whole` with a probability of 220 are fewer than 4 and not in the mask."""
    mask = np.asarray(Image.open(made / f"predictions/masks/{name}.png")) > 0

    assert np.array_equal(page.found(f"{name}.png"), mask)


def test_hit_missed_and_false_pixels_have_their_colours(page):
    """Of `half` the left half is hit and the right one missed; all of `false` is false."""
    half, false = page.kinds("half.png"), page.kinds("false.png")

    assert np.array_equal(half == HIT, box(10, 10, 4, 4))
    assert np.array_equal(half == MISSED, box(10, 14, 4, 4))
    assert np.array_equal(false == FALSE, box(20, 20, 5, 5))
    # An outline of 1 px, as these are small pictures; corners are farther away than that.
    assert np.array_equal(half == OUTLINE, (box(9, 10, 6, 8) | box(10, 9, 4, 10)) & ~box(10, 10, 4, 8))


def ships_among(stored, cut, minimum_area, minimum_score):
    """The mask of the objects of stored values that are ships above a cut."""
    mask = np.zeros(stored.T.shape, dtype=bool)
    for ship in separate_objects(stored > cut):
        mask.ravel()[ship] = ship.size >= minimum_area and stored.T.ravel()[ship].mean() >= 255 * minimum_score
    return mask.T


@pytest.mark.parametrize("rule", [(0.8, 9, 0.0), (0.35, 1, 0.36), (0.4637, 5, 0.4712)])
def test_a_mask_of_noise_is_drawn_again_to_the_pixel(browser, made, rule):
    """At the run's threshold although probabilities lie around it and objects around the minimum score, so that stored
    values are rounded to the wrong side; at another one as the stored values say."""
    threshold, minimum_area, minimum_score = rule
    noise = np.random.default_rng(3).normal(0, 0.01, (40, 60))
    probability = np.clip(threshold + noise, 0, 1).astype(np.float32)
    is_ship = probability > threshold
    columns, rows = np.nonzero(is_ship.T)
    strip = Strip(0, 0, columns * 40 + rows, probability[rows, columns])
    mask = mask_of(union([ship.pixels for ship in join_ships([strip], 40, *rule[1:])]), (40, 60))
    stored = np.rint(probability * 255).astype(np.uint8)
    predictions = made / "predictions"
    write_mask(predictions / "masks/half.png", mask, "half.png")
    Image.fromarray(stored).save(predictions / "probabilities/half.png")
    options = {"threshold": threshold, "minimum_area": minimum_area, "minimum_score": minimum_score}
    (predictions / "run.json").write_text(json.dumps({"options": options}))
    rows = [line for line in (predictions / "submission.csv").read_text().splitlines() if "half" not in line]
    rows.append(f"half.png,{encode_indices(np.flatnonzero(mask.T))}")
    (predictions / "submission.csv").write_text("\n".join(rows) + "\n")

    page = Page(browser, write(made))
    cut = int(255 * threshold)
    before, found = page.dice("half.png"), page.found("half.png")
    assert 0 < mask.sum() < is_ship.sum()
    assert not np.array_equal(mask, ships_among(stored, cut, *rule[1:]))
    assert np.array_equal(found, mask)

    page.threshold(255)
    page.threshold(cut - 1)
    assert np.array_equal(page.found("half.png"), ships_among(stored, cut - 1, *rule[1:]))

    page.threshold(255)
    page.threshold(cut)
    assert page.dice("half.png") == before
    assert np.array_equal(page.found("half.png"), mask)


def test_the_threshold_obeys_the_minimum_score(browser, made):
    """At 99 `half` is one object of 200 and 100, 150 in the mean, below 0.7 * 255 = 178.5; `whole` gains 4 px of 220
    and 100, 190 in the mean: (0 + 0 + 1 + 0 + 1 + 9 / 11) / 6. `false`, of 180, stays."""
    options = {"threshold": 0.5, "minimum_area": 4, "minimum_score": 0.7}
    (made / "predictions/run.json").write_text(json.dumps({"options": options}))
    page = Page(browser, write(made))
    assert page.count() == "6 of 6 images shown, mean dice 0.611"

    page.threshold(99)

    assert page.count() == "6 of 6 images shown, mean dice 0.470"
    assert not page.found("half.png").any()
    assert "or with a mean probability below 0.7, are dropped" in " ".join(browser.page_source.split())


@pytest.mark.parametrize(
    ("cut", "dices", "mean"),
    [
        # All 32 px of `half`; a fourth pixel makes the 3 px of `whole` a ship, 2 * 9 / (9 + 13).
        (99, ("0.000", "1.000", "1.000", "0.000", "1.000", "0.818"), "0.636"),
        # Below 50 the missed ship is found: (0 + 1 + 1 + 1 + 1 + 9 / 11) / 6.
        (49, ("0.000", "1.000", "1.000", "1.000", "1.000", "0.818"), "0.803"),
        # What was false with 180 is gone: (1 + 2 / 3 + 1 + 0 + 1 + 1) / 6.
        (180, ("1.000", "0.667", "1.000", "0.000", "1.000", "1.000"), "0.778"),
        # 200 is not above 200: (1 + 0 + 1 + 0 + 1 + 1) / 6.
        (200, ("1.000", "0.000", "1.000", "0.000", "1.000", "1.000"), "0.667"),
    ],
)
def test_the_threshold_changes_dice_and_mean(page, cut, dices, mean):
    """At the threshold of the run the mean is (0 + 2 / 3 + 1 + 0 + 1 + 1) / 6."""
    names = ("false", "half", "large", "missed", "sea", "whole")
    assert page.count() == "6 of 6 images shown, mean dice 0.611"

    page.threshold(cut)

    assert page.count() == f"6 of 6 images shown, mean dice {mean}"
    assert tuple(page.dice(f"{name}.png") for name in names) == dices
    assert page.find("[name=threshold]").text == f"{cut / 255:.3f}"


def test_the_threshold_changes_the_mask_and_goes_back(page):
    page.threshold(99)
    assert np.array_equal(page.kinds("half.png") == HIT, box(10, 10, 4, 8))
    assert np.array_equal(page.kinds("whole.png") == FALSE, box(30, 30, 1, 3) | box(31, 33, 1, 1))

    page.find(".tools button").click()
    page.wait(lambda: page.count().endswith("0.611"))

    assert page.find("[name=threshold]").text == "0.500"
    assert np.array_equal(page.kinds("half.png") == HIT, box(10, 10, 4, 4))
    assert not (page.kinds("whole.png") == FALSE).any()


def test_the_threshold_obeys_the_keyboard(page):
    """From 127 to 99, where `half` is found."""
    page.find("[name=cut]").send_keys(Keys.ARROW_LEFT * 28)

    page.wait(lambda: page.dice("half.png") == "1.000")
    assert page.find("[name=threshold]").text == "0.388"


@pytest.mark.parametrize(
    ("name", "value", "shown", "mean"),
    [
        ("kind", "false", ["false"], "0.000"),
        ("kind", "missed", ["missed"], "0.000"),
        ("size", "small", ["half", "whole"], "0.833"),  # (2 / 3 + 1) / 2
        ("size", "medium", ["missed"], "0.000"),
        ("size", "large", ["large"], "1.000"),
    ],
)
def test_filters_hide_and_count(page, name, value, shown, mean):
    page.choose(name, value)

    assert page.shown() == shown
    assert page.count() == f"{len(shown)} of 6 images shown, mean dice {mean}"
    page.choose(name, "all")
    assert len(page.shown()) == 6


def test_filters_work_together_and_may_hide_all(page):
    page.choose("kind", "missed")
    page.choose("size", "large")

    assert page.shown() == []
    assert page.count() == "0 of 6 images shown"


def test_what_a_filter_shows_again_has_followed_the_threshold(page):
    page.choose("kind", "missed")
    page.threshold(49)
    assert page.count() == "1 of 6 images shown, mean dice 1.000"

    page.choose("kind", "all")

    page.wait(lambda: page.count() == "6 of 6 images shown, mean dice 0.803")


@pytest.mark.parametrize(
    ("order", "shown"),
    [
        ("dice", ["false", "missed", "half", "large", "whole", "sea"]),
        ("name", ["false", "half", "large", "missed", "sea", "whole"]),
        ("ships", ["missed", "half", "large", "whole", "false", "sea"]),
    ],
)
def test_images_are_sorted(page, order, shown):
    """One true ship in four of them; equal ones stay as they were, the worst first."""
    page.choose("order", "name")
    page.choose("order", order)

    assert page.shown() == shown


def test_images_are_sorted_anew_once_the_threshold_stands_still(page):
    """Below 50, at 49, the missed ship is found, and `whole` has a false one beside its own."""
    page.choose("order", "dice")
    page.find("[name=cut]").send_keys(Keys.ARROW_LEFT * (127 - 49))

    page.wait(lambda: page.shown() == ["false", "whole", "missed", "half", "large", "sea"])
    page.find(".tools button").click()
    page.wait(lambda: page.shown() == ["false", "missed", "half", "large", "whole", "sea"])


def test_the_divider_bares_the_image(page):
    """Dragged by half the width of the picture, from its left border to its middle; a key takes it to the end."""
    frame = page.find('[data-name="half.png"] .frame')
    divider = page.find('[data-name="half.png"] .divider')
    canvas = page.find('[data-name="half.png"] canvas')
    page.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", frame)
    assert canvas.value_of_css_property("clip-path") in ("inset(0px 0px 0px 0%)", "inset(0px)")

    grip = -(divider.size["width"] // 2) + 22
    half = frame.size["width"] // 2
    ActionChains(page.browser).move_to_element_with_offset(divider, grip, 0).click_and_hold().move_by_offset(
        half, 0
    ).release().perform()

    assert abs(int(divider.get_attribute("value")) - 50) <= 2
    assert canvas.value_of_css_property("clip-path") == f"inset(0px 0px 0px {divider.get_attribute('value')}%)"
    divider.send_keys(Keys.END)
    assert canvas.value_of_css_property("clip-path") == "inset(0px 0px 0px 100%)"


def test_nothing_of_the_overlay_is_seen_on_the_bare_side(page):
    """The ship of `large` is blue all over; in the bare left half of the picture no pixel is."""
    frame = page.find('[data-name="large.png"] .frame')
    page.kinds("large.png")
    page.browser.execute_script(
        "const d = arguments[0].querySelector('.divider'); d.value = 50; d.dispatchEvent(new Event('input'))", frame
    )

    picture = page.browser.get_screenshot_as_png()
    place = page.browser.execute_script(
        "const {x, y, width, height} = arguments[0].getBoundingClientRect(); return [x, y, width, height]", frame
    )
    left, top, width, height = map(int, place)
    seen = np.asarray(Image.open(BytesIO(picture)).convert("RGB")).astype(int)
    middle = seen[top + height // 3, left : left + width, 2]
    assert (middle[: width // 2 - 20][30:] < 100).all()
    assert (middle[width // 2 + 20 : width * 8 // 10] > 120).all()


def test_an_image_is_enlarged_and_put_away(page):
    page.browser.execute_script("document.querySelector('[data-name=\"half.png\"]').scrollIntoView()")
    page.find('[data-name="half.png"] .enlarge').click()
    dialog = page.find("dialog")
    page.wait(dialog.is_displayed)

    assert page.find("dialog .caption").text.split("\n")[0].startswith("half.png dice 0.667")
    assert page.find("dialog canvas").get_attribute("width") == "60"
    assert dialog.size["height"] > page.find('[data-name="half.png"]').size["height"]

    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.wait(lambda: not dialog.is_displayed())


def test_without_probabilities_the_stored_mask_is_drawn_and_there_is_no_slider(browser, made):
    for path in (made / "predictions/probabilities").iterdir():
        path.unlink()
    (made / "predictions/probabilities").rmdir()

    page = Page(browser, write(made))

    assert page.browser.find_elements(By.CSS_SELECTOR, "[name=cut]") == []
    assert page.count() == "6 of 6 images shown, mean dice 0.611"
    assert np.array_equal(page.kinds("half.png") == HIT, box(10, 10, 4, 4))
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []


def test_an_image_without_probabilities_keeps_its_mask_and_leaves_the_mean(browser, made):
    """At 49: (0 + 1 + 1 + 1 + 9 / 11) / 5."""
    (made / "predictions/probabilities/half.png").unlink()
    page = Page(browser, write(made))

    page.threshold(49)

    assert page.count() == "6 of 6 images shown, mean dice 0.764 of the 5 with probabilities"
    assert page.dice("half.png") == "0.667"
    assert np.array_equal(page.kinds("half.png") == HIT, box(10, 10, 4, 4))


def test_a_phone_need_not_be_moved_sideways(page):
    page.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        page.browser.refresh()
        page.kinds("false.png")
        width = page.browser.execute_script("return document.documentElement.scrollWidth")
        overlaid = page.find('[data-name="false.png"] canvas').size["width"]
        page.browser.execute_script("document.querySelector('.name').textContent = 'a'.repeat(150)")
        page.find(".enlarge").click()
        page.wait(page.find("dialog").is_displayed)
        dialog = page.browser.execute_script(
            "const d = document.querySelector('dialog'); return [d.scrollWidth, d.clientWidth]"
        )
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    assert width == 400
    assert dialog[0] == dialog[1] <= 384
    assert 300 < overlaid <= 400
