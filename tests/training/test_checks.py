from dataclasses import replace
from pathlib import Path

import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import PatchOptions
from shipseg_tiles.patches.plan import plan_patches
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.patches.store_writer import create_store
from shipseg_tiles.training.checks import check_training
from shipseg_tiles.training.options import TrainOptions

OUT = Path("net.keras")
SEGMENTER, GATE = TrainOptions(depth=1), TrainOptions(net="gate")


def test_weights_of_another_suffix_are_refused(store):
    with pytest.raises(InputError, match=r"net\.h5 must end in \.keras"):
        check_training(store, Path("net.h5"), SEGMENTER)


def test_a_miss_rate_is_for_gates_alone(store):
    with pytest.raises(InputError, match=r"miss rate 0\.02 means nothing to unet; leave it out or use --net gate"):
        check_training(store, OUT, replace(SEGMENTER, miss_rate=0.02))
    check_training(store, OUT, replace(GATE, miss_rate=0.02))


def test_a_gate_refuses_patches_that_are_not_whole_cells_or_were_resized(scenes, tmp_path):
    shared = {"seed": 7, "valid_fraction": 0.25, "full_images": 4}
    make_patches(scenes, tmp_path / "odd.h5", PatchOptions(patch=48, stride=48, **shared))
    make_patches(scenes, tmp_path / "small.h5", PatchOptions(patch=256, stride=256, resize=64, **shared))

    with pytest.raises(InputError, match="patches of 48 px are no multiple of the 32 px that a gate needs"):
        check_training(PatchStore(tmp_path / "odd.h5"), OUT, GATE)
    with pytest.raises(InputError, match=r"small\.h5 holds resized patches, but a gate sees images as they are"):
        check_training(PatchStore(tmp_path / "small.h5"), OUT, GATE)


def test_patches_must_halve_as_often_as_the_net_is_deep(store):
    check_training(store, OUT, replace(SEGMENTER, depth=6))
    with pytest.raises(InputError, match="patches of 64 px do not halve 7 times; use a smaller --depth"):
        check_training(store, OUT, replace(SEGMENTER, depth=7))


def test_a_store_without_ships_is_refused(scenes, store, tmp_path):
    """Such as a store of hard negatives, given as the one to train on."""
    plan = plan_patches(scenes.labels, dict.fromkeys(scenes.files, (256, 256)), [], PatchOptions(patch=64, stride=64))
    table = plan.table[plan.table["class"] == "background"].head(4).assign(slot=range(4))
    create_store(tmp_path / "sea.h5", replace(plan, table=table), store.options)

    with pytest.raises(InputError, match=r"sea\.h5 holds no ship to train on"):
        check_training(PatchStore(tmp_path / "sea.h5"), OUT, SEGMENTER)


def test_stores_do_not_train_on_each_others_validation_images(easy, cut_again, tmp_path):
    """Split by place twice, with another seed. Of stores that agree nobody complains."""
    other = cut_again(tmp_path / "other.h5", seed=1)

    with pytest.raises(InputError, match=r"\d\d\.png validates in one of .*patches\.h5, .*other\.h5 and trains in "):
        check_training(PatchStore(*easy.paths, *other.paths), OUT, SEGMENTER)
    check_training(PatchStore(*easy.paths, *easy.paths), OUT, SEGMENTER)


def test_patches_without_whole_blocks_get_no_noise_of_jpeg(cut_again, tmp_path):
    store = cut_again(tmp_path / "odd.h5", patch=36, stride=36)

    check_training(store, OUT, SEGMENTER)
    with pytest.raises(InputError, match="patches of 36 px hold no whole number of JPEG's blocks of 8 px; leave out"):
        check_training(store, OUT, replace(SEGMENTER, augmentation=("jpeg=1",)))
