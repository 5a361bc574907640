import json

import hypothesis
import yaml
from hypothesis import strategies

from slipway_operator.cluster.encoding import encoded


@hypothesis.given(strategies.text())
def test_it_is_json_and_yaml_of_the_same(text: str) -> None:
    body = {"key": text, text: 1}
    assert json.loads(encoded(body)) == body
    assert yaml.safe_load(encoded({"key": text}).decode()) == {"key": text}


def test_it_is_compact() -> None:
    assert encoded({"a": [1, 2], "b": {"c": "ä"}}) == b'{"a":[1,2],"b":{"c":"\\u00e4"}}'
