"""Where work runs: in threads or processes of this machine, or on a Dask cluster of many."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from types import FrameType
from typing import Any, TypeVar

from tqdm import tqdm

from shipseg_tiles.errors import InputError
from shipseg_tiles.extras import import_extra

_MOST_WORKERS = max(64, 4 * (os.cpu_count() or 1))
"""More gain nothing, and a digit too many would take all memory."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@contextmanager
def open_workers(workers: int, cluster: str = "") -> Iterator[Executor]:
    """Yield an executor for functions of modules, whose arguments and results can be pickled.

    Args:
        workers: Number of processes if they run on this machine, 1 to four for each of its processors, or 64.
        cluster: Address of a Dask scheduler (`tcp://host:port`), or `local:N` for a Dask cluster of N processes on
            this machine; empty for plain processes. A worker that Dask loses has its work done again by another.

    Raises:
        InputError: If a number or an address is wrong, Dask is not installed or does not answer, or workers are
            killed: those of this machine once, those of a cluster again and again.
    """
    if not 1 <= workers <= _MOST_WORKERS:
        raise InputError(f"workers {workers} must be from 1 to {_MOST_WORKERS}")
    with _dask(cluster) if cluster else _local(workers) as executor:
        yield executor


class _Processes(ProcessPoolExecutor):
    """Processes that are handed work in one go: Ctrl-C in the middle would leave a lock that nobody gives back."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """As of any executor."""
        with later_ctrl_c():
            return super().submit(function, *arguments, **named)


@contextmanager
def _local(workers: int) -> Iterator[Executor]:
    # Spawned, not forked: a fork would copy the locks of whatever threads the caller runs, TensorFlow's for one.
    with _Processes(workers, multiprocessing.get_context("spawn"), _end_with_parent) as processes:
        try:
            _start(processes, workers)
        except OSError as error:
            raise InputError(
                f"no worker process can be started ({error.strerror}); it needs a current folder that exists, and"
                " room in /dev/shm and for temporary files"
            ) from None
        try:
            yield processes
        except BrokenProcessPool:
            raise InputError(
                "a worker process was killed, most likely out of memory; free some, or use fewer --workers"
            ) from None
        finally:
            processes.shutdown(cancel_futures=True)  # or Ctrl-C would wait for everything that was planned


def _end_with_parent() -> None:
    """Watch the parent from a worker: if it is killed outright, nobody else would end its workers."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()  # type: ignore[union-attr]  # a worker has a parent
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _start(processes: Executor, workers: int) -> None:
    """Start the processes now, so that they come up while the caller prepares its first work.

    Ctrl-C, which a terminal sends to all processes, is held back meanwhile. They inherit that and leave it to their
    parent, which ends them in an orderly way.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for _ in range(workers):
            processes.submit(int)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _dask(address: str) -> Iterator[Executor]:
    dask = import_extra("distributed", "cluster", f"--cluster {address} needs Dask")
    with _scheduler(address) as scheduler:
        try:
            if isinstance(scheduler, str):
                dask.comm.get_address_host_port(scheduler)  # a client would complain once more in the end
            client = dask.Client(scheduler, timeout=5, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"no Dask scheduler answers at {address} ({str(error) or 'in time'}); start one or correct it"
            ) from None
        with client:
            try:
                yield client.get_executor(pure=False)  # the same call again means to do it again
            except dask.KilledWorker as error:
                raise InputError(
                    f"workers of {address} died again and again, perhaps out of memory ({error})"
                ) from None
            except CancelledError as error:
                raise InputError(
                    f"lost the scheduler at {address} ({error}); start it again, then this command"
                ) from None


@contextmanager
def _scheduler(address: str) -> Iterator[Any]:
    """Yield what a client connects to; start it first if it is to be local."""
    if not address.startswith("local:"):
        yield address
        return
    from distributed import LocalCluster

    count = address.removeprefix("local:")
    if not (count.isascii() and count.isdigit() and 1 <= int(count) <= _MOST_WORKERS):
        raise InputError(
            f"cluster {address!r} must be local:N with 1 to {_MOST_WORKERS} workers, or a scheduler's address"
        )
    with _without_ctrl_c():
        cluster = LocalCluster(n_workers=int(count), threads_per_worker=1, dashboard_address="127.0.0.1:0")
    with suppress(TimeoutError), cluster:
        yield cluster


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Ignore Ctrl-C while workers start, who inherit that and leave it to their parent; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def later_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block; only the main thread can."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            before(*came[0])


def map_ahead(function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> Iterator[_Result]:
    """As `map`, on some threads, which are at most so many items ahead of whoever uses the results."""
    with ThreadPoolExecutor(threads) as executor:
        ahead: deque[Future[_Result]] = deque()
        for item in items:
            ahead.append(executor.submit(function, item))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        yield from (future.result() for future in ahead)


def map_in_chunks(
    executor: Executor, function: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[_Result]:
    """As `executor.map`, with a few items for each hand-over to another process, on Dask as well."""
    for results in executor.map(partial(_apply, function), chunked(items)):
        yield from results


def map_images(
    executor: Executor, function: Callable[[_Item], _Result], files: Mapping[str, _Item], title: str
) -> tuple[dict[str, _Result], dict[str, str]]:
    """Do the same to every image.

    Args:
        executor: Where to do it.
        function: Takes the file of an image, and raises an `InputError` if it is bad.
        files: The files by the names of their images.
        title: Stands before the progress bar.

    Returns:
        The results by name, and for bad images the reason by name; both in the order of `files`.
    """
    results: dict[str, _Result] = {}
    reasons: dict[str, str] = {}
    answers = zip(files, map_in_chunks(executor, partial(_or_error, function), files.values()), strict=True)
    for name, answer in tqdm(answers, desc=title, unit="image", total=len(files), disable=None):
        if isinstance(answer, InputError):
            reasons[name] = str(answer)
        else:
            results[name] = answer
    return results, reasons


def _or_error(function: Callable[[_Item], _Result], item: _Item) -> _Result | InputError:
    try:
        return function(item)
    except InputError as error:
        return error


def chunked(items: Iterable[_Item]) -> list[list[_Item]]:
    """Divide items into lists: long enough to make hand-overs cheap, short enough for a smooth progress bar."""
    remaining = iter(items)
    return list(iter(lambda: list(islice(remaining, 16)), []))


def _apply(function: Callable[[_Item], _Result], items: list[_Item]) -> list[_Result]:
    return [function(item) for item in items]
