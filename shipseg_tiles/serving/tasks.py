"""The line of images that wait for the net, and the results that are kept for a while.

Nets are not made for several threads: one thread shows them one image after the other, whoever sent it.
"""

import logging
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.prediction import Progress
from shipseg_tiles.serving.results import Result
from shipseg_tiles.serving.uploads import RefusedError, named

KEEP_SECONDS = 3600.0
"""So long a result can be looked at and downloaded."""

KEEP_TASKS = 100
"""So many images are here at a time, those that wait among them; the oldest results make room for new ones."""

_CLEANING_SECONDS = 10.0
"""Between two looks for results that are too old, when nothing else happens."""

Work = Callable[[Path, str, Progress], Result]
"""Makes the result of the image at a path, which has a name."""


class _StoppedError(Exception):
    """The server ends while an image is predicted."""


@dataclass(eq=False)
class Task:
    """An image and what becomes of it.

    Attributes:
        id: Nobody can guess it.
        name: Of the image, for people.
        folder: Everything of it is here, and nothing else; removed if it failed.
        path: The image.
        state: What happens with it.
        progress: How many rows of tiles are done, and of how many.
        error: Why it failed.
        result: What was found, once it is done.
        ended: Monotonic time at which it was done or failed.
    """

    id: str
    name: str
    folder: Path
    path: Path
    state: Literal["arriving", "waiting", "running", "done", "failed"] = "arriving"
    progress: tuple[int, int] = (0, 0)
    error: str = ""
    result: Result | None = None
    ended: float | None = None


class TaskQueue:
    """All tasks. As a context it runs the thread that works on them; any thread may ask it."""

    def __init__(
        self, folder: Path, work: Work, keep_seconds: float = KEEP_SECONDS, keep_tasks: int = KEEP_TASKS
    ) -> None:
        """Begin without tasks.

        Args:
            folder: Where each task gets a folder.
            work: Is called by one thread only.
            keep_seconds: So long results are kept.
            keep_tasks: So many tasks are kept.
        """
        self._folder = folder
        self._work = work
        self._keep_seconds = keep_seconds
        self._keep_tasks = keep_tasks
        self._tasks: dict[str, Task] = {}
        self._line: deque[Task] = deque()
        self._changed = threading.Condition()  # its lock guards tasks and line
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work_on_all, name="net")
        self._counts = {"done": 0, "failed": 0}

    def __enter__(self) -> "TaskQueue":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: what is waiting is dropped, what is running ends with its next row of tiles."""
        self._stopping.set()
        with self._changed:
            self._changed.notify()
        self._thread.join()

    @property
    def counts(self) -> dict[str, int]:
        """How many images are `done`, and how many have `failed`, since the start."""
        return dict(self._counts)

    def open(self, name: str) -> Task:
        """Make a task of an image that is about to arrive.

        Raises:
            RefusedError: If too many are waiting.
        """
        with self._changed:
            self._forget_old(room=1)
            if len(self._tasks) >= self._keep_tasks:
                raise RefusedError(503, f"{len(self._tasks)} images are waiting already; try again in a minute")
            identity = secrets.token_urlsafe()
            folder = self._folder / identity
            folder.mkdir()
            task = self._tasks[identity] = Task(identity, name, folder, folder / "image")
        return task

    def submit(self, task: Task) -> None:
        """Put a task at the end of the line; its image has arrived."""
        with self._changed:
            task.state = "waiting"
            self._line.append(task)
            self._changed.notify()

    def drop(self, task: Task) -> None:
        """Forget a task whose image did not arrive."""
        with self._changed:
            self._forget(task)

    def find(self, identity: str) -> Task | None:
        """Return a task; None if there is none, or none any more."""
        with self._changed:
            self._forget_old()
            return self._tasks.get(identity)

    def position(self, task: Task) -> int:
        """Return a waiting task's place in the line, from 1; 0 if it does not wait."""
        with self._changed:
            return self._line.index(task) + 1 if task in self._line else 0

    def _forget_old(self, room: int = 0) -> None:
        """Remove results that are too old, and the oldest ones until there is room for some more tasks."""
        ended = [task for task in self._tasks.values() if task.ended is not None]
        too_many = len(self._tasks) + room - self._keep_tasks
        oldest = time.monotonic() - self._keep_seconds
        for number, task in enumerate(sorted(ended, key=_end_of)):
            if number < too_many or _end_of(task) < oldest:
                self._forget(task)

    def _forget(self, task: Task) -> None:
        del self._tasks[task.id]
        shutil.rmtree(task.folder, ignore_errors=True)

    def _work_on_all(self) -> None:
        while not self._stopping.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._line or self._stopping.is_set(), _CLEANING_SECONDS)
                self._forget_old()
                task = self._line.popleft() if self._line and not self._stopping.is_set() else None
                if task:
                    task.state = "running"
            if task:
                self._run(task)

    def _run(self, task: Task) -> None:
        def progress(done: int, total: int) -> None:
            if self._stopping.is_set():
                raise _StoppedError
            task.progress = done, total

        try:
            task.result = self._work(task.path, task.name, progress)
            self._end(task, "done")
        except _StoppedError:
            pass
        except InputError as error:
            self._end(task, "failed", named(error, task.path, task.name))
        except Exception:  # the next image may do better
            logging.getLogger(__name__).exception("an image could not be predicted")
            self._end(task, "failed", f"{task.name}: something is wrong with this program, not with the image")

    def _end(self, task: Task, state: Literal["done", "failed"], error: str = "") -> None:
        if state == "failed":
            shutil.rmtree(task.folder, ignore_errors=True)  # nobody asks for any of it
        with self._changed:
            self._counts[state] += 1
            task.state, task.error, task.ended = state, error, time.monotonic()


def _end_of(task: Task) -> float:
    return task.ended or 0.0
