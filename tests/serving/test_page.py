"""The page in a real browser."""

import httpx
import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait


@pytest.fixture
def page(browser, address):
    """A fresh page; in the end no script may have complained."""
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(address)
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def shown(page, name):
    return page.find_element(By.ID, name)


def wait_for(page, name):
    WebDriverWait(page, 60).until(lambda page: shown(page, name).is_displayed())
    return shown(page, name)


def upload(page, folder, name, data):
    (folder / name).write_bytes(data)
    shown(page, "file").send_keys(str(folder / name))


@pytest.fixture
def three(page, tmp_path, drawn, encoded):
    """The page with the result of an image of three boxes."""
    upload(page, tmp_path, "three.png", encoded(drawn()))
    wait_for(page, "result")
    return page


def test_ships_are_shown_and_listed(three):
    """See `BOXES`: 10 x 3, 4 x 6 and 5 x 10 px."""
    assert shown(three, "headline").text == "3 ships in three.png"
    rows = [row.text for row in shown(three, "rows").find_elements(By.TAG_NAME, "tr")]
    assert rows == [
        "1 10.0 px 3.0 px 0° 30 1.00",
        "2 6.0 px 4.0 px 90° 24 1.00",
        "3 10.0 px 5.0 px 90° 50 1.00",
    ]
    assert shown(three, "facts").text.startswith("80 \u00d7 100 pixels; ")
    assert len(shown(three, "picture").find_elements(By.TAG_NAME, "polygon")) == 3
    for kind in ("preview", "overlay"):
        drawn = (
            "const i = new Image(); i.src = arguments[0]; await i.decode(); return [i.naturalWidth, i.naturalHeight]"
        )
        address = shown(three, f"{kind}-picture").get_attribute("href")
        assert three.execute_script(f"return (async () => {{{drawn}}})()", address) == [80, 100]


def test_choosing_a_ship_shows_the_picture_around_it(three):
    """By keyboard in the list, and with the mouse in the picture. The second box is around row 12, column 23."""
    assert not shown(three, "whole").is_enabled()
    buttons = shown(three, "rows").find_elements(By.TAG_NAME, "button")
    buttons[1].send_keys(Keys.ENTER)

    marked = three.find_elements(By.CSS_SELECTOR, ".chosen")
    assert [element.get_attribute("data-ship") for element in marked] == ["2", "2"]
    shown(three, "whole").click()
    assert not shown(three, "whole").is_enabled()
    three.find_elements(By.CSS_SELECTOR, "#picture polygon")[2].click()
    assert three.find_element(By.CSS_SELECTOR, "tr.chosen").get_attribute("data-ship") == "3"


def test_the_view_is_around_the_ship(page, tmp_path, encoded):
    """A box of 20 x 10 px in the middle of 800 x 400: shown are 4 times its 20 rows, so 160 columns at that shape."""
    pixels = np.zeros((400, 800, 3), dtype=np.uint8)
    pixels[190:210, 395:405] = 255
    upload(page, tmp_path, "wide.png", encoded(pixels))
    wait_for(page, "result")

    page.find_element(By.CSS_SELECTOR, "#rows tr").click()

    view = page.execute_script("return document.getElementById('picture').getAttribute('viewBox')")
    assert view == "320 160 160 80"


def test_the_slider_goes_from_the_image_to_the_ships(three):
    slider = shown(three, "opacity")
    slider.send_keys(Keys.HOME)
    assert shown(three, "overlay-picture").get_attribute("opacity") == "0"
    slider.send_keys(Keys.END)
    assert shown(three, "overlay-picture").get_attribute("opacity") == "1"


def test_downloads_are_those_of_the_image(three, drawn):
    links = {name: shown(three, name).get_attribute("href") for name in ("mask", "csv", "geojson")}
    got = {name: httpx.get(link, trust_env=False) for name, link in links.items()}

    said = {name: answer.headers["content-disposition"] for name, answer in got.items()}
    assert said == {
        "mask": 'attachment; filename="three_mask.png"',
        "csv": 'attachment; filename="three.csv"',
        "geojson": 'attachment; filename="three.geojson"',
    }
    assert got["csv"].text.splitlines()[1] == "three.png,541 10 641 10 741 10"
    assert got["mask"].content.startswith(b"\x89PNG")
    assert len(got["geojson"].json()["features"]) == 3


def test_a_result_survives_a_reload(three):
    three.refresh()

    wait_for(three, "result")
    assert shown(three, "headline").text == "3 ships in three.png"


def test_what_is_dropped_is_taken_and_what_is_no_image_is_explained(page):
    """The page asks nothing of the server for several files at once."""
    page.execute_script(DROP, ["note.txt"])
    assert wait_for(page, "error").text.startswith("note.txt is no image that can be read here; choose a JPEG")
    page.get_log("browser")  # Chromium notes the answer 415 as an error of the page
    page.execute_script(DROP, ["one.png", "two.png"])
    assert shown(page, "error").text == "One image at a time, please."
    assert not shown(page, "result").is_displayed()


DROP = """
const data = new DataTransfer();
for (const name of arguments[0]) data.items.add(new File(["hello"], name));
document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
"""


def test_names_are_text_and_never_code(page, tmp_path, drawn, encoded):
    upload(page, tmp_path, "<img src=x onerror=alert(1)>.png", encoded(drawn([])))
    wait_for(page, "result")

    assert shown(page, "headline").text == "No ship in <img src=x onerror=alert(1)>.png"
    assert not shown(page, "ships").is_displayed()


def test_the_page_says_that_a_scene_has_other_pixels_than_the_net_expects(page, tmp_path, drawn, encoded, scene):
    upload(page, tmp_path, "harbour.tif", scene())
    wait_for(page, "result")
    assert shown(page, "remark").text.startswith("harbour.tif has pixels of 10 m, and the net is for 5 m; --pixel-size")

    page.refresh()
    upload(page, tmp_path, "picture.png", encoded(drawn([])))
    WebDriverWait(page, 60).until(lambda page: shown(page, "headline").text == "No ship in picture.png")
    assert not shown(page, "remark").is_displayed()


def test_nothing_is_wider_than_a_phone(three):
    three.set_window_size(500, 900)  # the least that Chromium can do
    try:
        widths = three.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    finally:
        three.set_window_size(1280, 1000)
    assert widths[0] <= widths[1]
