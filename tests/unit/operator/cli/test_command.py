"""The command line as a person meets it."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slipway_operator import cli
from slipway_testing import golden
from slipway_testing.golden import REPOSITORY

GOOD = """\
apiVersion: slipway.dev/v1alpha1
kind: ModelDeployment
metadata: {name: ranker, namespace: shop}
spec:
  model:
    uri: s3://models/ranker/7
    format: onnx
    inputs: [{name: x, dtype: FP32, shape: [200]}]
    outputs: [{name: score, dtype: FP32, shape: [1]}]
  serving:
    replicas: {min: 2, max: 20}
"""
BAD = GOOD.replace("onnx", "onx").replace("min: 2", 'min: "2"').replace("name: score", "name: y").replace("  serving:", "  servin: {}\n  serving:")
OTHER = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to write to, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return Path("model.yaml")


def _run(*argv: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = cli.main(argv)
    return (status, *capsys.readouterr())


def test_validate_is_content_with_a_good_manifest(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD)
    assert _run("validate", "model.yaml", capsys=capsys) == (0, "model.yaml:1: ModelDeployment shop/ranker: valid\n", "")


def test_validate_tells_every_problem_from_top_to_bottom(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(BAD)
    status, out, _ = _run("validate", "model.yaml", capsys=capsys)
    assert status == 1
    assert out.splitlines() == [
        'model.yaml:7: ModelDeployment shop/ranker: spec.model.format: Unsupported value: "onx": supported values: "onnx", "python", "triton"',
        "model.yaml:9: ModelDeployment shop/ranker: spec.model.outputs[0].name: Invalid value: true: must be of type string;"
        " without quotes YAML reads this as a boolean (y, n, yes, no, on and off are)",
        'model.yaml:10: ModelDeployment shop/ranker: spec.servin: unknown field; did you mean "serving"?',
        'model.yaml:12: ModelDeployment shop/ranker: spec.serving.replicas.min: Invalid value: "2": must be of type integer',
    ]


@pytest.mark.parametrize(
    ("find", "replace", "problem"),
    [
        ("min: 2", "min: 0", "11: {}: spec.serving.replicas.min: Invalid value: 0: should be greater than or equal to 1"),
        ("max: 20", "max: 1", "11: {}: spec.serving.replicas.min: Invalid value: replicas.min must not be over replicas.max"),
        ("    uri: s3://models/ranker/7\n", "", "5: {}: spec.model.uri: Required value"),
        (
            "s3://models/ranker/7",
            "models/7",
            "6: {}: spec.model.uri: Invalid value: \"models/7\": should match '^[a-z][a-z0-9+.-]*://[!-~]+$'",
        ),
        (
            "[200]",
            "[1,1,1,1,1,1,1,1,1]",
            "8: {}: spec.model.inputs[0].shape: Invalid value: [1, 1, 1, 1, 1, 1, 1, 1, 1]: should have at most 8 items",
        ),
        (
            "replicas: {min: 2, max: 20}",
            "resources: {requests: {memory: 1GB}}",
            '11: {}: spec.serving.resources.requests.memory: Invalid value: "1GB":'
            ' must be a quantity that is not negative: a whole number, or a string such as "500m" or "2Gi"',
        ),
        (
            "{name: x,",
            "{name: 7,",
            "8: {}: spec.model.inputs[0].name: Invalid value: 7: must be of type string; without quotes YAML reads this as a number",
        ),
        ("    format: onnx\n", "    format: onnx\n    uri: s3://b/c\n", "8: {}: spec.model.uri: the key is written twice"),
        ("{name: score,", "{name: '',", "9: {}: spec.model.outputs[0].name: Invalid value: \"\": should be at least 1 characters long"),
        ("v1alpha1", "v2", '1: {}: apiVersion: Invalid value: "slipway.dev/v2": must be slipway.dev/v1alpha1'),
    ],
)  # fmt: skip
def test_a_problem_reads_well(find: str, replace: str, problem: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace(find, replace))
    assert _run("validate", "model.yaml", capsys=capsys) == (1, f"model.yaml:{problem.format('ModelDeployment shop/ranker')}\n", "")


def test_a_long_value_is_cut(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace("s3://models/ranker/7", "s3://" + "x" * 2000))
    _, out, _ = _run("validate", "model.yaml", capsys=capsys)
    assert out.endswith(f'"s3://{"x" * 74}...: should be at most 1024 characters long\n')


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ("{name: Ranker}", "ModelDeployment Ranker: metadata.name: Invalid value: \"Ranker\": must be lower case letters, digits and '-', begin"),
        ("{name: " + "a" * 40 + "}", "must be no more than 39 characters: it becomes part of names that KServe makes labels of"),
        ("{name: ranker, namespace: " + "n" * 38 + "}", "it makes 44 characters, and KServe's labels leave room for 43"),
        ("{generateName: " + "a" * 35 + "}", "must be no more than 39 characters"),
        ("{name: ranker, namespace: Shop}", "metadata.namespace: Invalid value: \"Shop\": should match"),
        ("{}", "ModelDeployment (no name): metadata.name: Required value: name or generateName is required"),
        ("[]", "metadata: Required value: an object needs at least metadata.name"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_is_told(metadata: str, problem: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace("{name: ranker, namespace: shop}", metadata))
    status, out, _ = _run("validate", "model.yaml", capsys=capsys)
    assert (status, len(out.splitlines())) == (1, 1)
    assert problem in out


def test_the_namespace_on_the_command_line_counts_where_the_manifest_has_none(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace(", namespace: shop", ""))
    assert _run("validate", "model.yaml", "-n", "n" * 37, capsys=capsys)[0] == 0
    assert _run("validate", "model.yaml", "-n", "n" * 38, capsys=capsys)[0] == 1


def test_what_is_not_ours_is_passed_over_with_a_note(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(f"{OTHER}---\n{GOOD}---\n- a list\n")
    status, out, err = _run("validate", "model.yaml", capsys=capsys)
    assert (status, out) == (0, "model.yaml:5: ModelDeployment shop/ranker: valid\n")
    assert err.splitlines() == [
        "model.yaml:1: ConfigMap shop/settings: passed over, not one of Slipway's kinds",
        "model.yaml:17: object (no name): passed over, not one of Slipway's kinds",
    ]


def test_one_bad_file_among_good_ones_is_enough(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD)
    Path("bad.yaml").write_text(BAD)
    status, out, _ = _run("validate", "bad.yaml", "model.yaml", capsys=capsys)
    assert status == 1
    assert "model.yaml:1: ModelDeployment shop/ranker: valid" in out


def test_standard_input_is_a_file_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(GOOD))
    assert _run("validate", "-", capsys=capsys) == (0, "<stdin>:1: ModelDeployment shop/ranker: valid\n", "")


@pytest.mark.parametrize("command", ["validate", "render"])
def test_what_is_no_yaml_is_told_with_its_line(command: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("a: [1\nb: 2\n")
    status, out, err = _run(command, "model.yaml", capsys=capsys)
    assert (status, out + err) == (1, "model.yaml:2: no YAML: expected ',' or ']', but got ':'\n")


@pytest.mark.parametrize("command", ["validate", "render"])
def test_a_file_that_is_not_there_is_another_kind_of_failure(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(command, "nowhere.yaml", capsys=capsys) == (2, "", "slipway: cannot read nowhere.yaml: No such file or directory\n")


def test_a_file_that_is_no_text_is_another_kind_of_failure(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(b"\xff\xfe")
    assert _run("validate", "model.yaml", capsys=capsys) == (2, "", "slipway: model.yaml is no UTF-8 text\n")


@pytest.mark.parametrize("argv", [(), ("validate",), ("render", "a", "b"), ("explain",), ("render", "--runtime", "x", "f")])
def test_a_command_that_makes_no_sense_is_told_so(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)
    assert ended.value.code == 2
    assert "usage: slipway" in capsys.readouterr().err


def test_render_prints_the_children(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(f"{OTHER}---\n{GOOD}")
    status, out, err = _run("render", "model.yaml", "--runtime", "slipway-triton=slipway-triton-1a2b3c4d", capsys=capsys)
    assert (status, err) == (0, "")
    golden.check("render/ranker.yaml", out)


def test_render_prints_the_children_of_an_object_with_a_transformer(capsys: pytest.CaptureFixture[str]) -> None:
    page = REPOSITORY / "docs/guides/transformer.yaml"
    status, out, err = _run("render", str(page), "--runtime", "slipway-triton=slipway-triton-1a2b3c4d", capsys=capsys)
    assert (status, err) == (0, "")
    golden.check("render/transformer.yaml", out)


def test_render_says_which_image_of_transformers_it_does_not_know(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD + "  transformer: {}\n")
    status, out, err = _run("render", "model.yaml", "--runtime", "slipway-triton=slipway-triton-1a2b3c4d", capsys=capsys)
    sentence = "image slipway/transformer stands for the one that the cluster's operator has for transformers"
    assert (status, err) == (0, f"model.yaml:1: ModelDeployment shop/ranker: {sentence}\n")
    assert "image: slipway/transformer\n" in out


def test_render_gives_the_same_bytes_in_every_process(file: Path) -> None:
    file.write_text(GOOD)
    argv = [sys.executable, "-m", "slipway_operator.cli", "render", str(file.absolute())]
    printed = [
        subprocess.run(argv, env={"PYTHONPATH": str(REPOSITORY / "operator"), "PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1] != b""


def test_who_reads_no_more_is_no_failure_of_ours(file: Path) -> None:
    """``slipway render model.yaml | head -0``."""
    file.write_text(GOOD)
    argv = [sys.executable, "-m", "slipway_operator.cli", "render", str(file.absolute())]
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(argv, env={"PYTHONPATH": str(REPOSITORY / "operator")}, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (ended.returncode, b"Traceback" in ended.stderr, b"Broken" in ended.stderr) == (141, False, False)


def test_render_takes_the_namespace_of_the_manifest_first(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD)
    assert "namespace: shop" in _run("render", "model.yaml", "-n", "elsewhere", capsys=capsys)[1]
    file.write_text(GOOD.replace(", namespace: shop", ""))
    assert "namespace: elsewhere" in _run("render", "model.yaml", "-n", "elsewhere", capsys=capsys)[1]
    assert "namespace: default" in _run("render", "model.yaml", capsys=capsys)[1]


def test_render_tells_problems_instead_of_rendering(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(f"{GOOD}---\n{BAD}")
    status, out, err = _run("render", "model.yaml", capsys=capsys)
    assert (status, out, len(err.splitlines())) == (1, "", 4)


def test_render_needs_a_name(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD.replace("name: ranker", "generateName: ranker-"))
    status, out, err = _run("render", "model.yaml", capsys=capsys)
    assert (status, out) == (1, "")
    assert "metadata.name: Required value: its children are named after it" in err


@pytest.mark.parametrize("missing", ["pydantic", "yaml"])
def test_a_missing_dependency_is_told_with_the_extra_that_brings_it(missing: str, file: Path) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from slipway_operator import cli; sys.exit(cli.main(['validate', 'model.yaml']))"
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(REPOSITORY / "operator")}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == f"slipway: {missing} is not installed; pip install 'slipway-ml[operator]' brings it\n"


def test_render_says_when_a_runtime_is_not_pinned(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD[: GOOD.index("    replicas")] + "    null\n")  # spec.serving is null
    _, out, err = _run("render", "model.yaml", capsys=capsys)
    assert "runtime: slipway-triton\n" in out
    assert err == (
        "model.yaml:1: ModelDeployment shop/ranker: runtime slipway-triton stands as it is written;"
        " --runtime slipway-triton=NAME puts the name of the operator's current one there\n"
    )
