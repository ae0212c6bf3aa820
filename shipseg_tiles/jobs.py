"""The record of a run that has begun: with it, the same command goes on where a killed one stopped."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import check_writable, write_json


@dataclass
class Job:
    """What a run was begun with, and what is known that cannot be found out from its files.

    Attributes:
        path: File of the record.
        options: All options that decide what is written.
        progress: What the run has found out so far, JSON-able, by names of its own; written by `save`.
        resumed: Whether an earlier run began it.
    """

    path: Path
    options: dict[str, Any]
    progress: dict[str, Any]
    resumed: bool = False

    def save(self) -> None:
        """Write the record anew."""
        write_json(self.path, {"options": self.options, **self.progress})

    def forget(self) -> None:
        """Remove the record."""
        self.path.unlink(missing_ok=True)


@contextmanager
def open_job(out: Path, options: Mapping[str, Any], progress: Mapping[str, Any] | None = None) -> Iterator[Job]:
    """Take up the job that writes `out` if one was begun, and forget it when the block ends well.

    A new job leaves no trace before it is saved for the first time.

    Args:
        out: The file that the job ends in. What is not complete stands beside it, in names that begin with a dot.
        options: JSON-able options that decide what is written.
        progress: What a new job begins with, see `Job`; none if its files tell everything.

    Raises:
        InputError: If the job was begun with other options, or another process works on it.
    """
    path = out.with_name(f".{out.name}.job.json")
    with locked(out):
        job = Job(path, json.loads(json.dumps(options)), dict(progress or {}))
        if path.exists():
            _take_up(job, out)
        yield job
        job.forget()


def _take_up(job: Job, out: Path) -> None:
    try:
        record = json.loads(job.path.read_text(encoding="utf-8"))
        begun_with = dict(record["options"])
        job.progress, job.resumed = {name: record[name] for name in job.progress}, True
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{job.path} is damaged ({error!r}); remove it to begin anew") from None
    for name in sorted({*begun_with, *job.options}):
        before, now = begun_with.get(name), job.options.get(name)
        if before != now:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(
                f"{out} was begun with {flag} {before}, not {now}; go on with the same options,"
                f" or remove {job.path} to begin anew"
            )


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep two processes from writing one file. The lock goes with the process, however it ends.

    The folder of the file is made if it is not there, and removed again if nothing was written to it.

    Raises:
        InputError: If another process has it.
        OSError: If the folder of the file cannot be written to.
    """
    path = out.with_name(f".{out.name}.lock")
    check_writable(out)
    was_there = out.parent.is_dir()
    while True:
        out.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"another process is writing {out}; wait for it or choose another name") from None
            if not _is_at(path, file):
                continue  # the process that held it has removed it: others would lock a new one
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
                if not was_there:
                    with suppress(OSError):  # it is not empty
                        out.parent.rmdir()
            return


def _is_at(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
