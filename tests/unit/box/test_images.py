"""When an image is built anew, and that everything that changes one is known."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway_box import buildah, images, layout, pip_access
from slipway_box.errors import BoxError

ON_PYTHON = [image.name for image in images.IMAGES.values() if image.on_python]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one file of content in each place that an image is made from."""
    root = tmp_path / "repository"
    for path in {path for image in images.IMAGES.values() for path in image.inputs} | {"box/bases/python.Dockerfile", "box/bases/python-rootfs"}:
        is_file = (layout.REPOSITORY / path).is_file()
        written = root / path if is_file else root / path / "code.py"
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text("as it was")
    (root / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    monkeypatch.setattr(layout, "REPOSITORY", root)
    monkeypatch.setattr(images, "BASES", root / "box" / "bases")
    monkeypatch.setenv("SLIPWAY_CACHE", str(tmp_path / "cache"))
    return root


@pytest.fixture
def builds(repository: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images exported from now on; nothing is really built."""
    made: list[str] = []

    def export(_image: str, *, name: str, to: Path) -> None:
        made.append(name)
        to.write_text("archive")

    monkeypatch.setattr(pip_access, "_settings", dict)
    monkeypatch.setattr(buildah, "has", lambda _tag: True)
    monkeypatch.setattr(buildah, "build", lambda *_, **__: "id")
    monkeypatch.setattr(buildah, "export", export)
    return made


def test_an_image_is_called_by_the_projects_version(repository: Path) -> None:
    assert images.reference("operator") == "slipway/operator:1.2.3"


def test_an_unknown_image_is_told_with_the_known_ones() -> None:
    with pytest.raises(
        BoxError, match="no image called web; there are pause, operator, router, transformer, ledger, triton-cpu, storage-initializer"
    ):
        images.archive("web")


def test_an_image_is_built_once(builds: list[str]) -> None:
    assert images.archive("operator") == images.archive("operator")
    assert builds == ["slipway/operator:1.2.3"]


@pytest.mark.parametrize(("name", "path"), [(name, path) for name in ON_PYTHON for path in images.IMAGES[name].inputs])
def test_every_input_gives_another_archive_and_the_old_one_goes(builds: list[str], repository: Path, name: str, path: str) -> None:
    before = images.archive(name)
    changed = repository / path
    (changed if changed.is_file() else changed / "code.py").write_text("as it is now")
    after = images.archive(name)
    assert (before.exists(), after.exists()) == (False, True)


@pytest.mark.parametrize("name", ON_PYTHON)
def test_the_base_image_and_the_version_are_inputs_too(builds: list[str], repository: Path, name: str) -> None:
    made = [images.archive(name)]
    (repository / "box/bases/python-rootfs").write_text("another base")
    made.append(images.archive(name))
    (repository / "pyproject.toml").write_text('[project]\nversion = "1.2.4"\n')
    made.append(images.archive(name))
    assert len(set(made)) == 3


def test_compiled_python_is_no_input(builds: list[str], repository: Path) -> None:
    before = images.archive("operator")
    (repository / "operator" / "__pycache__").mkdir()
    (repository / "operator" / "__pycache__" / "code.pyc").write_text("compiled")
    assert images.archive("operator") == before


def test_another_images_archive_stays(builds: list[str], repository: Path) -> None:
    other = images.archive("triton-cpu")
    images.archive("operator")
    (repository / "operator" / "code.py").write_text("as it is now")
    images.archive("operator")
    assert other.exists()


def test_a_missing_input_is_named(repository: Path) -> None:
    (repository / "requirements/operator.txt").unlink()
    with pytest.raises(BoxError, match=r"requirements/operator.txt goes into an image and is missing"):
        images.archive("operator")


def test_clean_takes_the_archives_away(builds: list[str]) -> None:
    made = images.archive("operator")
    images.clean()
    assert not made.exists()


@pytest.mark.parametrize("name", ON_PYTHON)
def test_whatever_the_dockerfile_copies_is_an_input(name: str) -> None:
    """A source that is copied and not listed would leave an old archive in use after a change."""
    copied = set(_copied(name))
    assert copied
    listed = images.IMAGES[name].inputs
    assert [source for source in copied if not any(Path(source).is_relative_to(path) for path in listed)] == []


@pytest.mark.parametrize("name", ON_PYTHON)
def test_whatever_the_dockerfile_copies_may_enter_a_build(name: str) -> None:
    let_in = [line[1:] for line in (layout.REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert [source for source in _copied(name) if not any(Path(source).is_relative_to(path) for path in let_in)] == []


@pytest.mark.parametrize("name", ON_PYTHON)
def test_whatever_a_copied_package_imports_of_slipway_is_copied_too(name: str) -> None:
    """A package that an image lacks is missed when a pod starts, and by no test before."""
    folders = [layout.REPOSITORY / source for source in _copied(name)]
    code = [path for folder in folders if folder.is_dir() for path in folder.rglob("*.py")]
    there = {part for path in code for part in path.relative_to(layout.REPOSITORY).parts if part.startswith("slipway_")}
    imported = {found for path in code for found in re.findall(r"^\s*(?:from|import) (slipway_\w+)", path.read_text(), re.MULTILINE)}
    assert imported - there == set()


@pytest.mark.parametrize("name", ON_PYTHON)
def test_a_final_stage_runs_nothing(name: str) -> None:
    """So that no cache, certificate or setting of the build is left in an image."""
    stages = _stages()
    base, lines = stages[name]
    assert [line for line in [*lines, *stages[base][1]] if line.startswith("RUN")] == []


def test_every_installation_is_checked_by_hash() -> None:
    stages = _stages()
    assert "--require-hashes" in next(line for line in stages["builder"][1] if line.startswith("ENV INSTALL"))
    installs = [line for _, lines in stages.values() for line in lines if "--requirement" in line]
    assert len(installs) == len(ON_PYTHON)
    assert [line for line in installs if not line.startswith("RUN ${INSTALL} ")] == []


def test_mounts_are_found_by_path_and_not_by_prefix() -> None:
    table = "overlay /var/buildah/store/merged overlay rw 0 0\ntmpfs /var/buildah-old tmpfs rw 0 0\ntmpfs /var/buildah/my\\040dir tmpfs rw 0 0\n"
    assert buildah.mounted_under(Path("/var/buildah"), table) == ["/var/buildah/my dir", "/var/buildah/store/merged"]


def test_the_environment_wins_over_pips_files() -> None:
    listed = pip_access.listed(":env:.timeout='180'\nglobal.cert='/ca.pem'\nglobal.timeout='60'\n")
    assert listed == {"cert": "/ca.pem", "timeout": "180"}


def test_certificates_and_settings_are_mounted_and_then_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("certificate")
    settings = {"cert": str(authority), "timeout": "180", "find-links": "/wheels"}
    monkeypatch.setattr(pip_access, "_settings", lambda: settings)
    with pip_access.mounts() as mounted:
        [configuration] = [source for source, place in mounted.items() if place == "/etc/pip.conf"]
        assert mounted[authority] == "/etc/pip-certificates.pem"
        assert configuration.read_text() == "[global]\ntimeout = 180\ncert = /etc/pip-certificates.pem\n\n"
    assert not configuration.exists()


def _copied(target: str) -> Iterator[str]:
    stages = _stages()
    _, lines = stages[target]
    for line in lines:
        stage = re.search(r"--from=(\S+)", line)
        if stage:
            yield from _copied(stage[1])
        elif line.startswith("COPY"):
            yield from line.split()[1:-1]


def _stages() -> dict[str, tuple[str, list[str]]]:
    """The Dockerfile: for each stage the one it starts from, and its lines."""
    text = (layout.REPOSITORY / "Dockerfile").read_text().replace("\\\n", " ")
    found: dict[str, tuple[str, list[str]]] = {}
    for line in text.splitlines():
        if line.startswith("FROM"):
            _, base, _, name = line.split()
            found[name] = (base, [])
        elif found and line and not line.startswith("#"):
            list(found.values())[-1][1].append(line)
    return found
