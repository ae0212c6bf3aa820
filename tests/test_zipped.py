import os
import pickle
import struct
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shipseg_tiles import zipped
from shipseg_tiles.errors import InputError
from shipseg_tiles.zipped import ZipMember, identity_of, list_members, located


@pytest.fixture(params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "packed"])
def archive(request, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", request.param) as file:
        file.mkdir("train") if hasattr(file, "mkdir") else None
        file.writestr("train/b.jpg", b"of b" * 100)
        file.writestr("train/deep/c.jpg", b"of c")
        file.writestr("trainee/d.jpg", b"of d")
        file.writestr("labels.csv", b"text")
    return path


def test_members_of_all_and_of_a_folder(archive):
    def members(path):
        return [member.member for member in list_members(path)]

    assert members(archive) == ["train/b.jpg", "train/deep/c.jpg", "trainee/d.jpg", "labels.csv"]
    assert members(archive / "train") == ["train/b.jpg", "train/deep/c.jpg"]
    assert members(archive / "train" / "deep") == ["train/deep/c.jpg"]
    assert members(archive / "none") == []


def test_what_is_no_zip_has_no_members(tmp_path):
    (tmp_path / "folder.zip").mkdir()

    assert list_members(tmp_path) is None
    assert list_members(tmp_path / "gone.zip") is None
    assert list_members(tmp_path / "folder.zip") is None


def test_member_reads_like_a_path(archive):
    member = ZipMember(archive, "train/b.jpg")

    assert (member.name, member.stem) == ("b.jpg", "b")
    assert str(member) == f"{archive}/train/b.jpg"
    assert member.read_bytes() == b"of b" * 100
    assert member.open().read(4) == b"of b"


def test_member_reads_in_another_process(archive):
    """It is sent as a name, without the table of contents."""
    sent = pickle.dumps(ZipMember(archive, "train/b.jpg"))

    assert len(sent) < 1000
    assert pickle.loads(sent).read_bytes() == b"of b" * 100


def test_path_inside_a_zip_is_located(archive):
    assert located(archive / "labels.csv") == ZipMember(archive, "labels.csv")
    assert located(archive) == archive
    assert located(Path("folder/labels.csv")) == Path("folder/labels.csv")
    capitals = archive.rename(archive.with_name("A.ZIP"))
    assert located(capitals / "labels.csv") == ZipMember(capitals, "labels.csv")


def test_what_cannot_be_unpacked_is_refused(archive, monkeypatch):
    data = bytearray(archive.read_bytes())
    data[data.index(b"train/b.jpg") + len("train/b.jpg") + 3] ^= 255
    archive.with_name("broken.zip").write_bytes(data)
    archive.with_name("text.zip").write_text("no zip")

    with pytest.raises(InputError, match=r"broken\.zip/train/b\.jpg cannot be unpacked"):
        ZipMember(archive.with_name("broken.zip"), "train/b.jpg").read_bytes()
    for look in (ZipMember.read_bytes, zipped.identity_of):
        with pytest.raises(InputError, match=r"zip holds no gone\.jpg"):
            look(ZipMember(archive, "gone.jpg"))
    with pytest.raises(InputError, match=r"text\.zip is no zip"):
        list_members(archive.with_name("text.zip"))
    monkeypatch.setattr(zipped, "MAXIMUM_FILE_BYTES", 399)
    with pytest.raises(InputError, match="unpacks to 400 bytes, more than 399"):
        ZipMember(archive, "train/b.jpg").read_bytes()


def test_a_file_that_was_replaced_is_another_one(tmp_path):
    """By one of another size, or by one that was written at another time."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"of a")
    os.utime(path, ns=(5, 5))
    first = identity_of(path)
    assert identity_of(path) == first

    os.utime(path, ns=(5, 6))
    later = identity_of(path)
    path.write_bytes(b"of another")
    os.utime(path, ns=(5, 5))

    assert len({first, later, identity_of(path)}) == 3
    with pytest.raises(InputError, match=r"gone\.jpg cannot be read: No such file"):
        identity_of(tmp_path / "gone.jpg")


def test_a_member_is_another_one_if_it_holds_something_else(tmp_path):
    """Whenever it was packed, and wherever the zip lies."""
    identities = []
    for number, (content, year) in enumerate([(b"of a", 2020), (b"of a", 2021), (b"of b", 2020), (b"of a ", 2020)]):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as file:
            file.writestr(zipfile.ZipInfo("a.jpg", (year, 1, 1, 0, 0, 0)), content)
        identities.append(identity_of(ZipMember(tmp_path / f"{number}.zip", "a.jpg")))

    assert identities[0] == identities[1]
    assert len(set(identities)) == 3


def claim(archive, size):
    """Change the size that a zip of one file says it unpacks to: in its table of contents, 24 bytes behind the mark."""
    data = bytearray(archive.read_bytes())
    struct.pack_into("<I", data, data.rindex(b"PK\x01\x02") + 24, size)
    archive.write_bytes(data)


def test_no_more_is_unpacked_than_a_file_claims_to_hold(tmp_path):
    """10 MB that claim to be 100 bytes."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", bytes(10**7))
    claim(tmp_path / "a.zip", 100)

    tracemalloc.start()
    with pytest.raises(InputError, match=r"a\.png cannot be unpacked \(Bad CRC-32"):
        ZipMember(tmp_path / "a.zip", "a.png").read_bytes()
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert taken < 10**6


def test_a_file_that_holds_less_than_it_claims_is_whole_by_its_checksum(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", b"pixels")
    claim(tmp_path / "a.zip", 10**6)

    assert ZipMember(tmp_path / "a.zip", "a.png").read_bytes() == b"pixels"


def test_an_encrypted_file_is_refused(tmp_path):
    """A flag says so: in the table of contents, 8 bytes behind the mark."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.png", b"pixels")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)

    with pytest.raises(InputError, match=r"a\.png cannot be unpacked .*encrypted.*; fetch the zip again or unpack it"):
        ZipMember(tmp_path / "a.zip", "a.png").read_bytes()


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_kinds_of_packing_that_cannot_be_unpacked_in_bounds_are_refused(kind, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", kind) as file:
        file.writestr("a.png", b"pixels")

    with pytest.raises(InputError, match=rf"a\.png is packed by method {kind}, .* unpack the zip first"):
        ZipMember(tmp_path / "a.zip", "a.png").read_bytes()


def test_threads_may_share_a_zip(tmp_path):
    contents = {f"{number}.jpg": bytes([number]) * 20_000 for number in range(40)}
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            file.writestr(name, content)

    with ThreadPoolExecutor(8) as threads:
        read = list(threads.map(lambda name: ZipMember(tmp_path / "a.zip", name).read_bytes(), [*contents] * 5))

    assert read == [*contents.values()] * 5
