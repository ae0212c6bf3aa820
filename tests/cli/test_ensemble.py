import json
import warnings

import pytest

from shipseg_tiles.cli.main import main
from shipseg_tiles.digests import checksum
from shipseg_tiles.nets.contract_file import read_contract


@pytest.fixture
def ensemble(capfd, monkeypatch, save_net, tmp_path):
    """Make an ensemble of a.keras and b.keras in this process, and return status, output, and complaint."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # main sets it for good
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        save_net(tmp_path / f"{name}.keras")

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["ensemble", *arguments, "--json", "result.json"])
        return ended.value.code, *capfd.readouterr()

    return run


def test_an_ensemble_is_written(ensemble, tmp_path):
    status, output, _ = ensemble("--weights", "a.keras", "b.keras", "--symmetries", "2", "--out", "c.keras")

    out = tmp_path / "c.keras"
    size = out.stat().st_size
    assert status == 0
    assert output == f"c.keras: the mean of 4 answers, {size / 1e6:.1f} MB; calibrate chooses its threshold\n"
    assert read_contract(out).symmetries == 2
    result = json.loads((tmp_path / "result.json").read_text())
    assert result == {"weights": "c.keras", "weights_sha256": checksum(out), "bytes": size}


def test_weights_that_are_missing_are_named(ensemble, tmp_path):
    status, _, complaint = ensemble("--weights", "a.keras", "d.keras", "--out", "c.keras")

    assert status == 2
    assert "d.keras does not exist" in complaint
    assert not (tmp_path / "c.keras").exists()
