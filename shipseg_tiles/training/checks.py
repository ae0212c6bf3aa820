"""Whether a store and options go together, known before anything is trained."""

from pathlib import Path

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.augmentation import AugmentationOptions
from shipseg_tiles.nets.augmentation_light import BLOCK
from shipseg_tiles.nets.build import GATES, side_multiple
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.patches.store_layout import CLASSES
from shipseg_tiles.training.options import TrainOptions


def check_training(store: PatchStore, out: Path, options: TrainOptions) -> None:
    """Refuse what would fail, or make its scores worthless, before a net is built.

    Args:
        store: Patches to train on.
        out: Where the weights are to be written.
        options: How.

    Raises:
        InputError: If the weights have another suffix than `.keras`, an option means nothing to the net, the store has
            no ship or patches of a side that net or augmentation cannot take, or trains on images that it validates
            with.
    """
    if out.suffix != ".keras":
        raise InputError(f"{out} must end in .keras")
    if options.miss_rate is not None and options.net not in GATES:
        raise InputError(
            f"miss rate {options.miss_rate} means nothing to {options.net}; leave it out or use --net gate"
        )
    _check_scale(store, options)
    if not len(store.sets["train", "ship"]):
        raise InputError(f"{store.paths[0]} holds no ship to train on; give a store that make-patches made")
    if len(store.paths) > 1:
        _check_split(store)


def _check_split(store: PatchStore) -> None:
    """Refuse stores of which one trains on images that another validates with."""
    trains = {name for kind in CLASSES for name in store.source("train", kind)["image"]}
    leaking = store.validating_images() & trains
    if leaking:
        raise InputError(
            f"{min(leaking)} validates in one of {', '.join(map(str, store.paths))} and trains in another; cut all with"
            " one --split"
        )


def _check_scale(store: PatchStore, options: TrainOptions) -> None:
    """Refuse patches of a scale or a side that the net or its augmentation cannot take."""
    if options.net in GATES:
        _check_for_gate(store, side_multiple(options.net, options.depth))
    elif store.side % 2**options.depth:
        raise InputError(f"patches of {store.side} px do not halve {options.depth} times; use a smaller --depth")
    if AugmentationOptions.parse(options.augmentation).jpeg and store.side % BLOCK:
        raise InputError(
            f"patches of {store.side} px hold no whole number of JPEG's blocks of {BLOCK} px; leave out --augmentation"
            " jpeg, or cut others"
        )


def _check_for_gate(store: PatchStore, multiple: int) -> None:
    if store.options["resize"] is not None:
        raise InputError(
            f"{store.paths[0]} holds resized patches, but a gate sees images as they are; cut without --resize"
        )
    if store.side % multiple:
        raise InputError(
            f"patches of {store.side} px are no multiple of the {multiple} px that a gate needs; cut others"
        )
