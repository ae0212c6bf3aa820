"""The other backends of Keras, as far as they are installed, each in a process of its own, against TensorFlow."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from shipseg_tiles.nets.build import build_net
from shipseg_tiles.patches.batch_mix import BatchMix
from shipseg_tiles.patches.feed import RatioFeed

STEP = """
import json, sys
import keras, numpy as np
from shipseg_tiles.nets.augmentation import AugmentationOptions, AugmentedNet
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.losses import build_loss

given = np.load(sys.argv[1])
net = build_net("unet", 4, 2)
net.set_weights([given[f"weight{number}"] for number in range(len(net.weights))])
model = AugmentedNet(net, 0, AugmentationOptions(symmetries=False, contrast=0, brightness=0, colour=0))
model.compile(keras.optimizers.AdamW(1e-2), build_loss("dice-cross-entropy"), jit_compile="auto")
losses = [float(model.train_on_batch(given["images"], given["masks"])) for _ in range(2)]
print(json.dumps([keras.backend.backend(), losses]))
"""

WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] == "tensorflow" else super().find_spec(name, path, target)

sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
"""
"""Put before a script: Python finds TensorFlow nowhere, as on a machine that has another backend alone."""

RUN = """
import sys
from shipseg_tiles.cli.main import main
main(sys.argv[1:])
"""

PREDICT = """
import sys
from pathlib import Path
import numpy as np
from shipseg_tiles.inference.predictor import Predictor
np.save(sys.argv[3], Predictor.load(Path(sys.argv[1]), tile=64).probabilities(np.load(sys.argv[2])))
"""

TRAINING = [
    *("--width", "2", "--depth", "2", "--batch-size", "8", "--epochs", "2", "--stages", "decoder:1:1e-3"),
    *("--augmentation", "scale=0.3", "paste=0.5", "haze=0.4", "blur=1", "jpeg=1"),
    *("--learning-rate", "1e-2", "--schedule", "cosine", "--moving-average", "0.9"),
]


def run(script, backend, *arguments):
    """Run a script under a backend and return the last line that it printed."""
    finished = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert finished.returncode == 0, finished.stderr
    return (finished.stdout.splitlines() or [""])[-1]


@pytest.fixture(scope="module", params=["jax", "torch"])
def backend(request):
    """Each of the other backends that is installed."""
    if not find_spec(request.param):
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture(scope="module")
def given(store, tmp_path_factory):
    """A file of fresh weights and one batch, for all backends to begin with."""
    images, masks = RatioFeed(store, BatchMix.parse(8, "0.5"), seed=0)[0]
    weights = {f"weight{number}": weight for number, weight in enumerate(build_net("unet", 4, 2).get_weights())}
    path = tmp_path_factory.mktemp("given") / "given.npz"
    np.savez(path, images=images, masks=masks, **weights)
    return path


@pytest.fixture(scope="module")
def of_tensorflow(given):
    """The losses before and after a step under TensorFlow."""
    name, losses = json.loads(run(STEP, "tensorflow", given))
    assert name == "tensorflow"
    return losses


def test_a_step_changes_the_loss_as_under_tensorflow(backend, given, of_tensorflow):
    name, losses = json.loads(run(STEP, backend, given))

    assert name == backend
    assert losses == pytest.approx(of_tensorflow, rel=1e-3)
    assert abs(losses[1] - losses[0]) > 1e-2 * losses[0]  # many times what is tolerated


def test_tensorflow_goes_on_with_what_another_backend_trained_without_it(backend, store, tmp_path):
    """A short training of all kinds of augmentation and callbacks, and its weights on noise that no net has seen."""
    weights, image = tmp_path / "net.keras", tmp_path / "image.npy"
    np.save(image, np.random.default_rng(0).integers(0, 256, (100, 80, 3), dtype=np.uint8))

    run(WITHOUT_TENSORFLOW + RUN, backend, "train", "--patches", *store.paths, "--out", weights, *TRAINING)

    assert not (tmp_path / "net.training" / "tensorboard").exists()  # only TensorFlow can write it
    answers = [tmp_path / "other.npy", tmp_path / "tensorflow.npy"]
    run(WITHOUT_TENSORFLOW + PREDICT, backend, weights, image, answers[0])
    run(PREDICT, "tensorflow", weights, image, answers[1])
    other, tensorflow = map(np.load, answers)
    assert tensorflow.shape == (100, 80)
    assert tensorflow.std() > 1e-2 * tensorflow.mean()  # many times what is tolerated
    np.testing.assert_allclose(other, tensorflow, rtol=1e-3)


def test_a_training_goes_on_as_if_nothing_had_happened(backend, store, tmp_path):
    """Keras looks at a batch when a fit begins; each epoch has its own batches all the same."""
    straight, broken = tmp_path / "straight.keras", tmp_path / "broken.keras"
    asked = ["train", "--patches", *store.paths, "--width", "2", "--depth", "2", "--batch-size", "8"]
    asked += ["--schedule", "constant"]

    run(RUN, backend, *asked, "--epochs", "2", "--out", straight)
    run(RUN, backend, *asked, "--epochs", "1", "--out", broken)
    run(RUN, backend, *asked, "--epochs", "2", "--out", broken, "--resume")

    histories = [pd.read_csv(path.with_suffix(".training") / "history.csv") for path in (straight, broken)]
    pd.testing.assert_frame_equal(*histories, rtol=1e-5)
