"""docs/guides/experiments.md and the page of the kind: manifests are valid, the client works as it stands, figures are those of the commands."""

import http.server
import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway_operator import cli
from slipway_operator.api.v1alpha1.experiment import ExperimentSpec
from slipway_operator.reconcile.experiment import divisions
from slipway_testing import pages
from slipway_testing.golden import REPOSITORY

GUIDE = (REPOSITORY / "docs/guides/experiments.md").read_text()
SPEC = (REPOSITORY / "docs/spec/experiment.md").read_text()
EXAMPLE = yaml.safe_load((REPOSITORY / "docs/spec/experiment.yaml").read_text())


def fences(info: str, page: str = GUIDE) -> list[str]:
    return [fence.text for fence in pages.fences(page) if fence.info == info]


def parts() -> Iterator[dict[str, Any]]:
    """What the guide shows of a spec, each put into the smallest experiment."""
    whole = next(document for text in fences("yaml") if (document := yaml.safe_load(text)) and "kind" in document)["spec"]
    for text in fences("yaml"):
        shown = yaml.safe_load(text)
        if isinstance(shown, list):
            yield whole | {"metrics": [*whole["metrics"], *shown]}
        elif "cuped" in shown:
            yield whole | {"metrics": [whole["metrics"][0] | shown]}
        elif "containers" not in shown.get("spec", {}):
            yield whole | shown.get("spec", shown)


@pytest.mark.parametrize("spec", tuple(parts()), ids=lambda spec: "+".join(spec))
def test_what_the_guide_shows_of_a_spec_is_valid(spec: dict[str, Any]) -> None:
    assert ExperimentSpec.model_validate(spec).primary.name == "conversion"


def test_the_guide_shows_six_of_them() -> None:
    assert len(list(parts())) == 6


def test_the_plan_is_what_the_command_prints(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    [of_a_test, _] = [text for text in fences("bash") if text.startswith("slipway experiment plan")]
    monkeypatch.chdir(REPOSITORY)

    assert cli.main(shlex.split(of_a_test)[1:]) == 0
    assert capsys.readouterr().out in fences("text")


def test_the_plan_of_a_bandit_is_what_the_command_prints(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [_, of_a_bandit] = [text for text in fences("bash") if text.startswith("slipway experiment plan")]
    [manifest] = [text for text in fences("yaml") if "mode: Bandit" in text]
    (tmp_path / "headline.yaml").write_text(manifest)
    monkeypatch.chdir(tmp_path)

    assert cli.main(shlex.split(of_a_bandit)[1:]) == 0
    assert capsys.readouterr().out in fences("text")


def test_the_page_of_the_kind_divides_slots_as_the_operator_does() -> None:
    spec = ExperimentSpec.model_validate(EXAMPLE["spec"])
    [table] = [text for text in fences("text", SPEC) if text.startswith("ramp ")]
    said = [[int(number.replace(",", "")) for number in re.findall(r"[\d,]+", line)[1:]] for line in table.splitlines()[1:]]

    found = [divisions.allocation(spec, percent=step.percent, out=frozenset()) for step in spec.steps]
    assert said == [[division.count(group) for group in ("v8", "waiting", "control")] for division in found]


def test_the_client_sends_again_with_the_token_of_that_time(tmp_path: Path) -> None:
    [client] = fences("python")
    token = tmp_path / "token"
    token.write_text("the first\n")
    seen: list[tuple[str, str, Any]] = []

    class Ledger(http.server.BaseHTTPRequestHandler):
        """Is away at first, then takes what comes; meanwhile the kubelet writes another token."""

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, self.headers["Authorization"], body))
            token.write_text("the next one\n")
            self.send_response(503 if len(seen) == 1 else 200)
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(json.dumps({"accepted": len(body), "duplicates": 0, "refused": []}).encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ledger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        environment = {"SLIPWAY_LEDGER_URL": f"http://127.0.0.1:{server.server_port}", "SLIPWAY_LEDGER_TOKEN_FILE": str(token)}
        done = subprocess.run([sys.executable, "-c", client], env=environment, capture_output=True, text=True, timeout=30, check=False)
        server.shutdown()
        thread.join()

    assert (done.returncode, done.stdout) == (0, "{'accepted': 1, 'duplicates': 0, 'refused': []}\n"), done.stderr
    [(path, first, body), again] = seen
    assert again == (path, "Bearer the next one", body)
    assert (path, first) == ("/v1/outcomes", "Bearer the first")
    [event] = body
    assert event.pop("time")
    assert event == {"service": "shop/ranker", "unit": "user-1", "metric": "conversion", "value": 1, "idempotencyKey": "order-81"}
