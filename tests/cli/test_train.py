import pytest

from shipseg_tiles.cli.main import main, parse_options
from shipseg_tiles.cli.train import Options


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--miss-rate", "0.02"], "miss rate 0.02 means nothing to unet; leave it out or use --net gate"),
        (["--net", "classifier", "--miss-rate", "0.01"], "miss rate 0.01 means nothing to classifier"),
        (["--net", "gate", "--miss-rate", "1"], "miss rate 1.0 must be at least 0 and below 1"),
    ],
)
def test_a_miss_rate_is_refused_where_it_means_nothing(store, tmp_path, capfd, arguments, reason):
    with pytest.raises(SystemExit) as ended:
        main(["train", "--patches", str(store.paths[0]), "--out", str(tmp_path / "net.keras"), *arguments])

    output, complaint = capfd.readouterr()
    assert (ended.value.code, output) == (2, "")
    assert complaint.startswith(f"error: {reason}")
    assert complaint.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_miss_rate_is_left_to_the_training_unless_it_is_given():
    required = ["--patches", "p.h5", "--out", "n.keras"]

    assert parse_options("train", Options, required).miss_rate is None
    assert parse_options("train", Options, [*required, "--miss-rate", "0.05"]).miss_rate == 0.05
