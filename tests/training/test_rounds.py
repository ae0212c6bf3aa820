import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.contract_file import read_contract, write_contract
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import PatchOptions
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.training.fit import train
from shipseg_tiles.training.options import TrainOptions
from shipseg_tiles.training.rounds import RoundOptions, mine_and_train

ROUNDS = RoundOptions(rounds=2, mined_fraction=0.25, epochs=1, learning_rate=1e-3)


@pytest.fixture(scope="module")
def processes():
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def first(store, tmp_path_factory):
    """Weights of a net that has learnt nothing, whose threshold makes it see ships everywhere."""
    out = tmp_path_factory.mktemp("first") / "first.keras"
    options = TrainOptions(width=1, depth=1, epochs=1, batch_size=8, learning_rate=1e-6, stages=())
    train(store, out, options, pixel_size=1.5, notes="simulated")
    write_contract(replace(read_contract(out), threshold=1e-4), out)
    return out


@pytest.fixture
def of_no_store(first, tmp_path):
    """The same weights, whose contract does not say which store they were trained on."""
    return copied(first, tmp_path / "other", lambda origin: {"training": origin["training"]})


def copied(weights, folder, change):
    """Copy weights, with what their contract says of their training changed."""
    folder.mkdir()
    contract = read_contract(weights)
    copy = folder / weights.name
    shutil.copy(weights, copy)
    write_contract(replace(contract, trained_on=change(contract.trained_on)), copy)
    return copy


@pytest.fixture(scope="module")
def mined(first, store, scenes, processes, tmp_path_factory):
    out = tmp_path_factory.mktemp("rounds") / "net.keras"
    told = []
    contracts = mine_and_train(first, store, scenes, out, processes, ROUNDS, tell=told.append)
    return contracts, out, told


def test_a_round_mines_and_trains_on_what_it_found(mined, first, scenes):
    """Of the 12 images of 256 px that train, all patches of 64 px without a ship are seen as ships."""
    _, out, told = mined
    folder = out.with_suffix(".rounds")
    found = PatchStore(folder / "mined-1.h5")

    assert found.options["mined_with"] == read_contract(first).weights_sha256
    trained = read_contract(folder / "round-1.keras").trained_on["training"]
    assert (trained["mined_fraction"], trained["epochs"], trained["width"]) == (0.25, 1, 1)
    assert trained["start_from"] == first.name
    assert told[0].startswith(f"round 1: {len(found.sets['train', 'background'])} hard negatives, true dice 0.")


def test_what_is_known_of_the_data_goes_with_the_weights(mined):
    contracts, _, _ = mined

    assert {contract.pixel_size for contract in contracts} == {1.5}
    assert {contract.trained_on["notes"] for contract in contracts} == {"simulated"}


def test_it_ends_when_there_is_nothing_to_mine(mined):
    """The weights of a round have the threshold of every training, 0.5, above which this net sees nothing."""
    contracts, out, told = mined

    assert len(contracts) == 2
    assert len(told) == 2
    assert told[1].startswith("round 2: the net makes no mistake")
    assert not (out.with_suffix(".rounds") / "mined-2.h5").exists()


def test_the_best_weights_are_kept(mined):
    contracts, out, _ = mined

    kept = read_contract(out)
    assert kept in contracts
    assert kept.scores["dice_mean_all_images"] == max(one.scores["dice_mean_all_images"] for one in contracts)


def test_it_goes_on_where_it_stopped(mined, first, store, scenes, processes):
    """The second round begins without the first being done again."""
    _, out, _ = mined
    round_1 = out.with_suffix(".rounds") / "round-1.keras"
    before = round_1.stat().st_mtime_ns

    contracts = mine_and_train(first, store, scenes, out, processes, ROUNDS, resume=True, tell=lambda line: None)

    assert round_1.stat().st_mtime_ns == before
    assert len(contracts) == 2


def test_hard_negatives_of_an_earlier_call_are_not_taken(mined, first, store, scenes, processes, tmp_path):
    """Other weights have made them: to go on is refused, and to begin anew removes them."""
    _, out, _ = mined
    shutil.copytree(out.with_suffix(".rounds"), tmp_path / "net.rounds")
    (tmp_path / "net.rounds" / "round-2.keras").write_bytes(b"of an earlier call")
    others = copied(first, tmp_path / "others", lambda origin: origin)
    shutil.copy(out.with_suffix(".rounds") / "round-1.keras", others)
    write_contract(replace(read_contract(first), weights_sha256=checksum(others)), others)

    with pytest.raises(InputError, match=r"mined-1\.h5 was mined with other weights .*; begin anew, without --resume"):
        mine_and_train(others, store, scenes, tmp_path / "net.keras", processes, ROUNDS, resume=True)
    mine_and_train(others, store, scenes, tmp_path / "net.keras", processes, ROUNDS, tell=lambda line: None)

    assert PatchStore(tmp_path / "net.rounds" / "mined-1.h5").options["mined_with"] == checksum(others)
    assert not (tmp_path / "net.rounds" / "round-2.keras").exists()


def test_weights_among_the_rounds_are_not_written_over(mined, store, scenes, processes):
    _, out, _ = mined

    with pytest.raises(InputError, match=r"round-1\.keras lie where rounds are written to; copy them elsewhere"):
        mine_and_train(out.with_suffix(".rounds") / "round-1.keras", store, scenes, out, processes, ROUNDS)


def test_batches_full_of_ships_are_refused_before_anything_is_mined(first, store, scenes, processes, tmp_path):
    training = read_contract(first).trained_on["training"]
    full = copied(first, tmp_path / "full", lambda origin: origin | {"training": training | {"ship_fraction": "0.9"}})

    with pytest.raises(InputError, match=r"are 7 and 2 patches, more than the 8 of a batch; .* those that .*full"):
        mine_and_train(full, store, scenes, tmp_path / "net.keras", processes, ROUNDS)
    assert not (tmp_path / "net.rounds").exists()


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("net.keras", {"epochs": 0}, "epochs 0 must be above 0"),
        ("net.keras", {"learning_rate": float("nan")}, "learning rate nan must be above 0"),
        ("net.keras", {"mined_fraction": 0.01}, r"mined fraction 0\.01 gives 0 of 8 patches"),
        ("net.h5", {}, r"net\.h5 must end in \.keras"),
    ],
)
def test_what_cannot_be_trained_costs_no_earlier_round(
    first, store, scenes, processes, tmp_path, name, changes, message
):
    (tmp_path / "net.rounds").mkdir()

    with pytest.raises(InputError, match=message):
        mine_and_train(first, store, scenes, tmp_path / name, processes, replace(ROUNDS, **changes))
    assert [path.name for path in tmp_path.iterdir()] == ["net.rounds"]


@pytest.mark.parametrize("fraction", [0.0, 1.0, float("nan"), float("inf")])
def test_shares_that_there_are_not_are_refused(fraction):
    with pytest.raises(InputError, match=f"mined fraction {fraction} must be above 0 and below 1"):
        replace(ROUNDS, mined_fraction=fraction)


def test_weights_that_do_not_say_how_they_were_trained_are_refused(first, store, scenes, processes, tmp_path):
    silent = copied(first, tmp_path / "silent", lambda origin: {})

    with pytest.raises(InputError, match=r"first\.keras does not say how they were trained"):
        mine_and_train(silent, store, scenes, tmp_path / "net.keras", processes, ROUNDS)


@pytest.mark.parametrize(
    "change",
    [{"store_fingerprint": "0f" * 32}, {"store_content": "0f" * 32}, {"store_options": {"full_images": 2}}],
)
def test_weights_of_another_store_do_not_compete(first, store, scenes, processes, tmp_path, change):
    """Their scores are of other images: what is higher says nothing. Both change what a store keeps whole."""
    others = copied(first, tmp_path / "others", lambda origin: origin | change)

    with pytest.raises(InputError, match=r"first\.keras were trained on another store than .*patches\.h5"):
        mine_and_train(others, store, scenes, tmp_path / "net.keras", processes, ROUNDS)


def test_images_that_cannot_be_mined_are_no_end_of_the_mistakes(first, store, scenes, processes, tmp_path):
    """Such as those of the wrong folder."""
    validating = scenes.only(sorted(store.validating_images()))

    with pytest.raises(InputError, match=r"none of the 4 images in .* can be mined"):
        mine_and_train(first, store, validating, tmp_path / "net.keras", processes, ROUNDS)
    assert not (tmp_path / "net.keras").exists()


@pytest.mark.filterwarnings("ignore:0 of 4 full validation images show ships")
def test_only_images_of_the_split_are_mined_and_a_round_ends_in_time(of_no_store, scenes, processes, tmp_path):
    """11 images train and 4 validate; one with a ship is kept for a test. Half a second is over before 1,000 epochs."""
    names = sorted(scenes.files)
    kept = next(name for name in names if scenes.labels.ships[name])
    others = [name for name in names if name != kept]
    split = dict.fromkeys(others[:4], "valid") | dict.fromkeys(others[4:], "train")
    options = PatchOptions(patch=64, stride=64, background_ratio=1.0, full_images=4)
    make_patches(scenes, tmp_path / "patches.h5", options, split=split)
    told, limited = [], replace(ROUNDS, rounds=1, epochs=1000, minutes=0.5 / 60)

    contracts = mine_and_train(
        of_no_store,
        PatchStore(tmp_path / "patches.h5"),
        scenes,
        tmp_path / "net.keras",
        processes,
        limited,
        split=split,
        tell=told.append,
    )

    found = PatchStore(tmp_path / "net.rounds" / "mined-1.h5").source("train", "background")
    assert set(found["image"]) == set(others[4:])
    assert len(contracts) == 2
    assert contracts[1].trained_on["training"]["minutes"] == limited.minutes


def test_a_store_of_another_split_is_refused_before_anything_is_trained(of_no_store, scenes, processes, tmp_path):
    split = {name: "valid" if number < 4 else "train" for number, name in enumerate(sorted(scenes.files))}
    make_patches(scenes, tmp_path / "patches.h5", PatchOptions(patch=64, stride=64), split=split)
    store, out = PatchStore(tmp_path / "patches.h5"), tmp_path / "out" / "net.keras"

    with pytest.raises(InputError, match=r"patches\.h5 was cut with another --split; give the same file"):
        mine_and_train(of_no_store, store, scenes, out, processes, ROUNDS)
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("trained", "further"),
    [(("multi-worker", 5.0), ("none", 0.5)), (("mirrored", 0.25), ("mirrored", 0.25))],
    ids=["on a cluster", "on this machine"],
)
def test_rounds_run_on_this_machine_and_their_warm_up_ends(trained, further):
    """Of one epoch each: five epochs of warm-up would never come to the rate that is asked for."""
    strategy, warm_up = trained

    options = ROUNDS.further(TrainOptions(strategy=strategy, warm_up=warm_up))

    assert (options.strategy, options.warm_up, options.learning_rate) == (*further, 1e-3)


def test_no_rounds_are_refused():
    with pytest.raises(InputError, match="rounds 0 must be 1 or more"):
        replace(ROUNDS, rounds=0)
