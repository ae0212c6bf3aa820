"""The notebook of docs/, from top to bottom in a kernel of its own."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "walkthrough.ipynb"


@pytest.mark.timeout(600)
def test_the_walkthrough_runs_from_top_to_bottom(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(tmp_path)}}).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/jpeg" in output.get("data", {}) for output in outputs) == 4
    scores = "".join(output.text for output in outputs if output.get("name") == "stdout").splitlines()
    (ship_images,) = [line for line in scores if line.endswith("mean over the images with ships") and "dice" in line]
    assert 0.2 < float(ship_images.split()[0]) < 1


def test_the_walkthrough_shows_what_came_out_and_nothing_of_the_machine_it_ran_on():
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)

    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert "/home/" not in text
    assert "/tmp/" not in text
    assert len(text) < 500_000
