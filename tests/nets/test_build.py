import keras
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.build import NETS, build_net


@pytest.mark.parametrize("name", NETS)
def test_every_net_maps_images_to_one_probability_a_pixel(name):
    net = build_net(name, width=1, depth=1)

    assert isinstance(net, keras.Model)
    assert net.input_shape == (None, None, None, 3)
    assert net.output_shape == (None, None, None, 1)


def test_width_and_depth_are_obeyed():
    net = build_net("unet", width=3, depth=2)

    assert net.get_layer("down0_conv1").filters == 3
    assert net.get_layer("bottom_conv1").filters == 3 * 2**2


def test_an_unknown_net_is_refused():
    with pytest.raises(InputError, match="no net 'vgg'; choose one of unet"):
        build_net("vgg", 8, 2)


@pytest.mark.parametrize(("width", "depth"), [(0, 2), (-1, 2), (8, 0), (8, 7), (8, -1)])
def test_numbers_out_of_range_are_refused(width, depth):
    with pytest.raises(InputError, match=f"width {width} must be 1 or more and depth {depth}"):
        build_net("unet", width, depth)
