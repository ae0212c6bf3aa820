"""One net of several: the mean of what they answer, each at the scale that it was trained at."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import keras
from keras import layers

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.blocks import shrink_pixels
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import read_contract, write_weights
from shipseg_tiles.nets.load import load_net
from shipseg_tiles.nets.saved import save_packed
from shipseg_tiles.tiling import before_shrinking, round_up

NET = "ensemble"
"""Name of such a net in its contract."""

LARGEST_SCALE = 4
"""Times the size of the training, at which a net takes 16 times as long and sees nothing that it knows."""

_FINEST_PART = 8
"""Of a pixel: to shrink by 9 / 8 is to cut each into 8 x 8, and takes as many times the memory."""


def write_ensemble(weights: Sequence[Path], out: Path, symmetries: int = 1, scales: Sequence[float] = ()) -> Contract:
    """Make one segmenter of one or more, which answers the mean of their probabilities over several views.

    That is a deep ensemble (Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474). What all members were
    trained to see shrunk stays for the contract to say; a member that sees it smaller than others is shown it shrunk
    further, inside the net. So the contract says in which views a tile is shown; what those of the members say of views
    does not count. The ensemble cannot be trained further.

    Args:
        weights: `.keras` files of segmenters with their contracts beside them, trained at the image's scale or below.
        out: `NAME.keras` to write, see `save_packed`; its contract `NAME.json` appears beside it.
        symmetries: In how many symmetries tiles are shown, one of `SYMMETRIES`.
        scales: Times the size of the training at which tiles are shown, 1 for just that. empty for 1 alone.

    Returns:
        The contract. Threshold, minimum area and score, and separation are those of the first member until they are
        calibrated; it remembers all images that any member was calibrated on.

    Raises:
        InputError: If a member is no segmenter, is for other pixels than another, sees images enlarged or at no simple
            fraction of what another sees, a view cannot be, or `out` has another suffix or is a member.
    """
    if out.suffix != ".keras":
        raise InputError(f"{out} must end in .keras")
    if out.resolve() in {path.resolve() for path in weights}:
        raise InputError(f"{out} is one of the members, which would be lost; choose another --out")
    contracts = [read_contract(path) for path in weights]
    shrinks = [_shrink(path, contract) for path, contract in zip(weights, contracts, strict=True)]
    further = [shrink / min(shrinks) for shrink in shrinks]
    _check_views(weights, further, scales)
    pixel_size = _pixel_size(weights, contracts)
    contract = replace(_contract(contracts, further, scales), symmetries=symmetries, pixel_size=pixel_size)
    net = build_ensemble([load_net(path) for path in weights], further)
    members = [
        {"weights": path.name, "weights_sha256": of.weights_sha256, "shrink": float(shrink), **of.trained_on}
        for path, of, shrink in zip(weights, contracts, shrinks, strict=True)
    ]
    return write_weights(out, replace(contract, trained_on={"members": members}), partial(save_packed, net))


def build_ensemble(nets: Sequence[Any], shrinks: Sequence[Fraction | int]) -> keras.Model:
    """Build the mean of nets.

    Args:
        nets: Keras models from uint8 (N, height, width, 3) to probabilities (N, height, width, 1); they are renamed.
        shrinks: How many pixels of what the ensemble is shown, along a side, are one for each of them.

    Returns:
        Such a model, for sides that each member sees as multiples of what it needs.
    """
    pixels = keras.Input((None, None, 3), dtype="uint8")
    answers = []
    for number, (net, shrink) in enumerate(zip(nets, shrinks, strict=True), start=1):
        net.name = f"member_{number}"  # two layers of a model must not have one name
        answers.append(net(pixels) if shrink == 1 else _enlarged(net(shrink_pixels(pixels, shrink)), shrink))
    return keras.Model(pixels, layers.Average()(answers) if len(answers) > 1 else answers[0], name=NET)


def _enlarged(answer: Any, times: Fraction | int) -> Any:
    answer = layers.UpSampling2D(times.numerator, interpolation="bilinear")(answer)
    return layers.AveragePooling2D(times.denominator)(answer) if times.denominator > 1 else answer


def _shrink(weights: Path, contract: Contract) -> Fraction:
    """Return the `shrink` of a member."""
    if contract.shrink < 1:
        raise InputError(
            f"{weights} was trained on patches of {contract.patch} px resized to {contract.resize}; an ensemble takes"
            " nets that see images as they are or smaller"
        )
    return contract.shrink


def _pixel_size(weights: Sequence[Path], contracts: Sequence[Contract]) -> float | None:
    """Return which pixels all members are for; None if no contract says it."""
    known = {of.pixel_size: path for path, of in zip(weights, contracts, strict=True) if of.pixel_size is not None}
    if len(known) > 1:
        (size, path), (other_size, other) = list(known.items())[:2]
        raise InputError(f"{path} is for pixels of {size:g} m, {other} for {other_size:g} m; give nets for the same")
    return next(iter(known), None)


def _check_views(weights: Sequence[Path], further: Sequence[Fraction], scales: Sequence[float]) -> None:
    for scale in scales:
        if not 0 < scale <= LARGEST_SCALE:
            raise InputError(f"scale {scale} must be above 0 and at most {LARGEST_SCALE}")
    for path, shrink in zip(weights, further, strict=True):
        if shrink.denominator > _FINEST_PART:
            raise InputError(
                f"{path} sees images {shrink} times smaller than the member that sees them largest; give nets whose"
                " sizes are simpler fractions of each other, such as 3/2"
            )


def _contract(contracts: Sequence[Contract], further: Sequence[Fraction], scales: Sequence[float]) -> Contract:
    """Say how an ensemble is to be used; what it is made of, and its checksum, come with its weights.

    Args:
        contracts: Those of the members.
        further: How many pixels of what the ensemble is shown, along a side, are one for each member.
        scales: As for `write_ensemble`.
    """
    first, finest = contracts[0], contracts[further.index(Fraction(1))]
    needed = math.lcm(
        *(before_shrinking(of.tile_multiple, shrink) for of, shrink in zip(contracts, further, strict=True))
    )
    images = {image for contract in contracts for image in contract.calibration.get("images", [])}
    return replace(
        first,
        net=NET,
        patch=finest.patch,
        tile=round_up(first.tile, needed),
        overlap=max(contract.overlap for contract in contracts),
        tile_multiple=needed,
        # What changes no member's answer changes no mean.
        receptive_field=math.ceil(
            max((of.receptive_field or 0) * shrink for of, shrink in zip(contracts, further, strict=True))
        ),
        resize=finest.resize,
        resizes=[max(1, round(scale * finest.patch_seen)) for scale in scales],
        gate=None,
        scores={},
        calibration={"images": sorted(images)} if images else {},
    )
