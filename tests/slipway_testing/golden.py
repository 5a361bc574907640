"""Files that hold what a program printed when somebody last looked at it. ``UPDATE_GOLDEN=1 pytest`` writes them anew."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "tests" / "golden"


def check(name: str, text: str) -> None:
    """Compare ``text`` with tests/golden/``name``."""
    path = FOLDER / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"tests/golden/{name} does not exist: run with UPDATE_GOLDEN=1 and look at what it wrote"
    assert text == path.read_text(), f"tests/golden/{name} is out of date: run with UPDATE_GOLDEN=1 and look at the difference"
