import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.resnet34 import resnet34_encoder

SIDE = 32


def torchvision_shapes():
    """Names and shapes of torchvision's resnet34 from its first layer to the end of `layer2`, written out anew."""
    shapes = {"conv1.weight": (64, 3, 7, 7)} | normalisation("bn1", 64)
    for stage, blocks, before, filters in ((1, 3, 64, 64), (2, 4, 64, 128)):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            shapes[f"{name}.conv1.weight"] = (filters, before if block == 0 else filters, 3, 3)
            shapes[f"{name}.conv2.weight"] = (filters, filters, 3, 3)
            shapes |= normalisation(f"{name}.bn1", filters) | normalisation(f"{name}.bn2", filters)
    shapes["layer2.0.downsample.0.weight"] = (128, 64, 1, 1)
    return shapes | normalisation("layer2.0.downsample.1", 128)


def normalisation(name, filters):
    return {f"{name}.{part}": (filters,) for part in ("weight", "bias", "running_mean", "running_var")}


def random_state():
    """Weights that keep the size of the features about what it is; all of a normalisation's numbers differ."""
    random = np.random.default_rng(0)
    state = {"bn1.num_batches_tracked": np.array(5), "fc.weight": np.zeros((1000, 512), np.float32)}
    for name, shape in torchvision_shapes().items():
        if len(shape) == 4:
            state[name] = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        else:
            low, high = {"bias": (-0.5, 0.5), "running_mean": (-0.5, 0.5)}.get(name.split(".")[-1], (0.5, 1))
            state[name] = random.uniform(low, high, shape)
    return {name: array.astype(np.float32) for name, array in state.items()}


class Torch:
    """The same net slowly, in float64 and in torch's layout (channels, height, width), as torch's manual defines it."""

    def __init__(self, state):
        self.state = state

    def convolve(self, image, name, stride):
        kernel = self.state[f"{name}.weight"].astype(np.float64)
        margin = kernel.shape[2] // 2
        padded = np.pad(image, ((0, 0), (margin, margin), (margin, margin)))
        windows = sliding_window_view(padded, kernel.shape[2:], axis=(1, 2))[:, ::stride, ::stride]
        return np.einsum("chwij,ocij->ohw", windows, kernel, optimize=True)

    def normalise(self, image, name):
        weight, bias, mean, variance = (
            self.state[f"{name}.{part}"][:, np.newaxis, np.newaxis]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (image - mean) / np.sqrt(variance + 1e-5) * weight + bias

    def pool(self, image):
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
        return sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(3, 4))

    def block(self, image, name, stride):
        residual = image
        if stride > 1:
            residual = self.normalise(self.convolve(image, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        image = np.maximum(self.normalise(self.convolve(image, f"{name}.conv1", stride), f"{name}.bn1"), 0)
        return np.maximum(self.normalise(self.convolve(image, f"{name}.conv2", 1), f"{name}.bn2") + residual, 0)

    def levels(self, pixels):
        """Features at the strides 1, 2, 4 and 8."""
        mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        levels = [((pixels / 255 - mean) / deviation).transpose(2, 0, 1)]
        levels.append(np.maximum(self.normalise(self.convolve(levels[0], "conv1", 2), "bn1"), 0))
        image = self.pool(levels[1])
        for stage, blocks in ((1, 3), (2, 4)):
            for block in range(blocks):
                image = self.block(image, f"layer{stage}.{block}", 2 if stage == 2 and block == 0 else 1)
            levels.append(image)
        return levels


@pytest.fixture(scope="module")
def state():
    return random_state()


@pytest.fixture(scope="module")
def file(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet34.npz"
    np.savez(path, **state)
    return path


def test_torchvisions_weights_give_torchs_numbers(state, file):
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE + 16, 3), dtype=np.uint8)
    net = build_net("resnet34-unet", width=2, depth=3, encoder_weights=str(file))

    found = net.get_layer("encoder")(pixels[np.newaxis])

    for mine, torchs in zip(found, Torch(state).levels(pixels), strict=True):
        assert torchs.std() > 0.1
        np.testing.assert_allclose(mine[0], torchs.transpose(1, 2, 0), rtol=1e-3, atol=1e-3)


def test_it_has_as_many_weights_as_torchvisions():
    """torchvision documents 21,797,672 trainable numbers, 512 * 1000 + 1000 of them in the layer on top."""
    trained = resnet34_encoder(5).trainable_weights

    assert sum(np.prod(weight.shape) for weight in trained) == 21_797_672 - 513_000


def test_a_file_that_lacks_a_parameter_is_refused_with_its_name(state, tmp_path):
    np.savez(
        tmp_path / "part.npz", **{name: array for name, array in state.items() if name != "layer1.2.bn1.running_var"}
    )

    with pytest.raises(InputError, match=r"part\.npz have no layer1\.2\.bn1\.running_var; give the state dict"):
        build_net("resnet34-classifier", 2, 2, encoder_weights=str(tmp_path / "part.npz"))


def test_a_file_of_a_shallower_net_is_refused(file):
    """The file ends with `layer2`, a depth of 3."""
    with pytest.raises(InputError, match=r"have no layer3\.0\."):
        build_net("resnet34-unet", 2, 4, encoder_weights=str(file))


def test_a_parameter_of_another_shape_is_refused_with_its_layer(state, tmp_path):
    np.savez(tmp_path / "gray.npz", **state | {"conv1.weight": state["conv1.weight"][:, :1]})

    with pytest.raises(InputError, match=r"gray\.npz do not fit: layer conv1 finds shapes .*7, 7, 1, 64"):
        build_net("resnet34-unet", 2, 2, encoder_weights=str(tmp_path / "gray.npz"))


def test_imagenet_is_refused_with_a_remedy():
    with pytest.raises(InputError, match=r"no imagenet weights of ResNet34; give torchvision's as a \.safetensors"):
        build_net("resnet34-unet", 2, 2, encoder_weights="imagenet")
