import re
import shutil
import sys
from dataclasses import replace

import h5py
import keras
import numpy as np
import pandas as pd
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.classifier import Classifier
from shipseg_tiles.inference.gate import Gate
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.jobs import locked
from shipseg_tiles.nets.contract_file import read_contract
from shipseg_tiles.nets.saved import load_model
from shipseg_tiles.patches.batch_mix import BatchMix
from shipseg_tiles.patches.feed import RatioFeed
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import PatchOptions
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.training.fit import fit_ends, train
from shipseg_tiles.training.options import TrainOptions
from shipseg_tiles.training.true_dice import measure_true_dice

TINY = TrainOptions(width=4, depth=1, epochs=3, batch_size=8, learning_rate=3e-2, seed=1)
STILL = replace(TINY, epochs=4, ship_fraction="0.8:0.5", learning_rate=1e-9, patience=2)
"""A learning rate that moves nothing."""

COURSE = replace(
    TINY,
    epochs=4,
    ship_fraction="0.8:0.6",
    stages=("decoder:1:3e-2",),
    schedule="cosine",
    moving_average=0.8,
    warm_up=0.5,
)
"""A stage of one epoch, then three at the rate of a cosine; batches hold fewer and fewer ships."""


def history(out):
    return pd.read_csv(out.with_suffix(".training") / "history.csv")


class Terminal:
    """Calls `told` with the number of each epoch that a training tells to be done."""

    def __init__(self, told):
        self.told = told

    def write(self, text):
        if done := re.match(r"epoch (\d+):", text):
            self.told(int(done[1]))

    def flush(self):
        pass


def trained_whole(store, folder, options, **more):
    """Train without a break: what came of it, and where the weights are. After each epoch a copy of all is kept."""
    out = folder / "whole" / "net.keras"
    out.parent.mkdir()
    with pytest.MonkeyPatch.context() as context:
        keep = Terminal(lambda epoch: shutil.copytree(out.parent, folder / f"{epoch}"))
        context.setattr(sys, "stderr", keep)
        return train(store, out, options, **more), out


def after(whole, epoch, folder):
    """Copy what stood beside the weights of `trained_whole` after an epoch, as a break there leaves it."""
    shutil.copytree(whole[1].parent.parent / f"{epoch}", folder, dirs_exist_ok=True)
    return folder / "net.keras"


def assert_same_course(resumed, out, whole):
    assert resumed.epochs == whole[0].epochs
    expected = history(whole[1])
    pd.testing.assert_frame_equal(history(out)[expected.columns], expected, rtol=2e-2, atol=2e-3)
    assert resumed.contract.trained_on["epoch"] == whole[0].contract.trained_on["epoch"]


@pytest.fixture(scope="module")
def straight(easy, tmp_path_factory):
    """Three epochs without a break."""
    return trained_whole(easy, tmp_path_factory.mktemp("straight"), TINY, notes="synthetic", pixel_size=1.5)


def test_everything_that_is_promised_appears(straight):
    trained, out = straight
    folder = out.with_suffix(".training")

    assert trained.epochs == 3
    assert sorted(path.name for path in out.parent.iterdir()) == ["net.json", "net.keras", "net.training"]
    names = ["checkpoint-3.weights.h5", "curves.png", "history.csv", "state.json", "tensorboard"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert list((folder / "tensorboard").rglob("events.out.tfevents.*"))


def test_the_history_keeps_patch_dice_and_true_dice_apart(straight):
    table = history(straight[1])

    assert table["epoch"].tolist() == [1, 2, 3]
    expected = {"loss", "patch_dice", "val_loss", "val_patch_dice", "val_true_dice", "val_true_dice_ship_images"}
    assert expected | {"val_f2", "learning_rate"} <= set(table.columns)
    assert np.isfinite(table.to_numpy()).all()


def test_the_history_and_the_contract_count_the_patches_that_were_seen(straight, easy):
    """Half of each batch are ships, and each epoch shows all of them; the count goes on over the epochs."""
    ships, half = len(easy.sets["train", "ship"]), TINY.batch_size // 2
    an_epoch = -(-ships // half) * TINY.batch_size

    assert history(straight[1])["patches_seen"].tolist() == [an_epoch, 2 * an_epoch, 3 * an_epoch]
    origin = straight[0].contract.trained_on
    assert origin["patches_seen"] == origin["epoch"] * an_epoch


def test_it_learns(straight):
    loss = history(straight[1])["loss"]

    assert loss.is_monotonic_decreasing
    assert loss.iloc[-1] < 0.7 * loss.iloc[0]


def test_the_contract_says_how_to_use_the_weights_and_where_they_come_from(straight, easy):
    trained, out = straight
    contract = read_contract(out)

    assert contract == trained.contract
    assert (contract.net, contract.patch, contract.tile_multiple) == ("unet", 32, 2)
    assert contract.tile % 2 == 0
    # Depth 1: the convolutions reach 2 pixels, 2 of half the size, and 2; the pooling moves them by 1 at most.
    assert 2 < contract.receptive_field <= 2 + 4 + 2 + 1
    assert contract.receptive_field <= contract.overlap * contract.tile / 2
    origin = contract.trained_on
    assert origin["store_fingerprint"] == easy.fingerprint
    assert origin["store_options"]["background_ratio"] == 1.0
    assert origin["patches"] == {
        split: {kind: len(easy.sets[split, kind]) for kind in ("ship", "background")} for split in ("train", "valid")
    }
    assert origin["training"]["ship_fraction"] == "0.5"
    assert origin["notes"] == "synthetic"
    assert contract.pixel_size == 1.5
    assert contract.scores["images"] == 4
    assert "4 validation images" in contract.scores["data"]


def test_the_weights_kept_are_those_of_the_best_epoch(straight, easy):
    """The first of the epochs with the highest true dice; predicted anew, the weights score what was logged."""
    trained, out = straight
    table = history(out)
    best = int(table["val_true_dice"].to_numpy().argmax())

    assert trained.contract.trained_on["epoch"] == best + 1
    scores = measure_true_dice(Predictor.load(out), list(easy.full_images()))
    assert scores["dice_mean_all_images"] == pytest.approx(table["val_true_dice"][best], abs=1e-3)
    assert scores["dice_mean_all_images"] > 0.8
    assert scores["dice_mean_all_images"] == trained.contract.scores["dice_mean_all_images"]


def test_a_training_may_be_prolonged_and_keeps_its_best_weights(straight, easy, tmp_path):
    """The weights of the fourth epoch take the place of others only if it is better than all before it.

    What is said of the data holds in any case.
    """
    shutil.copytree(straight[1].parent, tmp_path, dirs_exist_ok=True)
    before, out = straight[0], tmp_path / "net.keras"
    kept = out.read_bytes()

    prolonged = train(easy, out, replace(TINY, epochs=4), resume=True, notes="corrected", pixel_size=2.0)

    assert (prolonged.contract.pixel_size, prolonged.contract.trained_on["notes"]) == (2.0, "corrected")
    scores = history(out)["val_true_dice"]
    assert len(scores) == prolonged.epochs == before.epochs + 1 == 4
    assert prolonged.contract.trained_on["epoch"] == scores.argmax() + 1
    stays = scores[3] <= scores[:3].max()  # which of the two it is depends on the order of sums
    assert (prolonged.contract.weights_sha256 == before.contract.weights_sha256) == stays
    assert (out.read_bytes() == kept) == stays


def steps(out):
    """Return the number of batches that the optimizer, which is a fresh one in each stage, has seen."""
    (checkpoint,) = out.with_suffix(".training").glob("checkpoint-*.weights.h5")
    with h5py.File(checkpoint) as file:
        return int(file["optimizer/vars/0"][()])


@pytest.fixture(scope="module")
def still(easy, tmp_path_factory):
    """A training that ends before its four epochs, by its patience."""
    out = tmp_path_factory.mktemp("still") / "net.keras"
    return train(easy, out, STILL), out


def test_a_schedule_decides_how_many_batches_an_epoch_has(still, easy):
    """0.8, 0.7 and 0.6 of 8 patches are 6.4, 5.6 and 4.8, so 6, 6 and 5 ships.

    The store has 87: 15 batches of 6 (90), twice; 18 of 5 (90). Together 48.
    """
    trained, out = still

    assert len(easy.sets["train", "ship"]) == 87
    assert steps(out) == 15 + 15 + 18
    assert trained.contract.trained_on["training"]["ship_fraction"] == "0.8:0.5"


def test_patience_counts_over_the_fits_of_a_schedule(still):
    """A net that stands still is never better than in epoch 1: a patience of 2 ends after epoch 3, the second fit."""
    assert still[0].epochs == 3


def test_a_scheduled_training_cannot_be_prolonged(still, easy):
    """Among more epochs, those that were trained would have had other shares."""
    with pytest.raises(InputError, match="begun with another epochs;"):
        train(easy, still[1], replace(STILL, epochs=5), resume=True)


@pytest.fixture(scope="module")
def course(easy, tmp_path_factory):
    """A training in three fits without a break: the stage, an epoch with 6 ships a batch, and two with 5."""
    return trained_whole(easy, tmp_path_factory.mktemp("course"), COURSE)


def test_the_rate_follows_stages_and_schedule(course):
    """The last of 15 batches begins at 14/15 of its epoch, of 18 at 17/18; the cosine takes three epochs."""
    rates = history(course[1])["learning_rate"]

    expected = [3e-2 * (1 + np.cos(np.pi * part / 3)) / 2 for part in (14 / 15, 1 + 17 / 18, 2 + 17 / 18)]
    assert rates.tolist() == pytest.approx([3e-2, *expected], rel=1e-4)


def test_the_best_epoch_is_the_best_of_all_fits_and_what_is_averaged_is_saved(course, easy):
    """Its weights, predicted anew, score what was logged under the moving average."""
    trained, out = course
    scores = history(out)["val_true_dice"].to_numpy()

    assert trained.epochs == 4
    assert trained.contract.trained_on["training"]["ship_fraction"] == "0.8:0.6"
    assert trained.contract.trained_on["epoch"] == scores.argmax() + 1
    again = measure_true_dice(Predictor.load(out), list(easy.full_images()))
    assert again["dice_mean_all_images"] == pytest.approx(scores.max(), abs=1e-3)


def test_a_training_with_a_break_between_two_stages_is_the_one_without(course, easy, tmp_path):
    out = after(course, 1, tmp_path)
    assert len(history(out)) == 1
    assert steps(out) == 15

    resumed = train(easy, out, COURSE, resume=True)

    assert steps(out) == steps(course[1]) == 15 + 18 + 18
    assert_same_course(resumed, out, course)


def test_ctrl_c_leaves_what_can_be_resumed(course, easy, tmp_path):
    """A break between two fits of a stage, whose moving average goes on, and then Ctrl-C inside of the next fit.

    That leaves the files that stand there when an uninterrupted training tells that the epoch is done, and the curves.
    """

    def press_ctrl_c(epoch):
        raise KeyboardInterrupt

    out, expected = after(course, 2, tmp_path), after(course, 3, tmp_path / "expected")
    assert (len(history(out)), steps(out)) == (2, 15)
    with pytest.MonkeyPatch.context() as context:
        context.setattr(sys, "stderr", Terminal(press_ctrl_c))
        with pytest.raises(KeyboardInterrupt):
            train(easy, out, COURSE, resume=True)

    assert steps(out) == steps(expected) == 15 + 18
    pd.testing.assert_frame_equal(history(out), history(expected), rtol=2e-2, atol=2e-3)
    folders = [path.with_suffix(".training") for path in (out, expected)]
    left, right = ({path.name for path in folder.iterdir()} for folder in folders)
    assert left == right | {"curves.png"}

    resumed = train(easy, out, COURSE, resume=True)

    assert steps(out) == steps(course[1])
    assert_same_course(resumed, out, course)


@pytest.fixture(scope="module")
def further(easy, straight, tmp_path_factory):
    """An epoch of the decoder, from trained weights, at a learning rate that changes next to nothing."""
    out = tmp_path_factory.mktemp("further") / "net.keras"
    train(easy, out, replace(TINY, epochs=1, layers="decoder", learning_rate=1e-6, start_from=str(straight[1])))
    return out


def test_a_training_can_start_from_trained_weights(further, still):
    """The loss begins where the trained net is, not where fresh ones are."""
    begun, fresh = (history(out)["val_loss"][0] for out in (further, still[1]))
    assert begun < 0.7 * fresh


def test_a_stage_trains_its_layers_alone(straight, further):
    """After a stage of the decoder the encoder is that of the weights that the training started from."""

    def parts(path):
        net = Predictor.load(path).net
        return net.get_layer("encoder").get_weights(), net.get_layer("probability").get_weights()

    before, after_stage = parts(straight[1]), parts(further)
    for one, other in zip(before[0], after_stage[0], strict=True):
        assert np.array_equal(one, other)
    assert not np.array_equal(before[1][0], after_stage[1][0])


CLASSIFIER = replace(TINY, net="classifier", width=8, depth=2, loss="focal", epochs=4, moving_average=0.5)
GATE = replace(TINY, net="gate", width=8, depth=2, epochs=4, miss_rate=0.1)


@pytest.fixture(scope="module")
def classifier(easy, tmp_path_factory):
    """A training of a classifier."""
    out = tmp_path_factory.mktemp("classifier") / "net.keras"
    return train(easy, out, CLASSIFIER), out


@pytest.fixture(scope="module")
def gate(easy, tmp_path_factory):
    """A training of a gate."""
    out = tmp_path_factory.mktemp("gate") / "net.gate.keras"
    return train(easy, out, GATE), out


def test_a_classifier_learns_which_images_show_ships(classifier):
    """Its threshold is the one that tells the validation images apart best."""
    trained, out = classifier

    table = history(out)
    assert {"patch_f1", "val_patch_f1", "val_f1", "val_threshold"} <= set(table.columns)
    best = int(table["val_f1"].to_numpy().argmax())
    contract = read_contract(out)
    assert trained.contract.trained_on["epoch"] == best + 1
    assert contract.threshold == pytest.approx(table["val_threshold"][best], abs=1e-6)
    assert contract.scores["f1"] == pytest.approx(table["val_f1"][best])
    assert contract.scores["f1"] > 0.8
    assert contract.receptive_field is None
    with pytest.raises(InputError, match="is a classifier"):
        Predictor.load(out)


def test_a_gate_learns_where_no_ship_is(gate):
    """At the threshold that misses at most a tenth of the ships of its validation images."""
    trained, out = gate

    table = history(out)
    columns = {"cell_dice", "val_cell_dice", "val_miss_rate", "val_tiles_skipped", "val_empty_images_skipped"}
    assert columns | {"val_threshold"} <= set(table.columns)
    assert table["val_miss_rate"].max() <= 0.1
    best = int(table["val_tiles_skipped"].to_numpy().argmax())
    contract = read_contract(out)
    assert contract == trained.contract
    assert contract.trained_on["epoch"] == best + 1
    assert contract.threshold == pytest.approx(table["val_threshold"][best], abs=1e-6)
    assert (contract.net, contract.miss_rate, contract.tile_multiple) == ("gate", 0.1, 32)
    assert contract.receptive_field is None
    assert contract.scores["miss_rate"] <= 0.1
    assert contract.scores["tiles_skipped"] == pytest.approx(table["val_tiles_skipped"][best], abs=0.01)
    assert contract.scores["empty_images_skipped"] == 1
    assert Gate.load(out).sees(np.zeros((128, 160, 3), dtype=np.uint8), np.array([0, 32]), 128).shape == (2,)


def test_a_gate_may_start_from_another(easy, gate, straight, tmp_path):
    """With a learning rate that moves nothing but the averages of normalisations, its weights are the other's."""
    options, out = replace(GATE, minutes=1e-12, learning_rate=1e-9), tmp_path / "net.keras"

    train(easy, out, replace(options, start_from=str(gate[1])))

    for one, other in zip(load_model(gate[1]).trainable_weights, load_model(out).trainable_weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)
    with pytest.raises(InputError, match="does not fit gate with these options"):
        train(easy, out, replace(options, start_from=str(straight[1])))


@pytest.fixture(scope="module")
def brief(classifier, easy, tmp_path_factory):
    """A training of the decoder on the encoder of a classifier, whose time is over before the first batch."""
    out = tmp_path_factory.mktemp("brief") / "net.keras"
    shape = {"width": CLASSIFIER.width, "depth": CLASSIFIER.depth, "layers": "decoder"}
    return train(easy, out, replace(TINY, minutes=1e-12, encoder_weights=str(classifier[1]), **shape)), out


def test_a_training_may_end_by_the_clock(brief):
    """Time that is over before the first batch ends it after that batch: its weights are judged and kept."""
    trained, out = brief

    assert trained.epochs == 1
    assert steps(out) == 1
    assert trained.contract.trained_on["patches_seen"] == TINY.batch_size
    assert read_contract(out).scores["images"] == 4


def test_a_segmenter_takes_over_the_encoder_of_a_classifier(classifier, brief):
    """The encoder learns nothing here, so it stays what it was in the classifier."""
    nets = [Classifier.load(classifier[1]).net, Predictor.load(brief[1]).net]
    taken, given = (net.get_layer("encoder").get_weights() for net in nets)
    for one, other in zip(taken, given, strict=True):
        assert np.array_equal(one, other)


def test_hard_negatives_are_a_part_of_what_is_resumed(easy, straight):
    """A training that was begun without is not resumed with them."""
    with pytest.raises(InputError, match="begun with another mined_fraction, mined;"):
        train(easy, straight[1], replace(TINY, mined_fraction=0.25), mined=easy, resume=True)


def test_a_fit_goes_on_while_epochs_have_as_many_batches(easy):
    """As in `test_a_schedule_decides_how_many_batches_an_epoch_has`; without a schedule nobody counts them."""
    changing = RatioFeed(easy, BatchMix.parse(8, "0.8:0.6", 3), 0)

    assert [fit_ends(changing, first, 9) for first in range(3)] == [2, 2, 9]
    assert fit_ends(RatioFeed(easy, BatchMix.parse(8, "0.5"), 0), 3, 10**15) == 10**15


def test_another_store_is_not_resumed(straight, cut_again, tmp_path):
    with pytest.raises(InputError, match="begun with another store;"):
        train(cut_again(tmp_path / "other.h5", full_images=2), straight[1], TINY, resume=True)


def test_other_options_are_not_resumed(straight, easy):
    with pytest.raises(InputError, match="begun with another width, learning_rate;"):
        train(easy, straight[1], replace(TINY, width=3, learning_rate=1e-3), resume=True)


def test_without_a_journal_there_is_nothing_to_resume(store, tmp_path):
    with pytest.raises(InputError, match="nothing to resume"):
        train(store, tmp_path / "net.keras", TINY, resume=True)
    assert not (tmp_path / "net.keras").exists()


def test_a_store_without_validation_trains_by_its_loss(scenes, tmp_path):
    """Under mixed precision, to see that the weights are float32 all the same."""
    options = PatchOptions(patch=64, stride=64, seed=5, valid_fraction=0, full_images=4)
    make_patches(scenes, tmp_path / "patches.h5", options, workers=1)
    out = tmp_path / "net.keras"
    tiny = replace(TINY, width=2, epochs=2, learning_rate=1e-3, precision="mixed_bfloat16")

    trained = train(PatchStore(tmp_path / "patches.h5"), out, tiny)

    table = history(out)
    assert {"loss", "patch_dice"} <= set(table.columns)
    assert not any(name.startswith("val_") for name in table.columns)
    assert trained.contract.scores == {}
    assert trained.contract.trained_on["epoch"] == int(table["loss"].to_numpy().argmin()) + 1
    assert keras.config.dtype_policy().name == "float32"
    net = Predictor.load(out).net
    assert {layer.dtype_policy.name for layer in net.layers} <= {"float32", "uint8"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"depth": 7}, "patches of 64 px do not halve 7 times; use a smaller --depth"),
        ({"depth": 0}, "depth 0"),
        ({"width": 0}, "width 0"),
        ({"width": 10**21}, "width 1000000000000000000000 must be 1048576 or less"),
        ({"depth": 14}, "depth 14 must be 13 or less"),
        ({"batch_size": 2**20 + 1}, "batch size 1048577 must be 1048576 or less"),
        ({"net": "vgg"}, "no net 'vgg'"),
        ({"epochs": 0}, "epochs 0 must be above 0"),
        ({"batch_size": -8}, "batch size -8"),
        ({"patience": 0}, "patience 0"),
        ({"learning_rate": 0.0}, "learning rate 0.0"),
        ({"learning_rate": float("nan")}, "learning rate nan"),
        ({"ship_fraction": "0.0"}, "ship fraction 0.0 must be"),
        ({"ship_fraction": "1.5"}, "ship fraction 1.5 must be"),
        ({"ship_fraction": "nan"}, "ship fraction nan must be"),
        ({"ship_fraction": "0.5:1.5"}, "ship fraction 1.5 must be"),
        (
            {"ship_fraction": "half"},
            "ship fraction 'half' must be a number such as 0.5, or two of them such as 0.9:0.5",
        ),
        ({"order": "upwards"}, "there is no order 'upwards'; choose one of random, sequential"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**32}, "seed 4294967296"),
        ({"precision": "float8"}, "precision 'float8'"),
        ({"loss": "hinge"}, "no loss 'hinge'"),
        ({"normalisation": "group"}, "no normalisation 'group'"),
        ({"encoder_weights": "nowhere.h5"}, "encoder weights nowhere.h5 do not exist"),
        ({"augmentation": ("sepia=1",)}, "augmentation 'sepia=1' must be NAME=VALUE"),
        ({"stages": ("decoder",)}, "stage 'decoder' must be"),
        ({"stages": ("decoder:3:1e-3",)}, "epochs 3 must be more than the 3 of the stages"),
        ({"layers": "head"}, "there are no layers 'head'"),
        ({"schedule": "cosign"}, "there is no schedule 'cosign'"),
        ({"warm_up": -1.0}, "warm up -1.0"),
        ({"minutes": -1.0}, "minutes -1.0"),
        ({"weight_decay": float("inf")}, "weight decay inf"),
        ({"weight_decay": float("nan")}, "weight decay nan"),
        ({"moving_average": 1.0}, "moving average 1.0"),
        ({"keep": "first"}, "keep 'first' must be one of best, last"),
        ({"mined_fraction": 0.2}, "mined"),
        ({"miss_rate": 0.02}, "miss rate 0.02 means nothing to unet"),
        ({"net": "gate", "miss_rate": float("nan")}, "miss rate nan"),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_written(store, tmp_path, changes, reason):
    with pytest.raises(InputError, match=reason):
        train(store, tmp_path / "net.keras", replace(TINY, **changes))
    assert not list(tmp_path.iterdir())


def test_a_pixel_size_that_cannot_be_is_refused_before_anything_is_written(store, tmp_path):
    with pytest.raises(InputError, match=r"pixel size -1\.5 must be above 0, in metres"):
        train(store, tmp_path / "net.keras", TINY, pixel_size=-1.5)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_found_out_before_training(store, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError, match="file"):
        train(store, tmp_path / "file" / "net.keras", TINY)


def test_weights_of_another_net_are_no_start(straight, easy, store, tmp_path):
    _, out = straight
    with pytest.raises(InputError, match="does not fit unet with these options"):
        train(easy, tmp_path / "net.keras", replace(TINY, width=2, start_from=str(out)))
    with pytest.raises(InputError, match=r"patches\.h5 is no \.keras file"):
        train(easy, tmp_path / "net.keras", replace(TINY, start_from=str(store.paths[0])))
    assert not list(tmp_path.iterdir())


def test_a_training_that_runs_away_ends_with_a_remedy_and_forgets_the_earlier_one(straight, easy, tmp_path):
    """A run that ends in its first epoch must not be resumed as the one before it."""
    _, out = straight
    shutil.copytree(out.with_suffix(".training"), tmp_path / "net.training")
    with pytest.raises(InputError, match="lower learning rate"):
        train(easy, tmp_path / "net.keras", replace(TINY, learning_rate=1e30))
    assert not (tmp_path / "net.keras").exists()
    with pytest.raises(InputError, match="nothing to resume"):
        train(easy, tmp_path / "net.keras", TINY, resume=True)


def test_net_of_resized_patches_sees_resized_images(scenes, tmp_path):
    """Patches of 200 px were stored at 64: the contract says so, and the answer has the size of the image.

    The net needs even sides, so that 768 px, as images of the competition have, are a tile that it can see."""
    options = PatchOptions(patch=200, stride=200, resize=64, seed=7, valid_fraction=0.25, full_images=4)
    make_patches(scenes, tmp_path / "p.h5", options)

    train(PatchStore(tmp_path / "p.h5"), tmp_path / "net.keras", replace(TINY, epochs=1))

    predictor = Predictor.load(tmp_path / "net.keras")
    assert (predictor.contract.patch, predictor.contract.resize, predictor.contract.tile) == (200, 64, 768)
    assert predictor.contract.scores["images"] == 4
    assert predictor.probabilities(np.zeros((300, 200, 3), dtype=np.uint8)).shape == (300, 200)


def test_stores_of_other_scales_do_not_train_together(scenes, store, tmp_path):
    """Patches of 64 px and images of 256 px stored at 64 have one shape, but ships of two sizes."""
    options = PatchOptions(patch=256, stride=256, resize=64, seed=7, valid_fraction=0.25)
    make_patches(scenes, tmp_path / "p.h5", options)

    with pytest.raises(InputError, match=r"has patches of 256 px stored at 64 px, .* of 64 px; use one size"):
        PatchStore(*store.paths, tmp_path / "p.h5")


def test_a_net_that_memory_does_not_hold_is_told(easy, tmp_path):
    """Two layers of a million filters each are tied by 39 TB of weights."""
    with pytest.raises(InputError, match="memory does not suffice for a net of width 1048576; use a smaller --width"):
        train(easy, tmp_path / "net.keras", replace(TINY, width=1 << 20))


def test_two_trainings_do_not_write_the_same_weights(easy, tmp_path):
    out = tmp_path / "net.keras"

    with locked(out), pytest.raises(InputError, match=r"another process is writing .*net\.keras; wait for it"):
        train(easy, out, TINY)


def test_weights_that_cannot_be_written_are_told_before_anything_is_trained(easy, tmp_path):
    (tmp_path / "net.keras").mkdir()

    with pytest.raises(IsADirectoryError):
        train(easy, tmp_path / "net.keras", TINY)
    assert not (tmp_path / "net.training").exists()
