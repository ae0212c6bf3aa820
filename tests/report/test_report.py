import json
import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from shipseg_tiles.errors import InputError
from shipseg_tiles.report.gallery import Gallery
from shipseg_tiles.report.report import ReportData, write_report
from shipseg_tiles.report.run import open_run

CODE = "</script><script>window.hacked = true</script><img src=x onerror='window.hacked = true'>"


def report_of(made, title="A title", pictures=60, history=None, seams=None):
    run = open_run(made / "predictions", made / "labels.csv", made / "images")
    summary = write_report(made / "report.html", title, ReportData(run, history, seams), Gallery(run, pictures))
    return summary, (made / "report.html").read_text(encoding="utf-8")


def fact(text, name):
    found = re.search(rf"<dt>{name}</dt><dd>(.*?)</dd>", text)
    return found and found[1]


def elements(text, name):
    return re.findall(rf'<div class="chart" id="({name}\w*)"', text)


def test_the_headline_is_the_true_dice_of_all_images(made):
    """(0 + 2/3 + 1 + 0 + 1 + 1) / 6 = 0.611; over the four with ships (2/3 + 1 + 0 + 1) / 4 = 0.6667."""
    summary, text = report_of(made)

    assert '<p class="score">0.611</p>' in text
    assert re.search(r"true dice, mean over the images with ships</dt>\s*<dd><strong>0.6667</strong>", text)
    assert summary["dice_mean_ship_images"] == pytest.approx(2 / 3)


def test_every_number_has_its_interval_if_there_is_one(made):
    summary, text = report_of(made)

    for name, interval in summary["intervals"].items():
        if interval and name != "dice_mean_all_images":
            assert f'<span class="note">{interval[0]:.3f} to {interval[1]:.3f}</span>' in text
    low, high = summary["intervals"]["dice_mean_all_images"]
    assert f"95&nbsp;% interval {low:.3f} to {high:.3f}" in text
    assert text.count("<dd><strong>") == len(summary["intervals"]) - 1


def test_the_run_tells_its_time_and_options(made):
    """3 s for 6 images and 0.0144 megapixels."""
    _, text = report_of(made)

    assert fact(text, "images") == "6"
    assert fact(text, "seconds per image") == "0.500"
    assert fact(text, "megapixels per second") == "0.00"
    assert (fact(text, "tile"), fact(text, "threshold"), fact(text, "minimum area")) == ("64", "0.5", "4")
    assert (fact(text, "gate"), fact(text, "classifier")) == ("off", "first.keras")
    assert fact(text, "weights") == "net.keras 0123456789ab"


def test_the_run_tells_that_ships_that_touch_were_cut(made):
    path = made / "predictions/run.json"
    record = json.loads(path.read_text())
    assert fact(report_of(made)[1], "ships that touch") is None

    path.write_text(json.dumps(record | {"options": record["options"] | {"separate_touching": True}}))

    assert fact(report_of(made)[1], "ships that touch") == "cut apart"


def test_a_run_that_was_taken_up_again_has_no_speed(made):
    path = made / "predictions/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"resumed": True}))

    _, text = report_of(made)

    assert fact(text, "images") == "6"
    assert fact(text, "seconds per image") is None


@pytest.mark.parametrize(
    "record",
    [
        {"images": "six"},
        {"megapixels": "1", "seconds": 2},
        {"gate": "gate.keras"},
        {"gate": {"threshold": 0.5}},
        {"weights": 3},
        {"weights": "net.keras", "weights_sha256": 7},
        {"tiles": 4, "tiles_skipped": "none"},
        {"seconds": 1.5, "images": 10**400},
    ],
)
def test_a_record_of_other_values_is_refused_by_its_name(made, record):
    (made / "predictions/run.json").write_text(json.dumps(record))

    with pytest.raises(InputError, match=r"run\.json is no record of predict .*; predict again, or remove it"):
        report_of(made)
    assert not (made / "report.html").exists()


def test_sections_without_data_are_left_out(made):
    (made / "predictions/run.json").unlink()

    _, text = report_of(made)

    assert "<h2>The run</h2>" not in text
    assert elements(text, "") == ["dice", "recall"]


def test_training_and_seams_are_charts_if_there_are_any(made):
    """A history may lack a kind of column, as that of a training without validation does."""
    history = pd.DataFrame({"epoch": [1.0, 2.0], "loss": [0.5, np.nan], "learning_rate": [0.1, 0.1]})
    seams = pd.DataFrame({"tile": [64, 64], "distance": [0, 1], "percentile_99": [0.5, 0.25]})

    _, text = report_of(made, history=history, seams=seams)

    assert elements(text, "") == ["dice", "recall", "training0", "training2", "seams"]


def test_tiles_that_are_whole_images_have_no_seams_to_draw(made):
    seams = pd.DataFrame({"tile": [], "distance": [], "percentile_99": []})

    assert "seams" not in elements(report_of(made, seams=seams)[1], "")


def test_no_pictures_means_no_gallery(made):
    _, text = report_of(made, pictures=0)

    assert "<figure" not in text
    assert "<h2>Images</h2>" not in text
    assert "0.611" in text


def test_without_ships_there_is_no_chart_and_no_library(made):
    """A page with charts takes 1.3 MB more."""
    run = open_run(made / "predictions", made / "labels.csv", made / "images")
    sea = replace(run, scores=[score for score in run.scores if score.image == "sea.png"])

    write_report(made / "report.html", "Sea", ReportData(sea), Gallery(sea, 60))

    text = (made / "report.html").read_text(encoding="utf-8")
    assert "Bokeh" not in text
    assert len(text) < 60_000
    assert '<p class="score">1.000</p>' in text
    assert "<p><strong>true dice</strong></p>" in text  # of one image there is no interval


def test_numbers_and_pictures_may_be_of_different_runs(made):
    run = open_run(made / "predictions", made / "labels.csv", made / "images")
    best = replace(run, scores=[score for score in run.scores if score.dice == 1])

    write_report(made / "report.html", "Both", ReportData(best), Gallery(run, 60))

    text = (made / "report.html").read_text(encoding="utf-8")
    assert '<p class="score">1.000</p>' in text
    assert text.count("<figure") == 6


def test_a_page_that_fails_leaves_the_one_before(made):
    (made / "report.html").write_text("before")
    (made / "images/sea.png").write_text("no image")

    with pytest.raises(InputError, match=r"sea\.png is damaged or no image"):
        report_of(made)

    assert (made / "report.html").read_text() == "before"
    assert sorted(path.name for path in made.iterdir()) == ["images", "labels.csv", "predictions", "report.html"]


def test_pictures_are_held_one_at_a_time(made):
    """Twelve images of noise, of about 0.5 MB as JPEG, take hardly more than four."""
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    names = [f"{number}.jpg" for number in range(12)]
    for name in names:
        Image.fromarray(noise).save(made / "images" / name, quality=95)
    for path in ("labels.csv", "noise.csv"):
        (made / path).write_text("ImageId,EncodedPixels\n" + "".join(f"{name},\n" for name in names))
    run = open_run(made / "noise.csv", made / "labels.csv", made / "images")

    def peak(pictures):
        tracemalloc.start()
        try:
            write_report(made / "report.html", "Noise", ReportData(run), Gallery(run, pictures))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)  # so that templates are loaded
    few, many = peak(4), peak(12)
    assert many < 1.2 * few
    assert (made / "report.html").stat().st_size > 12 * 400_000


def test_the_same_run_makes_the_same_page(made):
    assert report_of(made) == report_of(made)


def test_text_of_files_is_text_not_code(browser, made):
    """Titles, names of images and names of columns."""
    name = f"{CODE.replace('/', '')}.png"
    (made / "images/half.png").rename(made / "images" / name)
    for path in (made / "labels.csv", made / "predictions/submission.csv"):
        path.write_text(path.read_text().replace("half.png", f'"{name}"'))
    (made / "predictions/run.json").write_text(
        json.dumps({"weights": CODE, "options": {"window": CODE, "threshold": 0.5, "minimum_area": 4}})
    )
    history = pd.DataFrame({"epoch": [1.0, 2.0], f"loss {CODE}": [0.5, 0.4], "loss": [1.0, 2.0]})
    report_of(made, CODE, history=history)

    browser.get_log("browser")
    browser.get((made / "report.html").as_uri())
    WebDriverWait(browser, 20).until(lambda _: browser.find_element(By.CSS_SELECTOR, "[name=count]").text)

    assert browser.find_element(By.TAG_NAME, "h1").text == CODE
    names = [element.text for element in browser.find_elements(By.CSS_SELECTOR, ".name")]
    assert name in names
    assert CODE in [element.text for element in browser.find_elements(By.CSS_SELECTOR, ".facts dd")]
    assert browser.execute_script("return window.hacked") is None
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
