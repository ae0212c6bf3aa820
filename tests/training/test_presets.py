import pytest

from shipseg_tiles.cli import make_patches, train
from shipseg_tiles.cli.main import parse_options
from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.build import CLASSIFIERS, NETS
from shipseg_tiles.training.presets import preset_names, read_preset

PROMISED = {
    "default",
    "tiny",
    "resized-xception",
    "full-resolution",
    "classify-then-segment",
    "ship-patches",
    "mobilenet-staged",
}


def test_all_that_are_promised_are_there_and_the_default_comes_first():
    names = preset_names()

    assert set(names) >= PROMISED
    assert names[0] == "default"


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_says_what_it_is_and_holds_options_that_there_are(name):
    preset = read_preset(name)

    cut = parse_options("make-patches", make_patches.Options, ["--preset", name, "--labels", "l.csv"])
    learn = parse_options("train", train.Options, ["--preset", name, "--patches", "p.h5", "--out", "n.keras"])

    assert 20 < len(preset.summary) < 120
    assert learn.net in NETS
    assert (cut.resize or cut.patch) % 2**learn.depth == 0


@pytest.mark.parametrize("name", [name for name in preset_names() if read_preset(name).classifier])
def test_what_is_trained_first_is_a_classifier_of_the_same_scale(name):
    preset = read_preset(name)
    first = read_preset(preset.classifier)

    assert first.options["train"]["net"] in CLASSIFIERS
    scales = [(one.options["make-patches"]["patch"], one.options["make-patches"]["resize"]) for one in (preset, first)]
    assert scales[0] == scales[1]
    if preset.encoder:  # the encoders must be of one kind
        assert preset.options["train"]["depth"] == first.options["train"]["depth"]


def test_flags_win_over_a_config_file_and_that_over_a_preset(tmp_path):
    """The tiny preset has width 2, depth 2 and 2 epochs."""
    (tmp_path / "mine.yaml").write_text("preset: tiny\nwidth: 4\nepochs: 7\n")

    options = parse_options(
        "train",
        train.Options,
        ["--config", str(tmp_path / "mine.yaml"), "--epochs", "9", "--patches", "p.h5", "--out", "n.keras"],
    )

    assert (options.depth, options.width, options.epochs) == (2, 4, 9)


def test_a_preset_of_ones_own_is_a_file(tmp_path):
    path = tmp_path / "harbours.yaml"
    path.write_text("summary: for harbours\ntrain:\n  width: 3\n  stages: [decoder:1:1e-3]\n")

    options = parse_options("train", train.Options, ["--preset", str(path), "--patches", "p.h5", "--out", "n.keras"])

    assert (options.width, options.stages) == (3, ["decoder:1:1e-3"])
    assert read_preset(str(path)).name == "harbours"


def test_a_preset_says_whether_it_mines(tmp_path):
    (tmp_path / "mining.yaml").write_text("mine: 0.25\n")

    assert read_preset(str(tmp_path / "mining.yaml")).mine == 0.25
    assert read_preset("default").mine == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sumary: x", "a preset has no 'sumary'; it has summary, filter, encoder, mine, make-patches, train"),
        ("train: [1]", "make-patches and train must hold options"),
        ("- a", "holds no options"),
        ("mine: 0", "mine 0 must be a number above 0 and below 1"),
        ("mine: 1", "mine 1 must be a number above 0 and below 1"),
        ("mine: some", "mine some must be a number above 0 and below 1"),
        ("mine:", "mine None must be a number above 0 and below 1"),
        ("train: {", "cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_preset_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)

    with pytest.raises(InputError, match=f"mine.yaml.*{message}"):
        read_preset(str(path))


def test_a_preset_with_an_option_that_there_is_not_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("train: {epoch: 3}\n")

    with pytest.raises(InputError, match=r"preset .*mine.yaml: there is no option 'epoch'"):
        parse_options("train", train.Options, ["--preset", str(path), "--patches", "p.h5", "--out", "n.keras"])


def test_a_name_that_there_is_not_is_refused():
    with pytest.raises(InputError, match="there is no preset 'fast'; choose one of default, "):
        read_preset("fast")
    with pytest.raises(InputError, match=r"there is no preset '\.\./default'"):
        read_preset("../default")
