"""The launch script, with a stand-in for tritonserver that prints its arguments."""

import os
import subprocess
from pathlib import Path

import pytest

from slipway_testing.golden import REPOSITORY

SCRIPT = REPOSITORY / "inference/triton/serve"
CONFIG = 'name: "digits"\n'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder where KServe puts a model; the configuration and the program lie beside it."""
    (tmp_path / "config.pbtxt").write_text(CONFIG)
    program = tmp_path / "bin" / "tritonserver"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def serve(model: Path, model_format: str, *flags: str) -> subprocess.CompletedProcess[str]:
    beside = model.parent
    environment = {
        "PATH": f"{beside / 'bin'}:{os.environ['PATH']}",
        "SLIPWAY_MODEL_NAME": "digits",
        "SLIPWAY_MODEL_FORMAT": model_format,
        "SLIPWAY_MODEL_DIRECTORY": str(model),
        "SLIPWAY_CONFIG": str(beside / "config.pbtxt"),
        "SLIPWAY_REPOSITORY": str(beside / "repository"),
    }
    # As in a ClusterServingRuntime: the text is an argument of the shell, and "$@" are the flags.
    command = ["sh", "-c", SCRIPT.read_text(), "serve", *flags]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def made(model: Path) -> tuple[str, dict[str, str]]:
    """The configuration in the repository, and the content of each file of version 1."""
    served = model.parent / "repository" / "digits"
    return (served / "config.pbtxt").read_text(), {file.name: file.read_text() for file in (served / "1").iterdir()}


@pytest.mark.parametrize(
    ("model_format", "files", "added"),
    [
        ("onnx", {"model.onnx": "graph", "weights.bin": "numbers"}, ""),
        ("onnx", {"digits.onnx": "graph", "weights.bin": "numbers"}, '\ndefault_model_filename: "digits.onnx"\n'),
        ("onnx", {"model.onnx": "graph", "old.onnx": "another"}, ""),
        ("onnx", {"a.onnx": "one", "b.onnx": "another"}, ""),
        ("onnx", {}, ""),
        ("python", {"model.py": "code", "helper.py": "more"}, ""),
        ("python", {"ranker.py": "code"}, '\ndefault_model_filename: "ranker.py"\n'),
    ],
    ids=["onnx", "one onnx file of another name", "model.onnx wins", "two to choose from", "nothing", "python", "one python file of another name"],
)
def test_a_folder_becomes_version_1(model: Path, model_format: str, files: dict[str, str], added: str) -> None:
    for name, content in files.items():
        (model / name).write_text(content)
    assert serve(model, model_format).returncode == 0
    assert made(model) == (CONFIG + added, files)


@pytest.mark.parametrize(("model_format", "name"), [("onnx", "model.onnx"), ("python", "model.py")])
def test_a_single_file_is_the_model(model: Path, model_format: str, name: str) -> None:
    model.rmdir()
    model.write_text("graph")
    assert serve(model, model_format).returncode == 0
    assert made(model) == (CONFIG, {name: "graph"})


def test_a_restarted_container_finds_its_repository_and_makes_it_anew(model: Path) -> None:
    (model / "digits.onnx").write_text("graph")
    assert [serve(model, "onnx").returncode for _ in range(2)] == [0, 0]
    assert made(model) == (CONFIG + '\ndefault_model_filename: "digits.onnx"\n', {"digits.onnx": "graph"})


def test_where_a_python_model_is_missing_one_that_says_so_takes_its_place(model: Path) -> None:
    (model / "model.onnx").write_text("graph")
    (model / "weights.bin").write_text("numbers")

    assert [serve(model, "python").returncode for _ in range(2)] == [0, 0]

    code = made(model)[1]["model.py"]
    with pytest.raises(FileNotFoundError, match=rf"^{model} has no model.py; it holds model.onnx, weights.bin$"):
        exec(code, {})  # noqa: S102 - what the script has just written


@pytest.mark.parametrize(
    ("config", "files", "status"),
    [
        ('backend: "python"', ["model.py"], 0),
        ('backend: "python"', ["other.py"], 1),
        ('backend: "python"\ndefault_model_filename: "other.py"', ["other.py"], 0),
        ('backend: "onnxruntime"', ["model.onnx"], 0),
    ],
    ids=["there", "missing", "of another name", "not python"],
)
def test_a_repository_whose_python_model_is_missing_is_refused(model: Path, config: str, files: list[str], status: int) -> None:
    version = model / "digits" / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(config)
    for name in files:
        (version / name).write_text("")

    done = serve(model, "triton")

    assert (done.returncode, done.stderr) == (status, f"{version} has no model.py, and Triton would wait for it for ever.\n" if status else "")


def test_a_triton_repository_is_served_as_it_is(model: Path) -> None:
    assert f"--model-repository={model}" in serve(model, "triton").stdout.splitlines()


def test_flags_come_after_the_scripts_own(model: Path) -> None:
    flags = serve(model, "triton", "--log-verbose=1", "--cache-config=local,size=1 048").stdout.splitlines()
    assert flags[-2:] == ["--log-verbose=1", "--cache-config=local,size=1 048"]


def test_an_unknown_format_is_refused(model: Path) -> None:
    refused = serve(model, "pickle")
    assert (refused.returncode, refused.stderr) == (2, "SLIPWAY_MODEL_FORMAT is 'pickle': use onnx, python or triton.\n")


def test_the_text_survives_templating() -> None:
    """KServe runs a runtime's command through Go templates, and Kubernetes replaces $(NAME) in it."""
    text = SCRIPT.read_text()
    assert [mark for mark in ("{{", "$(") if mark in text] == []
