from dataclasses import replace

import numpy as np

from shipseg_tiles.nets.build import build_net
from shipseg_tiles.training.model import build_model
from shipseg_tiles.training.options import TrainOptions
from shipseg_tiles.training.strategy import choose_devices


def test_weights_to_start_from_stand_in_for_those_of_an_encoder(tmp_path):
    """Which would be fetched, or looked for, to be replaced."""
    options = TrainOptions(net="mobilenetv2-unet", width=4, depth=2, encoder_weights="nowhere.h5")
    known = build_net(options.net, options.width, options.depth)
    known.save(tmp_path / "net.keras")

    model = build_model(replace(options, start_from=str(tmp_path / "net.keras")), choose_devices(options).net_class)

    for begun, given in zip(model.net.get_weights(), known.get_weights(), strict=True):
        assert np.array_equal(begun, given)
