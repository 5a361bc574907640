"""What makes a page of the documentation pass or fail."""

import os
from pathlib import Path

import pytest

from slipway_testing import pages
from slipway_testing.golden import REPOSITORY

PAGE = """\
# A page

```yaml
kind: Pod
```

```bash run
echo one
```

It prints:

```text output
one
```

```bash
make demo
```

```bash run
echo two
```

```yaml
between: them
```

```text output
never compared
```
"""


def test_marked_blocks_are_found_with_their_outputs() -> None:
    assert pages.blocks(PAGE) == (
        pages.Block(line=7, command="echo one\n", output="one\n"),
        pages.Block(line=21, command="echo two\n", output=None),
    )


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        ("one\ntwo\n", "one\ntwo\n"),
        ("NAME     AGE\ndigits   6s\n", "NAME          AGE\ndigits   2m14s\n"),
        ("since: 2026-11-24T12:00:00Z\n", "since: 2027-01-01T00:00:59Z\n"),
        ("pod/digits-...  Running\n", "pod/digits-7c6d78-582f4   Running\n"),
        ("first\n...\nlast\n", "first\nlast\n"),
        ("first\n...\nlast\n", "first\n2\n3\nlast\n"),
        ("a (1) [b]\n", "a (1) [b]\n"),
    ],
    ids=["word for word", "ages and blanks", "times", "within a line", "no lines", "lines", "nothing is a pattern but the ellipsis"],
)
def test_alike(said: str, printed: str) -> None:
    assert pages.alike(said, printed)


@pytest.mark.parametrize(
    ("said", "printed"),
    [
        ("one\n", "two\n"),
        ("one\n", "one\ntwo\n"),
        ("one\ntwo\n", "one\n"),
        ("digits   True   6s\n", "digits   False   6s\n"),
        ("pod/digits-...  Running\n", "pod/digits-7c6d78-582f4   Pending\n"),
        ("a.b\n", "axb\n"),
    ],
    ids=["another word", "a line more", "a line less", "another state", "another end", "a dot is a dot"],
)
def test_not_alike(said: str, printed: str) -> None:
    assert not pages.alike(said, printed)


def run(command: str, output: str | None = None) -> None:
    block = pages.Block(line=7, command=command, output=output)
    pages.run(REPOSITORY / "README.md", block, namespace="docs-1", environment=os.environ)


def test_a_block_that_does_what_the_page_says_passes() -> None:
    run("test -f Makefile\necho http://digits.docs-1.svc", "http://digits.slipway-demo.svc\n")


@pytest.mark.parametrize(
    ("command", "output", "told"),
    [
        ("false\n", None, "README.md:7 ended with status 1"),
        ("false | cat\n", None, "README.md:7 ended with status 1"),
        ("echo $NO_SUCH_VARIABLE\n", None, "README.md:7 ended with status"),
        ("echo False\n", "True\n", "README.md:7 printed something else than the page says"),
        ("echo refused >&2\n", "", "README.md:7 printed something else than the page says"),
    ],
    ids=["a failure", "a failure in a pipe", "a variable of nowhere", "another output", "an output on the other channel"],
)
def test_a_block_that_does_not_is_told_with_page_and_line(command: str, output: str | None, told: str) -> None:
    with pytest.raises(pages.Failed, match=told):
        run(command, output)


def test_the_tools_of_a_page_work_in_its_namespace(tmp_path: Path) -> None:
    pages.write_tools(tmp_path, kubectl=("echo", "--kubeconfig=a file"), namespace="docs-1")
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    block = pages.Block(
        line=1, command="kubectl get mdep\nslipway --version\n", output="--kubeconfig=a file --namespace=docs-1 get mdep\nslipway ...\n"
    )

    pages.run(REPOSITORY / "README.md", block, namespace="docs-1", environment=environment)
