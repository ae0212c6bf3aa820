import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from shipseg_tiles import processes
from shipseg_tiles.errors import InputError
from shipseg_tiles.processes import chunked, map_ahead, map_images, map_in_chunks, open_workers
from shipseg_tiles.tiling import Region, parse_region


def test_chunks_hold_every_item_once_in_order():
    """40 items in lists of 16: 16, 16 and 8."""
    chunks = chunked(range(40))

    assert [len(chunk) for chunk in chunks] == [16, 16, 8]
    assert [item for chunk in chunks for item in chunk] == list(range(40))
    assert chunked([]) == []


def test_threads_work_at_the_same_time_and_results_keep_their_order():
    """Each pair waits for the other one, and the first of it for longer."""
    together = threading.Barrier(2, timeout=10)

    def work(item):
        together.wait()
        time.sleep(0.02 * (item % 2 == 0))
        return item, threading.get_ident()

    items, threads = zip(*map_ahead(work, range(6), 2), strict=True)

    assert items == (0, 1, 2, 3, 4, 5)
    assert len(set(threads)) == 2
    assert threading.get_ident() not in threads


def test_threads_are_no_further_ahead_than_there_are_of_them():
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = map_ahead(abs, items(), 2)
    first = [next(results), next(results)]
    results.close()

    assert first == [0, 1]
    assert taken == [0, 1, 2, 3]


def test_an_error_in_a_thread_comes_back_in_its_turn():
    results = map_ahead(float, ["1", "one", "2"], 2)

    assert next(results) == 1
    with pytest.raises(ValueError, match="could not convert"):
        next(results)


@pytest.mark.parametrize(("cluster", "count"), [("", 2), ("local:3", 3)])
def test_work_is_done_in_other_processes_and_results_keep_their_order(cluster, count):
    with open_workers(2, cluster) as workers:
        doubled = list(map_in_chunks(workers, float, ["1", "2"] * 40))
        processes = set(workers.map(_process_after_a_while, range(12)))

    assert doubled == [1, 2] * 40
    assert len(processes) == count
    assert os.getpid() not in processes


def _process_after_a_while(_):
    time.sleep(0.1)
    return os.getpid()


def test_errors_of_the_work_come_back():
    with pytest.raises(ValueError, match="could not convert"), open_workers(1) as workers:
        list(map_in_chunks(workers, float, ["1", "one"]))


def test_bad_images_are_told_by_their_reasons_and_other_errors_come_back():
    """A region of no height is an `InputError`, and a number has no fields: an `AttributeError`."""
    texts = {"a": "0,0,2,3", "b": "0,0,0,3", "c": "1,1,1,1"}
    with open_workers(1) as workers:
        regions, reasons = map_images(workers, parse_region, texts, "regions")
        with pytest.raises(AttributeError):
            map_images(workers, parse_region, {"d": 4}, "regions")

    assert regions == {"a": Region(0, 0, 2, 3), "c": Region(1, 1, 2, 2)}
    assert list(reasons) == ["b"]
    assert reasons["b"].startswith("region '0,0,0,3' must be ROW,COLUMN,HEIGHT,WIDTH")


def test_what_was_planned_is_dropped_when_the_block_ends_early():
    """100 naps of a second on one process would take 100 seconds."""

    def end_early():
        with open_workers(1) as workers:
            workers.map(time.sleep, [1] * 100)
            raise RuntimeError("enough")

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="enough"):
        end_early()
    assert time.monotonic() - began < 50


@pytest.mark.parametrize("workers", [0, -1, 99_999])
def test_numbers_of_workers_that_no_machine_has_are_refused(workers):
    with pytest.raises(InputError, match=f"workers {workers} must be from 1 to"), open_workers(workers):
        pass


@pytest.mark.parametrize("address", ["local:", "local:0", "local:two", "local:-1", "local:99999"])
def test_local_cluster_without_a_number_is_refused(address):
    with pytest.raises(InputError, match="must be local:N"), open_workers(1, address):
        pass


@pytest.mark.parametrize("address", ["nowhere", "tcp://127.0.0.1:1"])
def test_address_without_a_scheduler_is_refused(address):
    with pytest.raises(InputError, match=f"no Dask scheduler answers at {address}"), open_workers(1, address):
        pass


def test_workers_that_cannot_start_are_an_error_in_words(tmp_path, monkeypatch):
    """They are started in the current folder, which has been removed."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    with (
        pytest.raises(InputError, match=r"no worker process can be started .*current folder that exists"),
        open_workers(1),
    ):
        pass


def test_killed_worker_is_an_error_in_words():
    with pytest.raises(InputError, match="a worker process was killed"), open_workers(1) as workers:
        workers.submit(_kill_itself).result()


def _kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def dask(tmp_path):
    """A scheduler and a worker that run elsewhere, as on a cluster: their processes, and the scheduler's address."""
    file = tmp_path / "scheduler.json"
    start = partial(subprocess.Popen, stderr=subprocess.DEVNULL)
    program = str(Path(sys.executable).parent / "dask")
    shared = ["--no-dashboard", "--scheduler-file", str(file)]
    with start([program, "scheduler", "--host", "127.0.0.1", "--port", "0", *shared]) as scheduler:
        deadline = time.monotonic() + 30
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with start([program, "worker", "--nthreads", "1", *shared]) as worker:
            yield scheduler, worker, json.loads(file.read_text())["address"]
            worker.terminate()
        scheduler.terminate()


def test_scheduler_of_another_program_is_used(dask):
    """It goes on after the work, and does the same again if it is asked to."""
    scheduler, _, address = dask

    with open_workers(1, address) as workers:
        assert list(map_in_chunks(workers, abs, [-3, 4])) == [3, 4]
        first, again = workers.submit(os.urandom, 8), workers.submit(os.urandom, 8)
        assert first.result() != again.result()

    assert scheduler.poll() is None


def test_a_scheduler_that_dies_is_an_error_in_words(dask):
    scheduler, _, address = dask

    with pytest.raises(InputError, match=f"lost the scheduler at {address} .*; start it again, then this command"):
        _lose(scheduler, address)


def _lose(scheduler, address):
    with open_workers(1, address) as workers:
        assert workers.submit(abs, -3).result() == 3
        waits = workers.submit(time.sleep, 60)
        scheduler.kill()
        waits.result()


def test_ctrl_c_is_left_to_the_parent_of_local_workers():
    """A terminal sends it to all processes of the group."""
    script = (
        "import time; from shipseg_tiles.processes import open_workers\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        "        with open_workers(1, 'local:1') as workers:\n"
        "            print(workers.submit(abs, -3).result(), flush=True)\n"
        "            time.sleep(60)\n"
        "    except KeyboardInterrupt: print('stopped')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "3\n"
    os.killpg(process.pid, signal.SIGINT)

    output, complaint = process.communicate(timeout=60)

    assert output == "stopped\n"
    assert "Traceback" not in complaint


def test_ctrl_c_waits_until_work_is_handed_over():
    """In the middle it would leave a lock of the executor that nobody gives back, and its end would wait for ever."""
    done = []

    def hand_over():
        with processes.later_ctrl_c():
            signal.raise_signal(signal.SIGINT)
            done.append("handed over")

    with pytest.raises(KeyboardInterrupt):
        hand_over()

    assert done == ["handed over"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_an_address_that_is_none_is_told_in_one_line():
    """Not by a client that was half made, too, which waits for ten seconds when the process ends."""
    code = "from shipseg_tiles.processes import open_workers\nwith open_workers(1, 'nowhere'): pass"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert ended.stderr.splitlines()[-1].startswith("shipseg_tiles.errors.InputError: no Dask scheduler answers")
    assert "Exception ignored" not in ended.stderr
