import json
import pickle

import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets import saved
from shipseg_tiles.nets.state_dict import read_state_dict

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn.running_var": np.array([0.5, 2], dtype=np.float16),
    "bn.num_batches_tracked": np.array(7, dtype=np.int64),
}


def safetensors(header, data=b""):
    """The length of the header as 8 bytes, least first; the header; the data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype, shape, first, last):
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def test_safetensors_by_hand(tmp_path):
    """24 numbers of 4 bytes, 2 of 2 and 1 of 8."""
    header = {
        "__metadata__": {"format": "pt"},
        "conv.weight": entry("F32", [2, 3, 2, 2], 0, 96),
        "bn.running_var": entry("F16", [2], 96, 100),
        "bn.num_batches_tracked": entry("I64", [], 100, 108),
    }
    data = b"".join(array.tobytes() for array in ARRAYS.values())
    (tmp_path / "model.safetensors").write_bytes(safetensors(header, data))

    assert_same(read_state_dict(tmp_path / "model.safetensors"))


def test_npz(tmp_path):
    np.savez(tmp_path / "model.npz", **ARRAYS)

    assert_same(read_state_dict(tmp_path / "model.npz"))


def assert_same(found):
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x05",
        (2**63).to_bytes(8, "little") + b"{}",
        safetensors(b"no json"),
        safetensors([1]),
        safetensors({"a": {}}),
        safetensors({"a": entry("F32", [2], 0, 8)}, b"1234"),
        safetensors({"a": entry("F32", [2], 0, 4)}, b"12345678"),
        safetensors({"a": entry("F32", [1], -4, 0)}, b"12345678"),
        safetensors({"a": entry("F32", [-1, -1], 0, 4)}, b"12345678"),
        safetensors({"a": entry("O", [1], 0, 8)}, b"12345678"),
    ],
    ids=[
        "empty",
        "short",
        "long header",
        "no json",
        "list",
        "no entry",
        "past end",
        "too few",
        "minus",
        "-1",
        "object",
    ],
)
def test_a_damaged_safetensors_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)

    with pytest.raises(InputError, match=r"model\.safetensors cannot be read as \.safetensors: .*; get the file again"):
        read_state_dict(tmp_path / "model.safetensors")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip"])
def test_a_damaged_npz_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "model.npz").write_bytes(content)

    with pytest.raises(InputError, match=r"model\.npz cannot be read as \.npz: "):
        read_state_dict(tmp_path / "model.npz")


class Evidence:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_is_never_opened(tmp_path):
    evidence = tmp_path / "the code ran"
    objects = np.array([Evidence(evidence)], dtype=object)
    np.savez(tmp_path / "model.npz", weight=objects)
    (tmp_path / "model.pth").write_bytes(pickle.dumps(Evidence(evidence)))
    (tmp_path / "renamed.npz").write_bytes(pickle.dumps(Evidence(evidence)))

    with pytest.raises(InputError, match=r"model\.pth must end in \.safetensors or \.npz; a pickle"):
        read_state_dict(tmp_path / "model.pth")
    for name in ("model.npz", "renamed.npz"):
        with pytest.raises(InputError, match=name):
            read_state_dict(tmp_path / name)
    assert not evidence.exists()


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "model.npz", zeros=np.zeros(100_000))
    assert (tmp_path / "model.npz").stat().st_size < 10_000
    monkeypatch.setattr(saved, "MAXIMUM_BYTES", 10_000)

    with pytest.raises(InputError, match="it unpacks to 800128 bytes, more than 10000"):
        read_state_dict(tmp_path / "model.npz")
