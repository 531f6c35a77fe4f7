"""The command line as a whole: its contract, its speed, its exit codes, and the way from pictures to alerts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import click
import pytest

from edgerd.cli.main import COMMANDS, edgerd, main
from edgerd.data.samples import write_dataset

CONTRACT = {
    "demo": "",
    "frames": "VIDEO|URI --out --count --every --minutes",
    "train": "DATA --out --teacher --teacher-weights --student --method --image-size --region --tiles --epochs --steps "
    "--batch-size --cross-fit --holdout --seed --device --strict --resume",
    "export": "RUN --out --no-pictures",
    "calibrate": "BUNDLE [DATA] --false-alarm-rate --from-camera --minutes",
    "build-engine": "[BUNDLE] --runtime --precision --calibration --max-map-error --force",
    "evaluate": "BUNDLE DATA --runtime --precision --json --report",
    "inspect": "BUNDLE PICTURE... --json --heatmaps",
    "run": "--camera --bundle --frames --events --verdicts --max-frames --json --show --save-video --check --profile",
    "bench": "BUNDLE --runtime --precision --threads --frame-size --json",
    "show": "BUNDLE --verify",
    "init": "--camera --bundle --out",
    "audit": "FILE",
    "doctor": "",
}
"""What scripts may rely on; more is welcome. Left to later: --recipe, --from-archive, --max-auroc-drop."""

DEFAULTS = {
    ("train", "teacher"): "lite0",
    ("train", "method"): "edge",
    ("train", "image_size"): 256,
    ("train", "batch_size"): 16,
    ("train", "seed"): 0,
    ("train", "device"): "auto",
    ("calibrate", "false_alarm_rate"): 0.01,
    ("build-engine", "runtime"): "auto",
    ("build-engine", "precision"): "auto",
}


def command(name):
    return edgerd.get_command(click.Context(edgerd), name)


def parameters(name):
    """As the contract writes them."""
    for parameter in command(name).params:
        if isinstance(parameter, click.Argument):
            label = parameter.metavar or parameter.name.upper()
            yield label if parameter.required else f"[{label}]"
        else:
            yield from parameter.opts


@pytest.fixture
def result_of(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return ended.value.code, *capsys.readouterr()

    return run


def test_every_command_of_the_contract_is_there():
    assert set(COMMANDS) >= set(CONTRACT)


@pytest.mark.parametrize("name", CONTRACT)
def test_every_argument_and_flag_of_the_contract_is_there(name):
    assert set(CONTRACT[name].split()) <= set(parameters(name))
    required = [parameter.name for parameter in command(name).params if parameter.required]
    assert "bundle" not in required or "[BUNDLE]" not in CONTRACT[name]


@pytest.mark.parametrize(("name", "parameter"), DEFAULTS)
def test_defaults(name, parameter):
    found = next(item for item in command(name).params if item.name == parameter)
    assert found.default == DEFAULTS[name, parameter]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(result_of, name):
    for flag in ("--help", "-h"):
        code, out, err = result_of(name, flag)
        assert code == 0, err
        assert out.startswith(f"Usage: edgerd {name} ")
        assert not err


def test_help_lists_all_commands(result_of):
    for arguments in ([], ["--help"]):
        code, out, _ = result_of(*arguments)
        assert code == 0
        listed = re.findall(r"^  ([a-z-]+)  +\S", out.partition("Commands:")[2], re.MULTILINE)
        assert listed == list(COMMANDS)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from edgerd.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    imported = {name.partition(".")[0] for name in ended.stderr.split()}
    assert "edgerd" in imported
    assert not imported & {"torch", "cv2", "numpy", "onnx", "onnxruntime", "openvino", "pydantic", "rich"}


def test_python_runs_the_package_as_the_command():
    command = [sys.executable, "-m", "edgerd", "--version"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0
    assert ended.stdout.startswith("edgerd, version ")


def test_the_installed_command_knows_its_version():
    from edgerd import __version__

    assert __version__[0].isdigit()
    ended = subprocess.run(
        [sys.executable, "-c", "from edgerd.cli.main import main; main()", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.stdout == f"edgerd, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["trian"], "There is no command named 'trian'. Did you mean 'train'?"),
        (["build-engin"], "Did you mean 'build-engine'?"),
        (["xyzzy"], "There is no command named 'xyzzy'."),
        (["run", "--cammera", "0"], "--camera"),
        (["train", "parts"], "Missing option '-o' / '--out'"),
        (["evaluate", "bundle"], "Missing argument 'DATA'"),
        (["--loud"], "No such option"),
        (["show", "bundle", "other"], "unexpected extra argument"),
    ],
)
def test_typing_errors(result_of, arguments, shown):
    code, out, err = result_of(*arguments)
    assert code == 2
    assert not out
    assert shown in err
    assert err.startswith("error: ")
    assert re.search(r"^Expected: edgerd .*\nNext: edgerd .*--help$", err, re.MULTILINE)


def test_exit_codes(result_of, bundle, parts, tmp_path, monkeypatch):
    """Each by something that happens; 130 is shown with train and run."""
    picture = parts / "test" / "good" / "000.png"
    (tmp_path / "file").write_text("")
    strict = ("--runtime", "openvino", "--precision", "fp32", "--max-map-error", 0)
    for arguments, expected in [
        (("show", bundle.path), 0),
        (("inspect", bundle.path, picture, "--json", tmp_path / "file" / "verdicts.json"), 1),
        (("inspect", bundle.path, tmp_path / "none.png"), 2),
        (("show", tmp_path / "none"), 3),
        (("run", "--bundle", bundle.path, "--camera", "none.mp4"), 4),
        (("build-engine", bundle.path, *strict), 5),
    ]:
        code, _, err = result_of(*arguments)
        assert code == expected, err
        if arguments[0] == "build-engine":  # first says what it is doing
            err = err.partition("timing the engines in turns\n")[2]
        assert not code or re.match(r"(warning: .*\n)*error: .*\n(Expected: .*\n)?Next: .*", err), err
    monkeypatch.setitem(sys.modules, "torch", None)
    assert result_of("train", parts, "-o", tmp_path / "run")[0] == 6


def test_a_traceback_only_with_debug(result_of):
    for arguments in (["show", "nowhere"], ["show"]):
        code, _, err = result_of(*arguments)
        assert "Traceback" not in err
        for debugged in (["--debug", *arguments], [*arguments, "--debug"]):
            debug_code, _, debug_err = result_of(*debugged)
            assert debug_code == code
            assert debug_err.startswith("Traceback")
            assert debug_err.endswith(err)


def test_an_internal_error_asks_for_a_report(result_of, bundle, monkeypatch):
    monkeypatch.setattr("edgerd.cli.show.Bundle.open", lambda path: 1 / 0)
    code, _, err = result_of("show", bundle.path)
    assert code == 1
    assert err.startswith("error: Internal error: ZeroDivisionError: division by zero\nNext: run it again with --debug")


def test_an_interrupt_that_a_library_made_an_error_of_is_an_interrupt(result_of, bundle, monkeypatch):
    def interrupted(path):
        raise RuntimeError("Failed to export the model") from KeyboardInterrupt()

    monkeypatch.setattr("edgerd.cli.show.Bundle.open", interrupted)
    code, _, err = result_of("show", bundle.path)
    assert (code, err) == (130, "error: Interrupted.\n")


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_no_library_keeps_or_sends_usage_data(bundle, tmp_path, runtime):
    """ONNX Runtime and OpenVINO put an identity into the home folder and send events, unless they are kept from it."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    home = tmp_path / "home"
    home.mkdir()
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    camera = ("--camera", "sample://ring?n=3", "--bundle", str(bundle.path))
    words = ["run", *camera, "--runtime", runtime, "--precision", "fp32"]
    script = f"from edgerd.cli.main import main; main({words!r})"
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert [str(file) for file in home.rglob("*") if file.is_file() and "edgerd" not in file.parts] == []


def test_piped_into_a_reader_that_stops(bundle):
    edgerd_show = [sys.executable, "-c", "from edgerd.cli.main import main; main()", "show", str(bundle.path)]
    process = subprocess.Popen(edgerd_show, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    assert re.fullmatch(r"(warning: .*\n)*", process.stderr.read())
    process.stderr.close()
    assert process.wait(timeout=60) in (0, 1)


def test_the_whole_way(result_of, tmp_path, monkeypatch):
    """Folder of pictures to alerts, by command line alone, in a folder whose name is not a plain one."""
    here = tmp_path / "Linie 3, Prüfstand"
    here.mkdir()
    monkeypatch.chdir(here)
    write_dataset(here / "teile", "ring", n_train=24, n_test_good=4, n_per_defect=1, size=96)
    quick = ("--image-size", 64, "--batch-size", 8, "--steps", 16, "--threads", 1)
    for arguments, expected in [
        (("train", "teile", "-o", "lauf", *quick), "Next: edgerd export lauf -o BUNDLE"),
        (("export", "lauf", "-o", "bündel"), "bündel works now"),
        (("build-engine",), "Bundle: bündel, the newest here."),
        (("evaluate", "bündel", "teile", "--json", "figures.json"), "image AUROC"),
        (
            ("run", "--camera", "teile/test/missing_hole", "--events", "events.jsonl"),
            "Bundle: bündel, the newest here.",
        ),
    ]:
        code, out, err = result_of(*arguments)
        assert code == 0, err
        assert expected in out
    assert json.loads((here / "figures.json").read_text())["image_auroc"] > 0.5
    (alert,) = map(json.loads, (here / "events.jsonl").read_text().splitlines())
    assert alert["source"] == "teile/test/missing_hole/000.png"
    assert alert["regions"]
