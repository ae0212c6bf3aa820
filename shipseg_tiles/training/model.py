"""The model that is trained: made of options, compiled for a stage, saved as the bare net."""

from pathlib import Path

import keras

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.augmentation import AugmentationOptions, AugmentedNet
from shipseg_tiles.nets.build import CLASSIFIERS, GATES, build_net
from shipseg_tiles.nets.losses import build_loss
from shipseg_tiles.nets.metrics import PatchDice, PatchF1
from shipseg_tiles.nets.saved import load_model
from shipseg_tiles.training.optimizer import build_optimizer
from shipseg_tiles.training.options import TrainOptions
from shipseg_tiles.training.precision import precision
from shipseg_tiles.training.schedule import Stage
from shipseg_tiles.training.trainable_layers import choose_layers


def build_model(options: TrainOptions, net_class: type[AugmentedNet]) -> AugmentedNet:
    """Build the net and what augments its batches, with the weights that it is to start from.

    Raises:
        InputError: If an option is out of its range, or the weights do not fit.
    """
    with precision(options.precision):
        # Weights to start from replace those of an encoder, which need not be there then.
        net = bare_net(options, "none" if options.start_from else options.encoder_weights)
        model = net_class(net, options.seed, AugmentationOptions.parse(options.augmentation))
    if options.start_from:
        known = load_model(Path(options.start_from))
        try:
            net.set_weights(known.get_weights())
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{options.start_from} does not fit {options.net} with these options: {reason}") from None
    return model


def bare_net(options: TrainOptions, encoder_weights: str = "none") -> keras.Model:
    """Build the net without what augments its batches, at the precision that is set."""
    return build_net(
        options.net,
        options.width,
        options.depth,
        normalisation="batch" if options.normalisation == "frozen" else options.normalisation,
        encoder_weights=encoder_weights,
    )


def prepare_stage(model: AugmentedNet, stage: Stage, patch: int, options: TrainOptions) -> None:
    """Let the layers of a stage learn, with a fresh optimizer; `patch` is the side of what the model will see.

    Raises:
        InputError: If there is no such loss, or the net has no such layers.
    """
    choose_layers(model.net, stage.layers, options.normalisation)
    model.compile(
        optimizer=build_optimizer(options.learning_rate, options.weight_decay, options.moving_average),
        loss=_loss(options),
        metrics=[_metric(options.net)],
        # XLA on a CPU made these nets train at half the speed; other backends compile in their own way.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    model.build((None, patch, patch, 3))
    model.optimizer.build(model.trainable_variables)


def _loss(options: TrainOptions) -> keras.losses.Loss:
    suiting = "weighted-cross-entropy" if options.net in GATES else "dice-cross-entropy"
    return build_loss(suiting if options.loss == "auto" else options.loss)


def _metric(net: str) -> keras.metrics.Metric:
    if net in CLASSIFIERS:
        return PatchF1()
    return PatchDice("cell_dice") if net in GATES else PatchDice()
