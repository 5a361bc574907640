"""The folder of one build, and what a failed build says."""

import shutil
from pathlib import Path

import pytest

from slipway_box import programs
from slipway_box.toolchain import MODULE, recent_enough


@pytest.fixture
def module(tmp_path: Path) -> Path:
    for name in ("go.mod", "go.sum", "dns/main.go"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(MODULE / name, tmp_path / name)
    return tmp_path


def test_the_same_content_is_the_same_build(module: Path) -> None:
    assert programs.content_hash(go_version="go1.26.8", module=module) == programs.content_hash(go_version="go1.26.8")


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "dns/main.go"])
def test_every_source_of_the_build_changes_its_name(module: Path, name: str) -> None:
    before = programs.content_hash(go_version="go1.26.8", module=module)
    (module / name).write_text((module / name).read_text() + "\n")
    assert programs.content_hash(go_version="go1.26.8", module=module) != before


def test_another_go_is_another_build() -> None:
    assert programs.content_hash(go_version="go1.26.8") != programs.content_hash(go_version="go1.26.9")


def test_the_servers_are_linked_with_their_version() -> None:
    assert programs.flags() == [
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        "-s -w"
        " -X k8s.io/component-base/version.gitVersion=v1.34.4"
        " -X k8s.io/component-base/version.gitMajor=1"
        " -X k8s.io/component-base/version.gitMinor=34"
        " -X k8s.io/client-go/pkg/version.gitVersion=v1.34.4"
        " -X k8s.io/client-go/pkg/version.gitMajor=1"
        " -X k8s.io/client-go/pkg/version.gitMinor=34",
    ]


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("get x: dial tcp 1.2.3.4:443: i/o timeout", "Go cannot reach its module proxy"),
        ("write /tmp/x: no space left on device", "the disk is full"),
        ("main.go:3:2: undefined: x", "the end of what Go said"),
    ],
)
def test_a_failed_build_names_its_cause_and_shows_the_last_lines(output: str, sentence: str) -> None:
    said = programs.build_failure("etcd", output)
    assert sentence in said
    assert output in said


@pytest.mark.parametrize(
    ("said", "enough"),
    [
        ("go version go1.26.8 linux/amd64", True),
        ("go version go1.21.0 linux/amd64", True),
        ("go version go1.19.8 linux/amd64", False),
        ("", False),
    ],
)
def test_a_go_that_cannot_fetch_a_newer_one_is_too_old(said: str, enough: bool) -> None:
    assert recent_enough(said) is enough


def test_programs_given_for_other_tools_are_taken_first(tmp_path: Path) -> None:
    (tmp_path / "etcd").touch()
    built = programs.Programs(folder=Path("/built"), assets=tmp_path)
    assert (built.path("etcd"), built.path("kubelet")) == (str(tmp_path / "etcd"), "/built/kubelet")


def test_no_go_is_looked_for_when_every_program_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("etcd", "kube-apiserver", "kubectl"):
        (tmp_path / name).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert programs.need("etcd", "kube-apiserver", "kubectl", assets=programs.assets()).folder == tmp_path
