import keras
import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.calibration.measurement import measure_nets
from shipseg_tiles.calibration.settings import Setting
from shipseg_tiles.digests import checksum, image_digest
from shipseg_tiles.errors import InputError, SkippedImageWarning
from shipseg_tiles.nets.contract import GateUse

USE = {"threshold": 0.3, "tile": 96, "overlap": 0.0, "tile_multiple": 32}


@pytest.fixture(scope="module")
def nets(save_net, tmp_path_factory):
    """`net` answers the brightness of each pixel, `gate` that of each cell of 32 px."""
    folder = tmp_path_factory.mktemp("weights")
    gate = save_net(folder / "gate.keras", keras.layers.MaxPooling2D(32), **USE, thresholds={"32": 0.5, "96": 0.25})
    save_net(folder / "net.keras", **USE)
    save_net(folder / "calibrated.keras", **USE, minimum_score=0.8, gate=GateUse(checksum(gate), 96, 0.75))
    return folder


@pytest.fixture
def archive(tmp_path):
    """`large.png`, 96 x 192 px, has boxes of 204/255 = 0.8 and 0.4 in its halves; `dark.png` and `light.png`, 64 px
    wide, have one of 0.4 and 0.6. The first box of the large one is labelled."""
    (tmp_path / "images").mkdir()
    for name, width, boxes in (
        ("dark.png", 64, {40: 102}),
        ("large.png", 192, {20: 204, 150: 102}),
        ("light.png", 64, {40: 153}),
    ):
        pixels = np.zeros((min(width, 96), width, 3), dtype=np.uint8)
        for column, gray in boxes.items():
            pixels[10:20, column : column + 5] = gray
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    runs = " ".join(f"{column * 96 + 11} 10" for column in range(20, 25))
    (tmp_path / "labels.csv").write_text(f"ImageId,EncodedPixels\ndark.png,\nlarge.png,{runs}\nlight.png,\n")
    return lambda: open_archive(tmp_path / "images", tmp_path / "labels.csv")


def peaks_of(measured, name):
    return measured.evidence[name].objects[False, 0.3].peaks.tolist()


def test_net_and_gate_are_asked_of_each_image_by_hand(nets, archive):
    """Tiles of 96 px: two on the large image, of which the gate says 0.8 and 0.4. They are what a threshold is chosen
    for; on the small images, in one tile of 64 px, the gate's own threshold of 0.5 decides."""
    files = archive().files

    measured = measure_nets(nets / "net.keras", nets / "gate.keras", archive())

    assert measured.current == Setting(0.3, 4, 0.0, 0.25, False)
    assert (measured.tile, [peaks.tolist() for peaks in measured.peaks]) == (96, [pytest.approx([0.8, 0.4])])
    assert peaks_of(measured, "large.png") == pytest.approx([0.8, 0.4])
    assert (peaks_of(measured, "dark.png"), peaks_of(measured, "light.png")) == ([-np.inf], [np.inf])
    assert measured.evidence["large.png"].objects[False, 0.3].hits.tolist() == [10, 0]
    assert measured.digests == [image_digest(path) for path in files.values()]
    assert measured.axes().gates[0] is None
    assert all(0.25 <= gate < 0.8 for gate in measured.axes().gates[1:])
    assert measured.use_of_gate(Setting(0.5, 0, 0.0, 0.3, False)) == GateUse(checksum(nets / "gate.keras"), 96, 0.3)


def test_without_a_gate_all_tiles_are_seen(nets, archive):
    measured = measure_nets(nets / "net.keras", None, archive())

    assert (measured.current.gate, measured.peaks, measured.axes().gates) == (None, [], (None,))
    assert peaks_of(measured, "large.png") == [1, 1]
    assert measured.use_of_gate(measured.current) is None


def test_the_current_setting_is_that_of_an_earlier_calibration(nets, archive):
    current = measure_nets(nets / "calibrated.keras", nets / "gate.keras", archive()).current

    assert current == Setting(0.3, 4, 0.8, 0.75, False)


def test_if_all_images_are_small_the_gate_is_calibrated_for_them(nets, archive):
    small = archive().only(["dark.png", "light.png"])

    measured = measure_nets(nets / "net.keras", nets / "gate.keras", small)

    assert (measured.tile, measured.current.gate) == (64, 0.5)
    assert peaks_of(measured, "dark.png") + peaks_of(measured, "light.png") == pytest.approx([0.4, 0.6])


def test_without_any_image_there_is_nothing_to_measure(nets, archive):
    labelled = archive()
    for path in labelled.files.values():
        path.write_bytes(b"damaged")

    with (
        pytest.warns(SkippedImageWarning),
        pytest.raises(InputError, match=r"none of the images in .* could be read"),
    ):
        measure_nets(nets / "net.keras", nets / "gate.keras", labelled)
