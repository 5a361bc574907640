"""One screen about one Experiment."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

SPEC: dict[str, Any] = {
    "targetRef": {"name": "ranker"},
    "arms": [{"name": "control"}, {"name": "v8", "model": {"uri": "s3://models/ranker/8"}}],
    "assignment": {"unit": {"header": "x-user-id"}},
    "ramp": [{"percent": 2, "holdSeconds": 900}, {"percent": 20, "holdSeconds": 3600}, {"percent": 50}],
    "metrics": [
        {"name": "revenue", "role": "Secondary", "type": "Mean"},
        {"name": "error-rate", "role": "Guardrail", "source": "Router", "direction": "Down", "margin": "0.002"},
        {"name": "conversion", "role": "Primary", "type": "Proportion", "windowSeconds": 3600, "minimumEffect": {"absolute": "0.01"}},
    ],
    "analysis": {"maxDurationSeconds": 864_000},
    "decision": {"confirmSeconds": 7200},
}
RUNNING: dict[str, Any] = {
    "verdict": "Collecting",
    "reason": "NotClear",
    "units": 50_000,
    "startedAt": "2026-11-20T10:00:00Z",
    "sampleRatio": {"p": "0.43", "summary": "OK", "detectableLossPercent": "6.3"},
    "traffic": {
        "seed": "shop/ranker-v8",
        "stratum": 2,
        "step": 2,
        "percent": 20,
        "since": "2026-11-20T10:15:00Z",
        "slots": [{"before": 5000, "group": "control"}, {"before": 7000, "group": "v8"}, {"before": 10_000, "group": "waiting"}],
    },
    "look": {"sequence": 7, "at": "2026-11-20T12:00:00Z"},
    "arms": [
        {"name": "control", "revision": "ranker-1", "uri": "s3://a", "units": 40_000},
        {
            "name": "v8",
            "revision": "ranker-2",
            "uri": "s3://b",
            "units": 10_000,
            "verdict": "Collecting",
            "metrics": [
                {"metric": "revenue", "estimate": "0.34", "lower": "-0.1", "upper": "0.8"},
                {"metric": "error-rate", "estimate": "0.0001", "lower": "-0.002", "upper": "0.0022", "state": "NotShown"},
                {"metric": "conversion", "estimate": "0.0066", "lower": "-0.0012", "upper": "0.0145", "relativePercent": "6.6"},
            ],
        },
    ],
}


def said(of: str, value: str, *, reason: str = "Why") -> dict[str, str]:
    return {"type": of, "status": value, "reason": reason, "message": f"{of} says so", "lastTransitionTime": "2026-11-20T10:00:00Z"}


@pytest.fixture
def status(run: Any, tmp_path: Path) -> Any:
    """The screen for a status: exit status, lines."""

    def ask(of: dict[str, Any] | None, *argv: str, spec: dict[str, Any] | None = None) -> tuple[int, list[str], str]:
        body = {"apiVersion": "slipway.dev/v1alpha1", "kind": "Experiment", "metadata": {"name": "ranker-v8", "namespace": "shop"}}
        (tmp_path / "xp.yaml").write_text(yaml.safe_dump(body | {"spec": SPEC | (spec or {})} | ({"status": of} if of is not None else {})))
        code, out, err = run("status", "-f", "xp.yaml", *argv)
        return code, out.splitlines(), err

    return ask


def test_a_running_experiment(status: Any) -> None:
    code, lines, _ = status(RUNNING)
    assert code == 0
    assert lines == [
        "shop/ranker-v8 on ranker: Collecting (NotClear)",
        "  It runs, and nothing is clear yet.",
        "  The interval of the primary metric has zero in it.",
        "  Next: 50 % after 60 minutes at 20 %, once harm could have been seen; a decision as soon as the interval allows one, at the latest"
        " 2026-11-30T10:00:00Z.",
        "",
        "Ramp: 2 % -> [20 %] -> 50 % of the units for v8, since 2026-11-20T10:15:00Z",
        "Units: 50,000; look 7 at 2026-11-20T12:00:00Z; stratum 2",
        "Sample ratio: OK, p 0.43; a loss of 6.3 % of an arm would have been seen",
        "",
        "  arm       units  share  verdict",
        "  control  40,000   50 %  control",
        "  v8       10,000   20 %  Collecting",
        "",
        "  metric                  arm    difference               interval  of control  state",
        "  conversion (primary)    v8   +0.66 points  \u22120.12 to +1.45 points      +6.6 %",
        "  error-rate (guardrail)  v8   +0.01 points  \u22120.20 to +0.22 points              NotShown",
        "  revenue (secondary)     v8          +0.34         \u22120.10 to +0.80",
    ]


def test_an_experiment_that_has_not_begun(status: Any) -> None:
    code, lines, _ = status(None)
    assert (code, lines[0]) == (0, "shop/ranker-v8 on ranker: Pending")
    assert "  Next: it begins when its turn on the target has come and every router has the first step." in lines


def test_an_experiment_that_begins_when_somebody_acts(status: Any) -> None:
    _, lines, _ = status({"conditions": [said("Stalled", "True", reason="ArmIsControl")]})
    assert "  Next: nothing, until somebody acts on what is told below; a spec that has not begun may be changed." in lines
    assert lines[-1] == "Stalled is True (ArmIsControl): Stalled says so"


def test_unhealthy_ends_with_1(status: Any) -> None:
    code, lines, _ = status(RUNNING | {"verdict": "Unhealthy", "reason": "SampleRatio"})
    assert (code, lines[1]) == (1, "  The data cannot be believed, so nothing is decided.")


@pytest.mark.parametrize(
    ("changes", "spec", "expected"),
    [
        (
            {"decision": {"action": "Promote", "arm": "v8", "at": "2026-11-21T10:00:00Z", "message": "", "done": True}},
            {},
            "v8 becomes stable; it is over.",
        ),
        (
            {"decision": {"action": "RollBack", "at": "2026-11-21T10:00:00Z", "message": ""}},
            {},
            "every unit goes back to control; routers are being told.",
        ),
        (
            {"proposal": {"arm": "v8", "digest": "abcd", "sequence": 9}},
            {},
            "v8 is promoted once somebody agrees: kubectl annotate xp ranker-v8 -n shop --overwrite slipway.dev/approve=abcd",
        ),
        (
            {"winningSince": "2026-11-21T10:00:00Z"},
            {},
            "the winner keeps its share for 2 hours from 2026-11-21T10:00:00Z, for a fresh estimate.",
        ),
        (
            {"verdict": "Unhealthy", "reason": "SampleRatio"},
            {},
            "nothing but harm is decided, and at 2026-11-30T10:00:00Z control is kept; find the cause, then delete it and begin anew.",
        ),
        (
            {"verdict": "NoPracticalEffect", "conditions": [said("Decided", "False", reason="Held")]},
            {},
            "nothing, until somebody says so: kubectl annotate xp ranker-v8 -n shop --overwrite slipway.dev/experiment='rollback', or 'promote ARM'.",
        ),
        ({}, {"suspend": True}, "it is suspended and every unit is at control; set spec.suspend to false to go on."),
        (
            {"traffic": RUNNING["traffic"] | {"step": 3}},
            {},
            "the last step of the ramp stays; a decision as soon as the interval allows one, at the latest 2026-11-30T10:00:00Z.",
        ),
    ],
)
def test_what_happens_next(changes: dict[str, Any], spec: dict[str, Any], expected: str, status: Any) -> None:
    _, lines, _ = status(RUNNING | changes, spec=spec)
    assert f"  Next: {expected}" in lines


def test_conditions_that_say_what_to_do(status: Any) -> None:
    told = (("Ready", "False"), ("Stalled", "True"), ("Recorded", "False"), ("Trusted", "True"), ("Admitted", "Unknown"))
    conditions = [said(of, value) for of, value in told]
    _, lines, _ = status(RUNNING | {"conditions": conditions})
    assert lines[-3:] == ["", "Recorded is False (Why): Recorded says so", "Stalled is True (Why): Stalled says so"]


def test_the_summary_stands_for_the_reason(status: Any) -> None:
    _, lines, _ = status(RUNNING | {"summary": "All of it."})
    assert lines[2] == "  All of it."


def test_the_same_for_machines(status: Any) -> None:
    code, lines, _ = status(RUNNING, "--json")
    told = json.loads("\n".join(lines))
    assert (code, told["experiment"], told["target"], told["status"]["traffic"]["slots"]) == (
        0,
        "shop/ranker-v8",
        "ranker",
        RUNNING["traffic"]["slots"],
    )


def test_an_object_of_another_version(status: Any) -> None:
    code, _, err = status(RUNNING | {"units": "many"})
    assert code == 2
    assert "shop/ranker-v8 is no Experiment as this slipway knows it: status.units: " in err


def test_a_file_without_it(run: Any, tmp_path: Path) -> None:
    (tmp_path / "xp.yaml").write_text("kind: ConfigMap\napiVersion: v1\n")
    assert run("status", "other", "-f", "xp.yaml")[0] == 2


def test_nobody_said_which(run: Any) -> None:
    assert run("status") == (2, "", "slipway: name an experiment (slipway experiment status NAME), or give its object (-f FILE)\n")
