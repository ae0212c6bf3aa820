import json
import shutil

import pytest

from shipseg_tiles.cli.main import main
from shipseg_tiles.nets.weights_files import contract_path
from shipseg_tiles.patches.store import PatchStore


@pytest.fixture(scope="module")
def saved(save_net, tmp_path_factory):
    """A net that takes bright pixels for ships: its probability is the mean of the channels over 255."""
    return save_net(tmp_path_factory.mktemp("weights") / "net.keras", minimum_area=10, tile=256)


@pytest.fixture
def mine(saved, store, scenes, tmp_path, capfd):
    """Run `mine` on the simulated archive and return its exit status, its output and its complaint."""
    for path in (saved, contract_path(saved), store.paths[0]):
        shutil.copy(path, tmp_path)
    given = {
        "--weights": tmp_path / "net.keras",
        "--images": scenes.source,
        "--labels": scenes.labels.source,
        "--patches": tmp_path / "patches.h5",
        "--out": tmp_path / "mined.h5",
        "--workers": 1,
    }

    def run(**changes):
        flags = given | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["mine", *(str(word) for flag in flags.items() for word in flag)])
        output, complaint = capfd.readouterr()
        return ended.value.code, output, complaint

    return run


def test_mined_patches_are_summed_up_and_pass_the_inspection(mine, store, tmp_path, capfd):
    """12 of the 16 images train. At a threshold of 0.05 nearly all of each is a ship to this net; 20 patches stay."""
    status, output, _ = mine(threshold=0.05, max_patches=20, json=tmp_path / "mined.json")

    assert status == 0
    data = json.loads((tmp_path / "mined.json").read_text())
    mined = PatchStore(tmp_path / "mined.h5")
    assert (data["images"], data["skipped"], data["images_with_false_ships"], data["patches"]) == (12, 0, 12, 20)
    assert 100 < data["patches_with_false_ships"] <= 12 * 16 - 23
    assert data["plan_fingerprint"] == mined.fingerprint
    assert output == (
        f"12 images looked at, 0 skipped, false ships in 12 of them; 20 of {data['patches_with_false_ships']} patches"
        f" kept, {data['seconds']:.1f} s: {tmp_path / 'mined.h5'}\n"
    )
    assert len(mined.sets["train", "background"]) == 20
    assert (mined.options["threshold"], mined.options["mined_from"]) == (0.05, store.fingerprint)
    with pytest.raises(SystemExit) as ended:
        main(["inspect", str(tmp_path / "mined.h5"), "--verify"])
    assert ended.value.code == 0
    assert "20 patches verified" in capfd.readouterr().out


def test_only_what_trains_by_the_split_of_the_store_is_mined(mine, scenes, tmp_path):
    """Of 16 images 5 train and 4 validate; the others are kept for a test."""
    names = sorted(scenes.files, key=lambda name: -len(scenes.labels.ships[name]))
    rows = [f"{name},{'train' if number < 5 else 'valid'}\n" for number, name in enumerate(names[:9])]
    (tmp_path / "split.csv").write_text("ImageId,split\n" + "".join(rows))
    archive = ["--images", scenes.source, "--labels", scenes.labels.source, "--split", tmp_path / "split.csv"]
    flags = [*archive, "--out", tmp_path / "held-out.h5", "--patch", "64", "--workers", "1"]
    with pytest.raises(SystemExit) as ended:
        main(["make-patches", *map(str, flags)])
    assert ended.value.code == 0

    unsaid = mine(patches=tmp_path / "held-out.h5", threshold=0.05)
    said = mine(patches=tmp_path / "held-out.h5", threshold=0.05, split=tmp_path / "split.csv")

    assert unsaid[0] == 2
    assert "held-out.h5 was cut with another --split; give the same file to --split" in unsaid[2]
    assert said[0] == 0
    found = PatchStore(tmp_path / "mined.h5").source("train", "background")
    assert set(found["image"]) <= set(names[:5])
    assert said[1].startswith("5 images looked at, ")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights": "gone.keras"}, "gone.keras does not exist"),
        ({"patches": "gone.h5"}, "gone.h5 does not exist; make it with make-patches"),
        ({"split": "gone.csv"}, "gone.csv cannot be read as CSV"),
        ({"images": "gone"}, "gone is no folder, zip or image"),
        ({"labels": "gone.csv"}, "gone.csv does not exist"),
        ({"threshold": 1.5}, "threshold 1.5 must be above 0 and below 1"),
        ({"threshold": 0.999}, "there is nothing to mine; mine --threshold takes a lower one"),
        ({"max_patches": 0}, "max patches 0 must be 1 or more"),
        ({"workers": 0}, "workers 0 must be from 1 to"),
    ],
)
def test_bad_input_ends_with_one_line_and_no_file(mine, changes, reason, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())

    status, output, complaint = mine(**changes)

    assert (status, output) == (2, "")
    assert reason in complaint
    assert complaint.count("error: ") == 1
    assert "Traceback" not in complaint
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_store_that_is_mined_with_is_not_overwritten(mine, tmp_path):
    before = (tmp_path / "patches.h5").read_bytes()

    status, _, complaint = mine(out=tmp_path / "patches.h5")

    assert status == 2
    assert "patches.h5 would replace --patches; choose another name" in complaint
    assert (tmp_path / "patches.h5").read_bytes() == before
