import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.encoder_weights import encoder_of, load_encoder, no_pretrained


def features(net):
    """What the encoder of a net answers at its deepest level."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    return np.asarray(encoder_of(net, "net")(pixels)[-1])


def trained_classifier(name="classifier", **options):
    """A classifier after one step, whose moving averages are no longer those of a fresh net."""
    keras.utils.set_random_seed(1)
    net = build_net(name, **{"width": 3, "depth": 2} | options)
    net.compile(keras.optimizers.SGD(0.1), loss="binary_crossentropy", run_eagerly=True)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    net.train_on_batch(pixels, np.array([[0], [1]]))
    return net


@pytest.fixture
def take_encoder(tmp_path):
    """Give a net the encoder of another one, by a file."""

    def take(net, other):
        other.save(tmp_path / "known.keras")
        load_encoder(encoder_of(net, ""), str(tmp_path / "known.keras"), no_pretrained)

    return take


@pytest.mark.parametrize(
    ("classifier", "unet"), [("classifier", "unet"), ("mobilenetv2-classifier", "mobilenetv2-unet")]
)
def test_a_unet_takes_over_the_encoder_of_a_classifier(take_encoder, classifier, unet):
    known, net = trained_classifier(classifier), build_net(unet, width=3, depth=2)
    assert np.abs(features(net) - features(known)).max() > 1e-2

    take_encoder(net, known)

    assert np.array_equal(features(net), features(known))


def test_a_file_does_the_same(tmp_path):
    known = trained_classifier()
    known.save(tmp_path / "ships.keras")

    net = build_net("unet", 3, 2, encoder_weights=str(tmp_path / "ships.keras"))

    np.testing.assert_allclose(features(net), features(known), atol=1e-6)


def test_the_rest_of_the_net_stays_as_it_is(take_encoder):
    net = build_net("unet", 3, 2)
    before = net.get_layer("up0_conv1").get_weights()[0]

    take_encoder(net, trained_classifier())

    assert np.array_equal(net.get_layer("up0_conv1").get_weights()[0], before)


def test_a_shallower_net_takes_the_first_levels(take_encoder):
    known, net = trained_classifier("mobilenetv2-classifier", depth=3), build_net("mobilenetv2-unet", width=3, depth=2)

    take_encoder(net, known)

    name = "block_3_expand"
    assert np.array_equal(
        encoder_of(net, "").get_layer(name).get_weights()[0], encoder_of(known, "").get_layer(name).get_weights()[0]
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"width": 4, "depth": 2}, r"layer down0_conv1 finds shapes \[\(3, 3, 3, 3\)\] for \[\(3, 3, 3, 4\)\]"),
        ({"width": 3, "depth": 1}, r"layer bottom_conv1 finds shapes \[\(3, 3, 6, 12\)\] for \[\(3, 3, 3, 6\)\]"),
        ({"width": 3, "depth": 3}, "layer down2_conv1 finds nothing"),
        ({"width": 3, "depth": 2, "normalisation": "none"}, "layer down0_conv1 finds shapes"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused_and_nothing_is_changed(take_encoder, options, reason):
    net = build_net("unet", **options)
    before = net.get_weights()

    with pytest.raises(InputError, match=rf"encoder weights .*known\.keras do not fit: {reason}"):
        take_encoder(net, trained_classifier())
    assert all(np.array_equal(mine, old) for mine, old in zip(net.get_weights(), before, strict=True))


def test_another_kind_of_encoder_is_refused(tmp_path):
    build_net("mobilenetv2-classifier", 2, 2).save(tmp_path / "mobile.keras")

    with pytest.raises(
        InputError, match=r"mobile\.keras do not fit: layer down0_conv1 finds nothing; use the same net"
    ):
        build_net("unet", 2, 2, encoder_weights=str(tmp_path / "mobile.keras"))


def test_a_net_without_encoder_is_refused(tmp_path):
    pixels = keras.Input((None, None, 3))
    keras.Model(pixels, keras.layers.Conv2D(1, 1, name="encoder")(pixels)).save(tmp_path / "other.keras")

    with pytest.raises(InputError, match=r"other\.keras has no layer `encoder`"):
        build_net("unet", 2, 2, encoder_weights=str(tmp_path / "other.keras"))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"missing\.keras do not exist; give none, imagenet or the path of a file"):
        build_net("unet", 2, 2, encoder_weights=str(tmp_path / "missing.keras"))


def test_weights_that_nobody_publishes_are_refused(tmp_path):
    (tmp_path / "net.h5").write_bytes(b"")

    for weights in ("imagenet", str(tmp_path / "net.h5")):
        with pytest.raises(InputError, match=f"{weights} are not for this net; give none or a .keras file"):
            build_net("xception-unet", 2, 2, encoder_weights=weights)
