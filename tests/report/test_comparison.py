import re

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from shipseg_tiles.report.comparison import write_comparison

HEADS = ["preset", "all images", "s/image"]
LINES = [["<b>quick</b>", "0.500", "0.100"], ["slow", "0.250", "2.000"]]
ROWS = {
    "slow": {"dice_mean_all_images": 0.25, "seconds_per_image": 2.0},
    "<b>quick</b>": {"dice_mean_all_images": 0.5, "seconds_per_image": 0.1},
}


@pytest.fixture
def page(tmp_path):
    write_comparison(tmp_path / "comparison.html", "4 test images", HEADS, LINES, ROWS)
    return tmp_path / "comparison.html"


def test_the_page_has_the_rows_of_the_table_in_their_order(page):
    text = page.read_text(encoding="utf-8")

    assert re.findall("<th>(.*?)</th>", text) == HEADS
    assert re.findall("<td>(.*?)</td>", text) == ["&lt;b&gt;quick&lt;/b&gt;", *LINES[0][1:], *LINES[1]]
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
