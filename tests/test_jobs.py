import fcntl
from contextlib import suppress

import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.jobs import open_job


def test_a_lock_file_that_was_removed_before_it_was_locked_keeps_nobody_away(tmp_path, monkeypatch):
    """A second process has opened the lock file of a first one, which ends and removes it. The second then has to lock
    what stands there now, or a third would find nothing that is locked."""
    out, flock = tmp_path / "run.json", fcntl.flock
    first = open_job(out, {})
    first.__enter__()

    def first_ends_before(file, operation):
        monkeypatch.undo()
        first.__exit__(None, None, None)
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", first_ends_before)

    with open_job(out, {}), pytest.raises(InputError, match="another process is writing"), open_job(out, {}):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_has_found_out_is_there_when_it_goes_on(tmp_path):
    out = tmp_path / "o.h5"
    with suppress(KeyboardInterrupt), open_job(out, {"seed": 1}, {"done": []}) as job:
        job.progress["done"].append("a")
        job.save()
        raise KeyboardInterrupt

    with open_job(out, {"seed": 1}, {"done": []}) as job:
        assert (job.resumed, job.progress) == (True, {"done": ["a"]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ['{"options": {}}', '{"options": 3, "done": []}', '{"done": []}', "[]", "3", "{", "[" * 5000]
)
def test_a_record_that_lacks_some_of_it_is_damaged(text, tmp_path):
    (tmp_path / ".o.h5.job.json").write_text(text)

    with pytest.raises(InputError, match=r"job\.json is damaged"), open_job(tmp_path / "o.h5", {}, {"done": []}):
        pass
