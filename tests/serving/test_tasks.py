"""The line of tasks, with work that needs no net."""

import threading
import time

import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.serving.results import Result
from shipseg_tiles.serving.tasks import TaskQueue
from shipseg_tiles.serving.uploads import RefusedError


def read(path, name, progress):
    """The text of an image file, which stands for what is found in it."""
    progress(1, 2)
    return Result({"text": path.read_text()}, {})


def send(tasks, text, name="image.png"):
    task = tasks.open(name)
    task.path.write_text(text)
    tasks.submit(task)
    return task


def wait(task):
    deadline = time.monotonic() + 20
    while task.ended is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return task


@pytest.fixture
def held():
    """Work that goes on only when it is let go."""
    let_go, begun = threading.Event(), threading.Event()

    def work(path, name, progress):
        begun.set()
        assert let_go.wait(20)
        return read(path, name, progress)

    return work, begun, let_go


def test_each_task_gets_its_own_result(tmp_path):
    with TaskQueue(tmp_path, read) as tasks:
        sent = [send(tasks, str(number)) for number in range(20)]
        texts = [wait(task).result.data["text"] for task in sent]

    assert texts == [str(number) for number in range(20)]
    assert {task.progress for task in sent} == {(1, 2)}
    assert len({task.id for task in sent}) == 20
    assert tasks.counts == {"done": 20, "failed": 0}


def test_one_runs_and_the_others_know_their_place(tmp_path, held):
    work, begun, let_go = held
    with TaskQueue(tmp_path, work) as tasks:
        first, second, third = (send(tasks, "") for _ in range(3))
        assert begun.wait(20)
        assert [task.state for task in (first, second, third)] == ["running", "waiting", "waiting"]
        assert [tasks.position(task) for task in (first, second, third)] == [0, 1, 2]
        let_go.set()
        wait(third)

    assert [task.state for task in (first, second, third)] == ["done"] * 3


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (lambda path: InputError(f"{path} is damaged; fetch it again"), "ship.png is damaged; fetch it again"),
        (lambda path: ZeroDivisionError(), "ship.png: something is wrong with this program, not with the image"),
    ],
    ids=["image", "program"],
)
def test_a_task_that_fails_says_why_and_the_next_one_runs(tmp_path, error, words):
    def work(path, name, progress):
        if name == "ship.png":
            raise error(path)
        return read(path, name, progress)

    with TaskQueue(tmp_path, work) as tasks:
        bad, good = wait(send(tasks, "", "ship.png")), wait(send(tasks, "good"))

    assert (bad.state, bad.error, bad.result, bad.folder.exists()) == ("failed", words, None, False)
    assert good.result.data == {"text": "good"}
    assert tasks.counts == {"done": 1, "failed": 1}


def test_old_results_are_removed_with_their_files(tmp_path):
    with TaskQueue(tmp_path, read, keep_seconds=0.3) as tasks:
        task = wait(send(tasks, ""))
        assert tasks.find(task.id) is task
        assert task.folder.is_dir()
        time.sleep(0.35)
        assert tasks.find(task.id) is None

    assert list(tmp_path.iterdir()) == []


def test_the_oldest_results_make_room(tmp_path):
    with TaskQueue(tmp_path, read, keep_tasks=2) as tasks:
        first, second, third = (wait(send(tasks, "")) for _ in range(3))

        assert [tasks.find(task.id) for task in (first, second, third)] == [None, second, third]
    assert {path.name for path in tmp_path.iterdir()} == {second.id, third.id}


def test_what_waits_makes_no_room(tmp_path, held):
    work, _, let_go = held
    with TaskQueue(tmp_path, work, keep_tasks=2) as tasks:
        sent = [send(tasks, str(number)) for number in range(2)]
        with pytest.raises(RefusedError, match="2 images are waiting already") as refused:
            tasks.open("third.png")
        let_go.set()
        texts = [wait(task).result.data["text"] for task in sent]

    assert refused.value.status == 503
    assert texts == ["0", "1"]


def test_a_dropped_task_leaves_nothing(tmp_path):
    tasks = TaskQueue(tmp_path, read)
    task = tasks.open("image.png")
    task.path.write_text("half")

    tasks.drop(task)

    assert tasks.find(task.id) is None
    assert list(tmp_path.iterdir()) == []


def test_stopping_ends_what_runs_and_drops_what_waits(tmp_path):
    """The running task would have 6,000 rows, a minute of them."""
    begun = threading.Event()

    def slow(path, name, progress):
        for row in range(6000):
            progress(row, 6000)
            begun.set()
            time.sleep(0.01)

    began = time.monotonic()
    with TaskQueue(tmp_path, slow) as tasks:
        sent = [send(tasks, "") for _ in range(2)]
        assert begun.wait(20)

    assert time.monotonic() - began < 20
    assert [task.ended for task in sent] == [None, None]
    assert tasks.counts == {"done": 0, "failed": 0}
