import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import check_writable, write_json, write_text, written_whole


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def stop_halfway(path, error):
    with written_whole(path) as temporary:
        temporary.write_bytes(b"half")
        raise error


def test_file_appears_whole_under_its_name(tmp_path):
    path = tmp_path / "made" / "too" / "mask.png"

    with written_whole(path) as temporary:
        temporary.write_bytes(b"first ")
        assert not path.exists()
        assert temporary.suffix == ".png"
        assert temporary.name.startswith(".")

    assert path.read_bytes() == b"first "
    assert names_in(path.parent) == ["mask.png"]


def test_exception_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        stop_halfway(tmp_path / "mask.png", KeyboardInterrupt)
    assert names_in(tmp_path) == []


def test_exception_keeps_the_old_file(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(b"old")

    with pytest.raises(RuntimeError):
        stop_halfway(path, RuntimeError)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["mask.png"]


def test_exception_before_anything_is_written(tmp_path):
    with pytest.raises(RuntimeError), written_whole(tmp_path / "mask.png"):
        raise RuntimeError

    assert names_in(tmp_path) == []


def test_an_error_names_the_file_even_if_what_was_begun_cannot_be_removed(tmp_path):
    """As on a disk that is read-only, where even to remove what is not there fails; here a folder stands in the way."""
    path = tmp_path / "mask.png"

    def fail():
        with written_whole(path) as temporary:
            temporary.mkdir()
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(temporary))

    with pytest.raises(OSError, match="mask") as raised:
        fail()

    assert (raised.value.errno, raised.value.filename) == (errno.EROFS, str(path))


def test_an_error_about_another_file_goes_on_naming_that_one(tmp_path):
    def fail():
        with written_whole(tmp_path / "mask.png"):
            (tmp_path / "gone.png").read_bytes()

    with pytest.raises(FileNotFoundError) as raised:
        fail()

    assert raised.value.filename == str(tmp_path / "gone.png")


def test_new_file_replaces_the_old(tmp_path):
    path = tmp_path / "notes.txt"
    write_text(path, "a long old text")
    write_text(path, "Küste")

    assert path.read_bytes() == "Küste".encode()
    assert names_in(tmp_path) == ["notes.txt"]


def test_the_file_that_a_link_leads_to_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.txt").symlink_to("folder/new.txt")

    write_text(tmp_path / "link.txt", "one")

    assert (tmp_path / "link.txt").is_symlink()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new.txt"]
    assert (tmp_path / "folder" / "new.txt").read_text() == "one"


def test_what_is_no_plain_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")

    for name in ("pipe", "link"):
        for use in (check_writable, lambda path: write_text(path, "")):
            with pytest.raises(InputError, match=f"{name} is a device or a pipe"):
                use(tmp_path / name)
    assert (tmp_path / "pipe").is_fifo()


def test_json_is_indented_and_ends_with_a_line_end(tmp_path):
    write_json(tmp_path / "score.json", {"dice": 0.5, "share": None})

    text = (tmp_path / "score.json").read_text()
    assert text == '{\n  "dice": 0.5,\n  "share": null\n}\n'
    assert json.loads(text) == {"dice": 0.5, "share": None}


def test_json_without_nan_and_the_old_file_stays(tmp_path):
    path = tmp_path / "score.json"
    write_json(path, {"dice": 0.5})

    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"dice": float("nan")})

    assert json.loads(path.read_text()) == {"dice": 0.5}
    assert names_in(tmp_path) == ["score.json"]


WRITE_SLOWLY = """
import sys, time
from pathlib import Path
from shipseg_tiles.files import written_whole
with written_whole(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print(temporary.name, flush=True)
    time.sleep(100)
"""


@pytest.fixture
def write_slowly():
    """Start processes that write files and do not finish; return each with the name that its file has until then."""
    processes = []

    def start(path):
        process = subprocess.Popen([sys.executable, "-c", WRITE_SLOWLY, path], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process, process.stdout.readline().rstrip()

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("waits", [True, False])
def test_what_a_killed_writer_left_is_removed_and_what_others_write_is_not(write_slowly, tmp_path, waits):
    """Whether or not its parent has noticed that it ended."""
    killed, left = write_slowly(tmp_path / "a.png")
    _, being_written = write_slowly(tmp_path / "b.png")
    os.kill(killed.pid, signal.SIGKILL)
    if waits:
        killed.wait()
    else:
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    assert names_in(tmp_path) == sorted([left, being_written])

    write_text(tmp_path / "c.txt", "whole")

    assert names_in(tmp_path) == sorted([being_written, "c.txt"])


def test_what_a_killed_writer_of_the_same_file_left_is_removed(write_slowly, tmp_path):
    killed, _ = write_slowly(tmp_path / "a.png")
    killed.kill()
    killed.wait()

    write_text(tmp_path / "a.png", "whole")

    assert names_in(tmp_path) == ["a.png"]


def test_leftovers_are_known_by_their_writer_and_nothing_else_is_touched(tmp_path):
    """No process has the number 0xfffffff; and this one was not started at tick 1."""
    with written_whole(tmp_path / "own.png") as temporary:
        temporary.write_bytes(b"")
        machine, process, started = temporary.name.removeprefix(".").split(".")[0].split("-")
    folder = tmp_path / "folder"
    folder.mkdir()
    gone = [f".{machine}-fffffff-{started}.partial.a.png"]
    if int(started, 16):
        gone.append(f".{machine}-{process}-1.partial.b.png")  # the number was given anew
    kept = [
        f".{machine}-{process}-{started}.partial.c.png",
        f".00000000-fffffff-{started}.partial.d.png",  # on another machine
        f".{machine}-fffffff-{started}.partial.folder",
        f".{machine}-fffffff-{started}.partial.link.png",
        f".{machine}-fffffff-{started}.partial",
        f"{machine}-fffffff-{started}.partial.e.png",
        ".77.partial.f.png",
        ".partial.g.png",
    ]
    (folder / kept[2]).mkdir()
    (folder / kept[3]).symlink_to(tmp_path / "own.png")
    for name in [*gone, *kept]:
        if not (folder / name).exists():
            (folder / name).write_bytes(b"")

    write_text(folder / "new.txt", "")

    assert names_in(folder) == sorted([*kept, "new.txt"])


def test_a_name_as_long_as_names_can_be_is_written(tmp_path):
    """255 bytes, of two each but for the suffix."""
    path = tmp_path / ("ü" * 125 + ".json")

    with written_whole(path) as temporary:
        temporary.write_text("{}")
        assert temporary.suffix == ".json"

    assert names_in(tmp_path) == [path.name]


def test_to_find_out_whether_a_file_can_be_written_leaves_nothing(tmp_path):
    check_writable(tmp_path / "new" / "folder" / "a.json")

    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as caught:
        check_writable(tmp_path / "file" / "folder" / "a.json")
    assert caught.value.filename == str(tmp_path / "file")
    with pytest.raises(IsADirectoryError):
        check_writable(tmp_path)
    with pytest.raises(OSError, match="/proc"):  # to which nobody writes, root or not
        check_writable(Path("/proc/score.json"))
