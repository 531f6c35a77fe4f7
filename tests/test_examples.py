"""The scripts in examples/ do what they say, on every runtime of a CPU, as somebody would start them."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
import os
import re
import runpy
import shutil
from pathlib import Path

import pytest
from grey_bundle import CPU_RUNTIMES, save_grey_bundle
from inspection_parts import BLACK, DEFECTIVE, GOOD

import edgerd
from edgerd.data.pictures import read_picture, write_png

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(file.name for file in EXAMPLES.glob("*.py"))


@pytest.fixture(params=CPU_RUNTIMES)
def runtime(request):
    return request.param


@pytest.fixture
def bundle(tmp_path):
    return save_grey_bundle(tmp_path / "bundle").path


@pytest.fixture
def folder(tmp_path):
    """A good part, a defective one, and a frame without light."""
    for name, frame in (("0.png", GOOD), ("1.png", DEFECTIVE), ("2.png", BLACK)):
        write_png(tmp_path / "pictures" / name, frame)
    return tmp_path / "pictures"


@pytest.fixture
def example(monkeypatch, capsys):
    """Run a script with arguments; gives what it printed."""

    def run(name, *arguments):
        monkeypatch.setattr("sys.argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def verdicts(out):
    return re.findall(r"<Inspection (\w+)", out)


def test_every_example_has_a_test_and_a_line_in_the_list():
    tested, listed = Path(__file__).read_text(), (EXAMPLES / "README.md").read_text()
    assert [name for name in SCRIPTS if f'example("{name}"' not in tested] == []
    assert sorted(re.findall(r"^\| `(\w+\.py)", listed, re.MULTILINE)) == SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_is_short(name):
    lines = [line for line in (EXAMPLES / name).read_text().splitlines() if line.strip()]
    assert 10 <= len(lines) <= 30


def test_opencv_camera(example, bundle, folder, runtime):
    assert verdicts(example("opencv_camera.py", bundle, folder / "%d.png", runtime)) == ["OK", "NG", "NO_DECISION"]


def test_threads(example, bundle, folder, runtime):
    assert verdicts(example("threads.py", bundle, folder, runtime)) == ["OK", "NG", "NO_DECISION"]


def test_asyncio(example, bundle, folder, runtime):
    assert verdicts(example("asyncio_line.py", bundle, folder, runtime)) == ["OK", "NG", "NO_DECISION"]


def test_pil_picture(example, bundle, folder, runtime):
    pytest.importorskip("PIL")
    found = json.loads(example("pil_picture.py", bundle, folder / "1.png", runtime))
    assert (found["verdict"], found["score"]) == ("NG", 0.5)
    drawn = read_picture(folder / "1.map.png")
    assert drawn.shape == DEFECTIVE.shape
    assert (drawn != DEFECTIVE).any()


def test_torch_tensor(example, bundle, folder, runtime):
    pytest.importorskip("PIL")
    pytest.importorskip("torch", exc_type=ImportError)
    assert "NG: score 0.5," in example("torch_tensor.py", bundle, folder / "1.png", runtime)


def test_folder_to_csv(example, bundle, folder, runtime):
    (folder / "3.png").write_bytes((folder / "0.png").read_bytes()[:100])
    rows = list(csv.DictReader(io.StringIO(example("folder_to_csv.py", bundle, folder, runtime))))
    assert [row["file"] for row in rows] == ["0.png", "1.png", "2.png", "3.png"]
    assert [row["verdict"] for row in rows] == ["OK", "NG", "NO_DECISION", "NO_DECISION"]
    assert rows[1]["score"] == "0.5"
    assert rows[2]["reason"] == "black frame"
    assert "3.png" in rows[3]["reason"]


def test_train_and_build(example, parts, tmp_path, runtime):
    pytest.importorskip("torch", exc_type=ImportError)
    some = tmp_path / "some"
    some.mkdir()
    for file in sorted((parts / "train" / "good").iterdir())[:16]:
        shutil.copy(file, some)
    out = example("train_and_build.py", some, tmp_path / "out", runtime)
    assert out.splitlines()[-1].startswith(f"{runtime} fp32: ")


def test_the_notebook_ends_with_the_map_of_a_defect(tmp_path, monkeypatch):
    """Run as a notebook is: by a kernel, cell after cell, in an empty folder."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    pytest.importorskip("torch", exc_type=ImportError)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(EXAMPLES / "first_part.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    verdict, picture = (cell.outputs[-1]["data"] for cell in cells[-2:])
    assert verdict["text/plain"].startswith("<Inspection NG: score ")
    png = base64.b64decode(picture["image/png"])
    assert png.startswith(b"\x89PNG")


def test_the_notebook_is_short_and_without_outputs():
    notebook = json.loads((EXAMPLES / "first_part.ipynb").read_text(encoding="utf-8"))
    assert len(notebook["cells"]) < 15
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_page_about_python_names_everything_and_its_code_works(monkeypatch, bundle, folder, capsys):
    page = (EXAMPLES.parent / "docs" / "how-to" / "python.md").read_text(encoding="utf-8")
    first = page.partition("```")[0]
    assert set(re.findall(r"`(\w+)`", first)) - {"edgerd"} == set(edgerd.__all__) - {"__version__"}
    inspect, threads, coroutine, steps = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(bundle.parent)
    (folder / "1.png").rename("part.png")
    pictures = [GOOD, DEFECTIVE]
    names = {"pictures": pictures}
    exec(inspect + threads + coroutine, names)
    assert [each.verdict for each in names["inspections"]] == ["OK", "NG"]
    with edgerd.Inspector.open("bundle") as inspector:
        assert asyncio.run(names["judge"](inspector, DEFECTIVE)).verdict == "NG"
    assert "<Inspection NG" in capsys.readouterr().out
    for name in re.findall(r"edgerd\.(\w+)\(", steps):
        assert name in edgerd.__all__
