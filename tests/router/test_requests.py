"""A request's way to a pod and back."""

import re

import pytest

from router.harness import Reply, Router, Seen, split, table

INFER = "/v2/models/ranker/infer"


def test_a_request_reaches_the_pod_and_is_told_who_answered(router: Router) -> None:
    pod = router.pod(lambda seen: Reply(body=seen.body[::-1], headers={"inference-header-content-length": "3"}))
    router.serve(table(), pods={"ranker-old": [pod]})
    answer = router.ask(
        body=b"abc", x_user_id="u1", x_request_id="my own", inference_header_content_length="2", content_type="application/octet-stream"
    )
    assert (answer.status, answer.body) == (200, b"cba")
    told = {name: answer.headers[name] for name in ("x-slipway-revision", "x-slipway-role", "x-request-id", "inference-header-content-length")}
    expected = {"x-slipway-revision": "ranker-old", "x-slipway-role": "Stable", "x-request-id": "my own", "inference-header-content-length": "3"}
    assert told == expected
    seen = pod.seen[0]
    assert (seen.method, seen.path, seen.body) == ("POST", INFER, b"abc")
    passed = [seen.headers.get(name) for name in ("x-user-id", "x-request-id", "inference-header-content-length", "content-type")]
    assert passed == ["u1", "my own", "2", "application/octet-stream"]


@pytest.mark.parametrize("given", [None, "", "x" * 129, "Zo\xeb", "tab\there"])
def test_a_request_id_that_is_none_is_made_anew(router: Router, given: str | None) -> None:
    pod = router.pod()
    router.serve(table(), pods={"ranker-old": [pod]})
    answer = router.ask() if given is None else router.ask(x_request_id=given)
    made = answer.headers["x-request-id"]
    assert re.fullmatch(rf"0-{router.workers[0]}-\d+-1", made)
    assert pod.seen[0].headers["x-request-id"] == made


@pytest.mark.parametrize(
    "path", ["/v2/models/ranker", "/v2/models/ranker/ready", "/v2/models/ranker/config", "/v2/models/ranker/versions/1/stats", "/v2"]
)
def test_metadata_comes_from_a_pod_and_is_not_counted(router: Router, path: str) -> None:
    pod = router.pod()
    router.serve(table(), pods={"ranker-old": [pod]})
    assert (router.ask("GET", path).status, pod.seen[0].path) == (200, path)
    assert (router.taken()["cells"], router.taken()["totals"]) == ([], [])


@pytest.mark.parametrize("host", ["ranker", "ranker.shop", "RANKER.shop.svc", "ranker.shop.svc.cluster.local", "ranker.shop:8080"])
def test_server_paths_go_by_host(router: Router, host: str) -> None:
    other = table(model="sorter", revisions=[{"name": "sorter-old", "role": "Stable"}])
    router.serve(table(), other, pods={"ranker-old": [router.pod()], "sorter-old": []})
    assert [router.ask("GET", path, host=host).status for path in ("/v2", "/v2/health/live", "/v2/health/ready")] == [200, 200, 200]
    not_ready = router.ask("GET", "/v2/health/ready", host="sorter.shop")
    assert (not_ready.status, not_ready.headers["retry-after"]) == (503, "1")
    assert not_ready.json == {"error": "sorter is not ready: no pod of its stable revision is"}
    assert router.ask("GET", "/v2/health/live", host="sorter").status == 200
    unknown = router.ask("GET", "/v2/health/ready", host="ranker.other.svc")
    assert (unknown.status, unknown.json) == (404, {"error": "no model ranker.other.svc is served here: check the name of the ModelDeployment"})


def test_health_is_told_as_the_protocol_describes_it(router: Router) -> None:
    """KServe's client reads the body."""
    router.serve(table(), pods={"ranker-old": [router.pod()]})
    assert [router.ask("GET", f"/v2/health/{what}", host="ranker").json for what in ("live", "ready")] == [{"live": True}, {"ready": True}]
    head = router.raw(b"HEAD /v2/health/ready HTTP/1.1\r\nHost: ranker\r\nConnection: close\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert head.endswith(b"\r\n\r\n")


def test_any_host_is_that_of_the_only_model(router: Router) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod()]})
    assert router.ask("GET", "/v2/health/ready", host="models.example.com").status == 200


def test_before_the_first_tables_the_answer_is_to_come_again(router: Router) -> None:
    answer = router.ask()
    assert (answer.status, answer.headers["retry-after"], answer.json) == (503, "1", {"error": "this router has no route tables yet: try again"})


def test_a_model_that_was_never_ready(router: Router) -> None:
    router.serve(table(revisions=[], slots=[]), pods={})
    answer = router.ask(x_user_id="u1")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.json == {"error": "ranker has no revision that was ever ready: see the status of its ModelDeployment"}
    assert router.ask("GET", "/v2").status == 503


def test_a_revision_without_pods(router: Router) -> None:
    router.serve(table(), pods={})
    answer = router.ask(x_user_id="u1")
    assert (answer.status, answer.headers["retry-after"], answer.json) == (503, "1", {"error": "ranker-old of ranker has no ready pod: try again"})
    assert router.taken()["totals"] == [["ranker", 7, "ranker-old", "Stable", "http", "noPods", 1]]


def test_a_body_that_comes_in_chunks_is_passed_on_whole(router: Router) -> None:
    pod = router.pod()
    router.serve(table(), pods={"ranker-old": [pod]})
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    answer = router.raw(head + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert (pod.seen[0].body, pod.seen[0].headers["content-length"]) == (b"hello world", "11")


def test_a_large_body_and_a_large_answer(router: Router) -> None:
    pod = router.pod(lambda seen: Reply(body=seen.body * 2))
    router.serve(table(limits={"bodyBytes": 1 << 26, "pendingPerPod": 128}), pods={"ranker-old": [pod]})
    body = bytes(range(256)) * 40_000
    assert router.ask(body=body, content_type="application/octet-stream").body == body * 2


def test_two_models_and_two_protocol_paths_do_not_mix(router: Router) -> None:
    here, there = router.pod(), router.pod()
    sorter = table(model="sorter", revisions=[{"name": "sorter-old", "role": "Stable"}])
    router.serve(table(), sorter, pods={"ranker-old": [here], "sorter-old": [there]})
    answers = [router.ask(path=f"/v2/models/{model}/infer", x_user_id="u").revision for model in ("ranker", "sorter", "ranker")]
    assert (answers, here.count, there.count) == (["ranker-old", "sorter-old", "ranker-old"], 2, 1)


def test_headers_of_the_routers_own_cannot_be_brought_by_a_pod(router: Router) -> None:
    def lies(_: Seen) -> Reply:
        return Reply(headers={"x-slipway-revision": "mine", "x-slipway-role": "King"})

    router.serve(split(10000), pods={"ranker-new": [router.pod(lies)]})
    answer = router.ask(x_user_id="u")
    assert (answer.revision, answer.headers["x-slipway-role"]) == ("ranker-new", "Candidate")


def test_no_request_is_remembered_after_its_end(router: Router) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod()]})
    for _ in range(20):
        router.ask(x_user_id="u")
        router.ask("GET", "/nowhere")
        router.raw(b"nonsense\r\n\r\n")
    assert router.control("GET", "/healthz").json == {"underway": 0}
    assert router.taken()["pending"] == {"ranker-old": 0}
