"""Writing the generated files."""

import shutil
from pathlib import Path

import pytest

from slipway_operator import manifests
from slipway_operator.manifests import ManifestError, Runtime
from slipway_testing.golden import REPOSITORY

DESCRIBED = {"family": "triton", "into": "base/runtimes", "spec": {"containers": [{"name": "server", "image": "a"}], "protocolVersions": ["v2"]}}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The sources of a checkout, with nothing generated."""
    for path in ("kustomize/runtimes", "inference/triton"):
        shutil.copytree(REPOSITORY / path, tmp_path / path)
    for path in ("kustomize/base/crds", "kustomize/base/system/runtimes", "kustomize/overlays/gpu/runtimes", "manifests"):
        (tmp_path / path).mkdir(parents=True)
    return tmp_path


def test_a_runtime_is_named_by_what_it_holds_and_not_by_how_it_is_written() -> None:
    one = Runtime(family="triton", spec={"a": 1, "b": {"c": 2, "d": 3}})
    assert one.name == "triton-932875ab"  # printf '{"a":1,"b":{"c":2,"d":3}}' | sha256sum
    assert Runtime(family="triton", spec={"b": {"d": 3, "c": 2}, "a": 1}).name == one.name
    assert Runtime(family="triton", spec={"a": 2, "b": {"c": 2, "d": 3}}).name != one.name


def test_the_launch_script_is_part_of_the_name() -> None:
    folder, runtime = manifests.runtime_of(DESCRIBED, script="exec tritonserver\n")
    assert folder == "base/runtimes"
    assert runtime.spec["containers"] == [{"name": "server", "image": "a", "command": ["/bin/sh", "-c", "exec tritonserver\n", "serve"]}]
    assert manifests.runtime_of(DESCRIBED, script="exec true\n")[1].name != runtime.name


def test_the_operator_is_told_the_name_of_the_runtime() -> None:
    runtime = manifests.runtime_of(DESCRIBED, script="")[1]
    (container,) = runtime.operator_patch()["spec"]["template"]["spec"]["containers"]
    assert container == {"name": "operator", "env": [{"name": "SLIPWAY_RUNTIMES", "value": f"triton={runtime.name}"}]}


@pytest.mark.parametrize("token", ["$(date)", "{{.Name}}"])
def test_a_launch_script_that_would_change_on_the_way_is_refused(token: str, checkout: Path) -> None:
    (checkout / "inference/triton/serve").write_text(f"echo {token}\n")
    with pytest.raises(ManifestError, match="replaces before the shell sees it"):
        manifests.launch_script(checkout)


def test_what_changed_is_written_and_told_and_nothing_else(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--root", str(checkout), "--kubectl", "echo"]
    assert manifests.main(argv) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [*(path for path, _ in manifests.sources(checkout)), "manifests/crds.yaml", "manifests/install.yaml"]
    assert manifests.main(argv) == 0
    assert capsys.readouterr().out == ""
    (checkout / told[0]).write_text("edited by hand")
    assert manifests.main(argv) == 0
    assert capsys.readouterr().out.splitlines() == told[:1]


@pytest.mark.parametrize(
    ("kubectl", "told"), [("false", "kubectl kustomize {}/kustomize/base/crds failed"), ("no-such-kubectl", "No such file or directory")]
)
def test_a_kubectl_that_does_not_work_is_told(kubectl: str, told: str, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert manifests.main(["--root", str(checkout), "--kubectl", kubectl]) == 1
    assert told.format(checkout) in capsys.readouterr().err
