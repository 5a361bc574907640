"""The parity command: equal after materialize, and what differs is found. As a user runs it, once; from Python otherwise."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from features.shop import NOW, Shop, stats
from slipway_feast import parity
from slipway_features import keys
from slipway_features.transforms import Log1p, Pipeline, Ratio, Select

ENTITIES = [(1, "apple"), (2, "pear"), (1, "apple"), (3, "plum"), (1, "plum")]


@pytest.fixture
def file(shop: Shop) -> Path:
    made = shop.folder / "entities.parquet"
    pd.DataFrame(ENTITIES, columns=["user_id", "item_id"]).to_parquet(made)
    shop.materialize()
    return made


def ask(shop: Shop, file: Path, *more: str) -> int:
    return parity.main(["--repo", str(shop.folder), "--service", "ranker", "--entities", str(file), *more])


def test_serving_is_training_after_materialize(shop: Shop, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With nulls, missing rows, and the same entity twice."""
    assert ask(shop, file) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "equal: 5 rows x 5 columns, bit by bit"


def test_csv_will_do_and_text_keys_stay_text(shop: Shop, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = shop.folder / "entities.csv"
    csv.write_text("user_id,item_id\n1,apple\n2,007\n")

    assert ask(shop, csv) == 0
    assert "2 rows" in capsys.readouterr().out


def test_a_planted_difference_is_found(shop: Shop, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bit of a float32: 0.5 and the next number."""
    key = keys.row_key("shop", "user_stats", {"user_id": 1})
    blob = shop.client.get(key)
    assert isinstance(blob, bytes)
    at = blob.index(b"\x00\x00\x00\x3f")
    shop.client.set(key, blob[:at] + b"\x01" + blob[at + 1 :])

    assert ask(shop, file, "--most", "2") == 1
    assert capsys.readouterr().out.splitlines()[-5:] == [
        "3 values differ in 5 rows x 5 columns",
        "entity                   column           training  serving",
        "user_id=1 item_id=apple  user_stats__ctr  0.5       0.5000000596046448",
        "user_id=1 item_id=apple  user_stats__ctr  0.5       0.5000000596046448",
        "... and 1 more",
    ]


def test_what_was_not_materialized_differs(shop: Shop, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop.history([stats(1, hours=1), stats(1, hours=0.5, ctr=0.75), stats(2, ctr=0.1)])

    assert ask(shop, file) == 1
    assert ask(shop, file, "--at", (NOW - pd.Timedelta(minutes=45)).isoformat()) == 0


def test_training_sees_no_correction_that_came_later(shop: Shop, file: Path) -> None:
    shop.history([stats(1), stats(1, hours=0.9, created_hours=0.1, ctr=0.75), stats(2, ctr=0.1)])

    assert ask(shop, file, "--at", (NOW - pd.Timedelta(minutes=45)).isoformat()) == 0


def test_an_offline_store_that_drops_rows_is_told(shop: Shop, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = shop.folder / "feature_store.yaml"
    settings.write_text(settings.read_text().replace("type: duckdb", "type: file"))

    assert ask(shop, file) == 2
    assert "rows for 5: with offline_store type duckdb it gives each once" in capsys.readouterr().err


def test_a_double_that_serving_rounds_differs(shop: Shop, file: Path) -> None:
    """The parquet holds doubles and the view says Float32: training would read what serving never sees."""
    pd.DataFrame([stats(1, ctr=0.1), stats(2, ctr=0.5)]).to_parquet(shop.folder / "data/user_stats.parquet")
    shop.materialize()

    assert ask(shop, file) == 1


def test_a_row_that_is_gone_differs(shop: Shop, file: Path) -> None:
    shop.client.delete(keys.row_key("shop", "user_stats", {"user_id": 2}))

    assert ask(shop, file) == 1


def test_times_of_the_file_are_used(shop: Shop, file: Path) -> None:
    rows = pd.read_parquet(file)
    rows.assign(event_timestamp=NOW - pd.Timedelta(hours=1, minutes=30)).to_parquet(file)

    assert ask(shop, file) == 1


def test_rows_are_compared_after_transforms(shop: Shop, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline = Pipeline(
        inputs=("user_stats__ctr", "user_stats__clicks", "user_item__affinity"),
        steps=(Ratio("user_stats__clicks", "user_stats__ctr", "r"), Log1p(("r",)), Select(("r", "user_item__affinity"))),
    )
    recorded = shop.folder / "transforms.json"
    recorded.write_text(pipeline.json())

    assert ask(shop, file, "--transforms", str(recorded)) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "equal: 5 rows x 2 columns, bit by bit"
    shop.write(stats(1, hours=0, ctr=0.75))
    assert ask(shop, file, "--transforms", str(recorded)) == 1


def test_the_command_is_a_module(shop: Shop, file: Path) -> None:
    command = [sys.executable, "-m", "slipway_feast.parity", "--repo", ".", "--service", "ranker"]
    done = shop.run(*command, "--entities", "entities.parquet")

    assert (done.returncode, done.stdout) == (0, "equal: 5 rows x 5 columns, bit by bit\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("user_id\n1\n", "entities.csv has no column item_id, by which service ranker finds rows"),
        ("user_id,item_id\n", "entities.csv has no rows"),
    ],
)
def test_a_file_that_does_not_do_is_told(shop: Shop, text: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    csv = shop.folder / "entities.csv"
    csv.write_text(text)

    assert ask(shop, csv) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--service", "nothing"], "nothing"),
        (["--entities", "entities.json"], "entities.json is neither .parquet nor .csv"),
        (["--transforms", "no-such-file"], "no-such-file"),
    ],
)
def test_a_question_that_makes_no_sense_is_status_2(
    shop: Shop, file: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(shop, file, *arguments) == 2
    assert told in capsys.readouterr().err
