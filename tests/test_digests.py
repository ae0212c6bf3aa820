import hashlib

from shipseg_tiles.digests import checksum, image_digest, text_digest


def test_the_checksum_is_that_of_sha256sum(tmp_path):
    """`printf abc | sha256sum`, the example of the standard."""
    (tmp_path / "file").write_bytes(b"abc")

    assert checksum(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_large_file_is_read_in_parts(tmp_path):
    data = bytes(range(256)) * 2**13
    (tmp_path / "scene.tif").write_bytes(data)

    assert image_digest(tmp_path / "scene.tif") == hashlib.sha256(data).hexdigest()[:16]


def test_a_text_is_told_by_the_first_digits():
    """`printf abc | sha256sum`."""
    assert text_digest("abc") == "ba7816bf8f01cfea"
