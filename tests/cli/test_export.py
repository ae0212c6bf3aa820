import json
import warnings

import pytest

from shipseg_tiles.cli.main import main
from shipseg_tiles.digests import checksum
from shipseg_tiles.inference.formats import FORMATS
from shipseg_tiles.nets.weights_files import contract_path


@pytest.fixture(scope="module")
def weights(save_net, tmp_path_factory):
    """A net that answers the mean of the channels over 255."""
    return save_net(tmp_path_factory.mktemp("weights") / "net.keras")


@pytest.fixture
def export(capfd, monkeypatch, weights, tmp_path):
    """Export the net to LiteRT in this process, and return status, output, complaint and the `--json`, if any."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # main sets it for good
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        shared = ["--weights", weights, "--to", "litert", "--out", "net", "--json", "result.json"]
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in ("export", *shared, *arguments)])
        written = tmp_path / "result.json"
        return ended.value.code, *capfd.readouterr(), json.loads(written.read_text()) if written.is_file() else None

    return run


def test_a_net_is_exported_and_compared(export, scenes, weights, tmp_path):
    """Compared are 2 tiles of noise, and 4 of 64 px and 4 of 128 px of each of the 16 scenes of 256 px."""
    status, output, _, result = export("--images", scenes.source)

    assert status == 0
    size = sum(path.stat().st_size for path in (tmp_path / "net").iterdir())
    difference = result.pop("largest_difference")
    assert output == (
        f"net: {size / 1e6:.1f} MB; on 130 tiles probabilities differ from Keras's by up to {difference:.1g}\n"
    )
    assert 0 <= difference < 1e-6
    assert result == {
        "weights": str(weights),
        "weights_sha256": checksum(weights),
        "to": "litert",
        "folder": "net",
        "bytes": size,
        "tiles": 2 + 16 * (4 + 4),
        "tolerance": 0.001,
    }
    assert {path.name for path in (tmp_path / "net").iterdir()} == {"net.tflite", "contract.json"}
    assert (tmp_path / "net" / "contract.json").read_bytes() == contract_path(weights).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--to", "tensorrt"], f"invalid choice: 'tensorrt' (choose from {', '.join(map(repr, FORMATS))})"),
        (["--out", "mine"], "mine exists already; remove it or give another folder"),
        (["--weights", "none.keras"], "none.keras does not exist"),
        (["--images", "none"], "none is no folder, zip or image"),
        (["--images", "mine"], "mine holds no image"),
    ],
)
def test_bad_input_is_refused_in_one_line(export, tmp_path, arguments, reason):
    (tmp_path / "mine").mkdir()

    status, output, complaint, result = export(*arguments)

    assert (status, output, result) == (2, "", None)
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert reason in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
