"""What tests of several verbs share."""

import warnings

import pytest

from shipseg_tiles.cli.main import main


@pytest.fixture
def shipseg(capfd, monkeypatch):
    """Run the command line in this process and return its exit status, its output and its complaint."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # main sets it for good

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        output, complaint = capfd.readouterr()
        return ended.value.code, output, complaint

    return run
