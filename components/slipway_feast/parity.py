"""``python -m slipway_feast.parity``: does serving read what training would, to the bit?

Status 0: yes; 1: no, with a table; 2: it could not be asked.

Training rows are those of a point-in-time join of the offline store, serving rows those of the online store, for the same entities. What has happened
since the last materialisation is in the one and not in the other: materialise first, or say ``--at``.
"""

import argparse
import contextlib
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from feast import FeatureStore
from feast.errors import FeastError

from slipway_feast.online_store import StoreUnavailable
from slipway_features import parity
from slipway_features.transforms import Pipeline

_TIME = "event_timestamp"
_ROW = "slipway_row"
"""The number of a row of the entities: the offline store gives rows back in any order."""


class Unanswerable(Exception):
    """The question makes no sense as it was asked."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    given = _parser().parse_args(arguments)
    try:
        pipeline = Pipeline.parse(given.transforms.read_bytes()) if given.transforms else None
        file = given.entities.resolve()
        with contextlib.chdir(given.repo):  # as the feast command does: the DuckDB store looks for relative paths from here
            store = FeatureStore(repo_path=".")
            service = store.get_feature_service(given.service)
            report = compare(store, service, entities(file, store, service, given.at), pipeline, most=given.most)
    except (Unanswerable, StoreUnavailable, FeastError, OSError, ValueError) as error:
        print(f"parity: {error}", file=sys.stderr)  # noqa: T201
        return 2
    print(report.text())  # noqa: T201
    return 0 if report.equal else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m slipway_feast.parity", description="Compare serving with training, bit by bit.")
    parser.add_argument("--repo", type=Path, required=True, help="the folder of feature_store.yaml")
    parser.add_argument("--service", required=True, help="the feature service that the model is trained with")
    parser.add_argument("--entities", type=Path, required=True, help="a .parquet or .csv of join keys, request data, perhaps event_timestamp")
    parser.add_argument("--at", type=datetime.fromisoformat, help="the time of rows without event_timestamp, in UTC; default: now")
    parser.add_argument("--transforms", type=Path, help="a pipeline of transforms to compare after, whose inputs are named view__feature")
    parser.add_argument("--most", type=int, default=20, help="how many differences to show; default: 20")
    return parser


def entities(file: Path, store: FeatureStore, service: Any, at: datetime | None) -> pd.DataFrame:
    """The rows to compare, with their times. Text join keys that look like numbers stay text.

    Raises Unanswerable for a file of another kind, without rows, or without a join key.
    """
    texts = {key: str for key, is_text in _join_keys(store, service).items() if is_text}
    match file.suffix:
        case ".parquet":
            rows = pd.read_parquet(file)
        case ".csv":
            rows = pd.read_csv(file, dtype=texts, keep_default_na=False)
        case _:
            raise Unanswerable(f"{file} is neither .parquet nor .csv")
    if missing := _join_keys(store, service).keys() - set(rows.columns):
        raise Unanswerable(f"{file} has no column {', '.join(sorted(missing))}, by which service {service.name} finds rows")
    if rows.empty:
        raise Unanswerable(f"{file} has no rows")
    moment = (at or datetime.now(UTC)) if at is None or at.tzinfo else at.replace(tzinfo=UTC)
    times = pd.to_datetime(rows[_TIME], utc=True) if _TIME in rows else pd.Series(moment, index=rows.index)
    return rows.assign(**{_TIME: times, _ROW: range(len(rows))})


def _join_keys(store: FeatureStore, service: Any) -> dict[str, bool]:
    """The join keys that a service needs, and whether each is text."""
    keys = {}
    for projection in service.feature_view_projections:
        view = store.registry.get_any_feature_view(projection.name, store.project, allow_cache=True)
        for column in getattr(view, "entity_columns", []):
            if column.name != "__dummy_id":
                name = projection.join_key_map.get(column.name, column.name)
                keys[name] = column.dtype.to_value_type().name == "STRING"
    return keys


def compare(store: FeatureStore, service: Any, rows: pd.DataFrame, pipeline: Pipeline | None = None, *, most: int = 20) -> parity.Report:
    """Compare the features of a service for ``entities``, after a pipeline where one is given.

    Raises Unanswerable when the offline store does not give back each row once, or the pipeline wants what is not there.
    """
    given = [name for name in rows.columns if name not in {_TIME, _ROW}]
    serving: Mapping[str, parity.Column] = _serving(store, service, rows[given])
    training: Mapping[str, parity.Column] = _training(store, service, rows, list(serving))
    if pipeline:
        training, serving = _transformed(pipeline, training), _transformed(pipeline, serving)
    names = [" ".join(f"{name}={value}" for name, value in zip(given, line, strict=True)) for line in rows[given].itertuples(index=False)]
    return parity.compare(names, training, serving, most=most)


def _serving(store: FeatureStore, service: Any, rows: pd.DataFrame) -> dict[str, list[object]]:
    answer = store.get_online_features(features=service, entity_rows=rows.to_dict("records"), full_feature_names=True).to_dict()
    return {name: [_plain(value) for value in values] for name, values in sorted(answer.items()) if name not in rows.columns}


def _training(store: FeatureStore, service: Any, rows: pd.DataFrame, names: Sequence[str]) -> dict[str, list[object]]:
    job = store.get_historical_features(entity_df=rows, features=service, full_feature_names=True, filter_by_created_timestamp=True)
    found = job.to_df().sort_values(_ROW)
    if found[_ROW].tolist() != list(range(len(rows))):
        raise Unanswerable(f"the offline store gave {len(found)} rows for {len(rows)}: with offline_store type duckdb it gives each once")
    return {name: [_plain(value) for value in found[name]] for name in names}


def _plain(value: Any) -> object:
    """A value as Python has it: None for null, moments with their zone."""
    if isinstance(value, np.ndarray | list):
        return [_plain(one) for one in value]
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        value = value.to_pydatetime()
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return value.item() if isinstance(value, np.generic) else value


def _transformed(pipeline: Pipeline, columns: Mapping[str, parity.Column]) -> dict[str, npt.NDArray[np.floating]]:
    """What comes out of the pipeline, in float64."""
    if missing := [name for name in pipeline.inputs if name not in columns]:
        raise Unanswerable(f"the pipeline wants {', '.join(missing)}; the service has {', '.join(columns)}")
    try:
        rows = np.array([columns[name] for name in pipeline.inputs], np.float64).T
    except (TypeError, ValueError) as error:
        raise Unanswerable(f"a column that the pipeline wants is no number: {error}") from error
    return dict(zip(pipeline.outputs, pipeline(rows).T, strict=True))


if __name__ == "__main__":
    sys.exit(main())
