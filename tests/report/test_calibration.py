import json

from PIL import Image

from shipseg_tiles.report.calibration import calibration_table, write_calibration


def told(**changes):
    scores = {"true_dice": 0.5, "f2": 0.25, "false_ships": 0.125}
    point = {"score": 0.6, "held_out": 0.55, "error": 0.02}
    return {
        "objective": "f2",
        "folds": 3,
        "count": 12,
        "current": {
            "threshold": 0.8,
            "minimum_area": 10,
            "minimum_score": 0.0,
            "gate": 0.75,
            "separate_touching": False,
            **scores,
        },
        "chosen": {
            "threshold": 0.55,
            "minimum_area": 120,
            "minimum_score": 0.8,
            "gate": None,
            "separate_touching": True,
            **scores,
        },
        "held_out": scores | {"true_dice": 0.45678, "f2": 0.26},
        "separation": {"off": 0.24, "on": 0.25},
        "curve": [point | {"threshold": step / 4, "false_ships": 0.5 - step / 10} for step in (1, 2, 3)],
        **changes,
    }


def test_the_table_has_a_line_for_what_was_what_is_and_what_to_expect():
    assert calibration_table(told()) == (
        "12 images in 3 folds, chosen for f2\n"
        "          threshold  area score   gate separate    dice      f2   false\n"
        "  current      0.80    10     -  0.750      off  0.5000  0.2500  12.5 %\n"
        "   chosen      0.55   120  0.80      -       on  0.5000  0.2500  12.5 %\n"
        " held-out                               by fold  0.4568  0.2600  12.5 %\n"
        "cutting ships that touch changes the held-out F2 from 0.2400 to 0.2500"
    )


def test_a_choice_that_is_no_better_held_out_is_said_to_be_unproven():
    """F2 is what was made highest: 0.25 now and held out, whatever the true dice does."""
    scores = {"true_dice": 0.9, "f2": 0.25, "false_ships": 0.125}

    assert calibration_table(told(held_out=scores)).splitlines()[-1] == (
        "held out, choosing is no better than the current setting: no gain is proven"
    )


def test_without_empty_images_there_are_no_false_alarms_to_tell(tmp_path):
    scores = {"true_dice": 0.5, "f2": 0.25, "false_ships": None}
    curve = [point | {"false_ships": None} for point in told()["curve"]]
    numbers = told(held_out=scores, curve=curve)

    assert calibration_table(numbers).splitlines()[4].endswith("0.5000  0.2500       -")
    write_calibration(numbers, tmp_path)
    assert (tmp_path / "calibration.png").is_file()


def test_numbers_and_picture_are_written(tmp_path):
    write_calibration(told(images=["0" * 16]), tmp_path / "new")

    assert json.loads((tmp_path / "new" / "calibration.json").read_text()) == told(images=["0" * 16])
    with Image.open(tmp_path / "new" / "calibration.png") as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("RGB").getcolors(2**24)) > 20
