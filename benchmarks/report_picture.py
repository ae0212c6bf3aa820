"""Take README's screenshot of a report: the numbers and charts of one run, the pictures of another.

    python benchmarks/report_picture.py --predictions DIR --labels CSV --images DIR \
        --shown-predictions DIR --shown-labels CSV --shown-images DIR [--seams DIR]

The numbers may be of images that must not be passed on: no pixel, mask or name of them is in the picture. It needs
Debian's packages chromium and chromium-driver.
"""

import argparse
import shutil
import sys
import time
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from shipseg_tiles.report.gallery import Gallery
from shipseg_tiles.report.pictures import COLOURS
from shipseg_tiles.report.report import ReportData, write_report
from shipseg_tiles.report.run import open_run
from shipseg_tiles.report.seams import read_profiles
from shipseg_tiles.training.history import read_history

OUT = Path(__file__).parents[1] / "docs" / "pictures" / "report.png"
WIDTH, HEIGHT = 1280, 1775
LARGEST = 300_000
"""Bytes of the picture; with fewer colours it gets smaller."""

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars"
    " --disable-background-networking --disable-component-update --disable-sync"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("predictions", "labels", "images"):
        parser.add_argument(f"--{name}", type=Path, required=True)
        parser.add_argument(f"--shown-{name}", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="whose training is shown")
    parser.add_argument("--seams", type=Path, help="folder that check-seams wrote")
    parser.add_argument("--title", default="Ships that were found")
    parser.add_argument("--missing", default="error", choices=["error", "empty", "skip"])
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write_page(options, page)
        size = save(screenshot(page, Path(folder) / "profile"), options.out)
    print(f"{options.out}: {size:,} bytes")


def write_page(options: argparse.Namespace, page: Path) -> None:
    measured = open_run(options.predictions, options.labels, options.images, options.missing)
    shown = open_run(options.shown_predictions, options.shown_labels, options.shown_images)
    history = read_history(options.weights, measured.record)
    seams = read_profiles(options.seams) if options.seams else None
    write_report(page, options.title, ReportData(measured, history, seams), Gallery(shown, 12))


def screenshot(page: Path, profile: Path) -> Image.Image:
    """Show the page without its tables, those with ships first, in a window as high as the picture."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        sys.exit("install Debian's packages chromium and chromium-driver")
    chrome = webdriver.ChromeOptions()
    chrome.binary_location = str(programs[0])
    for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
        chrome.add_argument(flag)
    browser = webdriver.Chrome(options=chrome, service=Service(programs[1]))
    try:
        metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(page.as_uri())
        browser.execute_script("for (const name of ['numbers', 'run']) document.getElementById(name)?.remove()")
        Select(browser.find_element(By.NAME, "order")).select_by_value("ships")
        browser.execute_script("document.activeElement.blur()")
        time.sleep(5)  # charts and masks are drawn one after the other
        return Image.open(BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    finally:
        browser.quit()


def save(picture: Image.Image, path: Path) -> int:
    """Write a PNG with as many colours, and then as many pixels, as the size allows; return its bytes."""
    for scale, colours in ((1, 256), (1, 128), (0.75, 256), (0.75, 128), (0.6, 128), (0.5, 128), (0.5, 64)):
        size = round(picture.width * scale), round(picture.height * scale)
        file = BytesIO()
        small = with_palette(picture.resize(size, Image.Resampling.LANCZOS))
        small.quantize(colours, kmeans=4, dither=Image.Dither.NONE).crop((0, 0, *size)).save(file, "PNG", optimize=True)
        if len(file.getvalue()) < LARGEST:
            break
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.getvalue())
    return len(file.getvalue())


def with_palette(picture: Image.Image) -> Image.Image:
    """Add the colours of charts below a picture, so that those of thin lines are not merged with others."""
    larger = Image.new("RGB", (picture.width, picture.height + 40))
    larger.paste(picture)
    side = picture.width // len(COLOURS)
    for place, colour in enumerate(COLOURS):
        larger.paste(colour, (place * side, picture.height, (place + 1) * side, larger.height))
    return larger


if __name__ == "__main__":
    main()
