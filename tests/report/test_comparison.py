import re

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from shipseg_tiles.report.comparison import markdown_table, table_cells, write_comparison

ROW = {
    "dice_mean_ship_images": 0.5,
    "dice_mean_all_images": 0.5,
    "dice_difference": None,
    "dice_pooled": 0.25,
    "f2_mean": 0.125,
    "empty_images_with_false_ships": 0.261,
    "seconds_per_image": 0.1,
    "parameters": 1_190_000,
    "training_minutes": 8.06,
    "patches_seen": 12_345.6,
    "intervals": {"dice_mean_all_images": [0.4386, 0.5614], "dice_difference": None},
}
ROWS = {"slow": ROW | {"dice_mean_all_images": 0.25, "seconds_per_image": 2.0}, "<b>quick</b>": ROW}


@pytest.fixture
def page(tmp_path):
    write_comparison(tmp_path / "comparison.html", "4 test images", ROWS)
    return tmp_path / "comparison.html"


def test_the_page_has_the_rows_of_the_table_in_their_order(page):
    text = page.read_text(encoding="utf-8")

    heads, lines = table_cells(ROWS)
    assert re.findall("<th>(.*?)</th>", text) == heads
    assert [line[0] for line in lines] == ["<b>quick</b>", "slow"]
    assert re.findall("<td>(.*?)</td>", text) == ["&lt;b&gt;quick&lt;/b&gt;", *lines[0][1:], *lines[1]]
    assert "4 test images" in text


def test_the_chart_is_drawn_without_network_or_error(page, browser):
    browser.get_log("browser")
    browser.get(page.as_uri())
    height = "return document.querySelector('.chart').firstElementChild?.getBoundingClientRect().height"

    WebDriverWait(browser, 20, 0.05).until(lambda _: (browser.execute_script(height) or 0) > 150)

    points = "return Bokeh.documents[0].roots()[0].renderers[0].data_source.data"
    assert browser.execute_script(f"const d = Bokeh.documents[0].roots()[0]; {points}") == {
        "x": [2.0, 0.1],
        "y": [0.25, 0.5],
        "name": ["slow", "<b>quick</b>"],
    }
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []


def test_the_best_comes_first_and_every_number_has_its_form():
    """The single image of `bare` has neither intervals nor a ship."""
    ends = {"dice_mean_all_images": [0.7, 0.8], "dice_difference": [-0.004, 0.5]}
    better = ROW | {"dice_mean_all_images": 0.75, "dice_difference": 0.25, "intervals": ends}
    nothing = dict.fromkeys(ROW["intervals"])
    bare = ROW | {
        "dice_mean_all_images": 0.0,
        "dice_mean_ship_images": None,
        "dice_difference": -0.5,
        "intervals": nothing,
    }

    lines = markdown_table({"worse": ROW, "better": better, "bare": bare}).splitlines()

    heads = "preset | ship images | all images | difference to worse | pooled | F2 | false ships on empties | s/image"
    others = "0.250 | 0.125 | 26 % | 0.100 | 1.19 M | 8.1 | 12,346 |"
    assert lines[0] == f"| {heads} | parameters | minutes | patches seen |"
    assert lines[2] == f"| better | 0.500 | 0.750 (0.700 to 0.800) | +0.250 (-0.004 to +0.500) | {others}"
    assert lines[3] == f"| worse | 0.500 | 0.500 (0.439 to 0.561) | - | {others}"
    assert lines[4] == f"| bare | - | 0.000 | -0.500 | {others}"
