import pandas as pd
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.training.history import read_history


@pytest.fixture
def weights(tmp_path):
    """Where weights are: nobody opens them."""
    return tmp_path / "net.keras"


@pytest.fixture
def history(weights):
    """History of the training of the weights."""
    path = weights.with_suffix(".training") / "history.csv"
    path.parent.mkdir()
    path.write_text("epoch,loss,val_true_dice\n1,0.5,\n2,0.25,0.75\n")
    return path


def test_the_training_is_found_beside_the_weights_that_the_record_names(weights, history):
    read = read_history(None, {"weights": str(weights)})

    assert read is not None
    assert read["loss"].tolist() == [0.5, 0.25]
    assert read["val_true_dice"].isna().tolist() == [True, False]
    pd.testing.assert_frame_equal(read, read_history(weights, {}))


@pytest.mark.parametrize("record", [{}, {"weights": ""}, {"weights": "gone/net.keras"}])
def test_without_a_training_there_is_no_history(record):
    assert read_history(None, record) is None


def test_weights_that_were_asked_for_must_have_one(weights):
    with pytest.raises(InputError, match=r"net\.training/history\.csv does not exist; leave --weights away"):
        read_history(weights, {})


@pytest.mark.parametrize("text", ["", "epoch,loss\n1,two\n", "step,loss\n1,2\n", "epoch\n1\n1,2,3\n"])
def test_a_damaged_history_is_refused(history, weights, text):
    history.write_text(text)

    with pytest.raises(InputError, match=r"history\.csv is no history of a training"):
        read_history(weights, {})
