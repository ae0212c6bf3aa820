"""One net of several: the mean of what they answer, each at the scale that it was trained at."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
from keras import layers, ops

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.predictor import load_net
from shipseg_tiles.nets.contract import Contract, checksum, read_contract, write_contract
from shipseg_tiles.nets.saved import save_packed

NET = "ensemble"
"""Name of such a net in its contract."""


def write_ensemble(weights: Sequence[Path], out: Path, mirrored: bool = False) -> Contract:
    """Make one segmenter of one or more, which answers the mean of their probabilities.

    That is a deep ensemble (Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474). What all members were
    trained to see shrunk stays for the contract to say; a member that sees it smaller than others is shown it shrunk
    further, inside the net. The ensemble cannot be trained further.

    Args:
        weights: `.keras` files of segmenters with their contracts beside them, trained at the image's scale or at a
            whole fraction of it.
        out: `NAME.keras` to write, see `save_packed`; its contract `NAME.json` appears beside it.
        mirrored: Show each member the mirrored image as well, at twice the cost.

    Returns:
        The contract. Threshold, minimum area and score, and separation are those of the first member until they are
        calibrated; it remembers all images that any member was calibrated on.

    Raises:
        InputError: If a member is no segmenter or was trained at another scale, or `out` has another suffix.
    """
    if out.suffix != ".keras":
        raise InputError(f"{out} must end in .keras")
    contracts = [read_contract(path) for path in weights]
    shrinks = [_shrink(path, contract) for path, contract in zip(weights, contracts, strict=True)]
    common = math.gcd(*shrinks)
    net = build_ensemble([load_net(path) for path in weights], [shrink // common for shrink in shrinks], mirrored)
    contract = _contract(weights, contracts, shrinks, mirrored)
    save_packed(net, out)
    contract = replace(contract, weights_sha256=checksum(out))
    write_contract(contract, out)
    return contract


def build_ensemble(nets: Sequence[Any], shrinks: Sequence[int], mirrored: bool = False) -> keras.Model:
    """Build the mean of nets.

    Args:
        nets: Keras models from uint8 (N, height, width, 3) to probabilities (N, height, width, 1); they are renamed.
        shrinks: How many pixels of what the ensemble is shown, along a side, are one for each of them.
        mirrored: Whether each is shown the mirrored image as well.

    Returns:
        Such a model, for sides that are multiples of what each member needs times its shrink.
    """
    pixels = keras.Input((None, None, 3), dtype="uint8")
    answers = []
    for number, (net, shrink) in enumerate(zip(nets, shrinks, strict=True), start=1):
        net.name = f"member_{number}"  # two layers of a model must not have one name
        answers.append(_answer(net, pixels, shrink, mirrored))
    return keras.Model(pixels, _mean(answers), name=NET)


def _answer(net: Any, pixels: Any, shrink: int, mirrored: bool) -> Any:
    """Answer at the image's scale; what is done at the net's own costs less."""
    seen = pixels if shrink == 1 else _shrunk(pixels, shrink)
    answers = [net(seen), ops.flip(net(ops.flip(seen, axis=2)), axis=2)] if mirrored else [net(seen)]
    mean = _mean(answers)
    return mean if shrink == 1 else layers.UpSampling2D(shrink, interpolation="bilinear")(mean)


def _shrunk(pixels: Any, shrink: int) -> Any:
    """Shrink uint8 pixels as patches are shrunk that are stored."""
    means = layers.AveragePooling2D(shrink)(ops.cast(pixels, "float32"))
    return ops.cast(ops.floor(means + 0.5), "uint8")


def _mean(answers: list[Any]) -> Any:
    return layers.Average()(answers) if len(answers) > 1 else answers[0]


def _shrink(weights: Path, contract: Contract) -> int:
    """Return how many pixels of the image, along a side, are one for a net."""
    shrink, rest = divmod(contract.patch, contract.resize or contract.patch)
    if rest or not shrink:
        raise InputError(
            f"{weights} was trained on patches of {contract.patch} px resized to {contract.resize}; an ensemble takes"
            " nets that see images as they are, or at a whole fraction such as a half"
        )
    return shrink


def _contract(
    weights: Sequence[Path], contracts: Sequence[Contract], shrinks: Sequence[int], mirrored: bool
) -> Contract:
    """Say how an ensemble is to be used and what it is made of; the checksum comes with its weights."""
    first, common = contracts[0], math.gcd(*shrinks)
    multiple = math.lcm(*(contract.multiple for contract in contracts))
    patch = max(contract.patch for contract in contracts)
    images = {image for contract in contracts for image in contract.calibration.get("images", [])}
    members = [
        {"weights": path.name, "weights_sha256": contract.weights_sha256, "shrink": shrink, **contract.trained_on}
        for path, contract, shrink in zip(weights, contracts, shrinks, strict=True)
    ]
    return replace(
        first,
        net=NET,
        patch=patch,
        tile=multiple * math.ceil(first.tile / multiple),
        overlap=max(contract.overlap for contract in contracts),
        tile_multiple=multiple // common,
        # What changes no member's answer changes no mean.
        receptive_field=-(-max(contract.reach or 0 for contract in contracts) // common),
        resize=None if common == 1 else patch // common,
        gate=None,
        trained_on={"members": members, "mirrored": mirrored},
        scores={},
        calibration={"images": sorted(images)} if images else {},
    )
