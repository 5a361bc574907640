"""The end of a router: nobody who is being served notices."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from router.harness import Load, Reply, Router, table
from slipway_router.nginx import configuration
from slipway_testing.kube import eventually

STOP = Path(configuration.HERE) / "stop"


def test_what_is_under_way_at_sigquit_is_finished(router: Router) -> None:
    pod = router.pod(lambda _: Reply(after_s=1))
    router.serve(table(), pods={"ranker-old": [pod]})
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(router.ask(x_user_id="u").status)) for _ in range(20)]
    for thread in threads:
        thread.start()
    eventually(lambda: pod.count == 20)
    router.quit()
    assert router.wait(5) == 0
    for thread in threads:
        thread.join()
    assert statuses == [200] * 20


@pytest.mark.parametrize("fallback", [None, {"revision": "ranker-before"}, {"response": {"status": 200, "contentType": "a/b", "body": ""}}])
def test_a_draining_router_ends_connections_with_their_answer(router: Router, fallback: object) -> None:
    pod = router.pod()
    router.serve(table(fallback=fallback), pods={"ranker-old": [pod], "ranker-before": [pod]})
    assert "connection" not in router.ask(x_user_id="u").headers or router.ask(x_user_id="u").headers["connection"] == "keep-alive"
    (router.folder / "draining").touch()
    eventually(lambda: router.ask(x_user_id="u").headers["connection"] == "close")
    answer = router.ask(x_user_id="u")
    assert (answer.status, answer.revision, answer.headers["connection"]) == (200, "ranker-old", "close")
    (router.folder / "draining").unlink()
    eventually(lambda: router.ask(x_user_id="u").headers["connection"] == "keep-alive")


def test_a_router_leaves_a_pair_under_load_and_nobody_notices(folder: Path) -> None:
    """As two pods behind a Service: new connections go to the other one from when the preStop hook begins."""
    folders = [folder / "one", folder / "two"]
    for each in folders:
        each.mkdir()
    with Router(folders[0]) as staying:
        pods = [staying.pod(lambda _: Reply(after_s=0.002)) for _ in range(2)]
        staying.serve(table(), pods={"ranker-old": pods})
        leaving = Router(folders[1], pod_http_port=staying.settings.pod_http_port)
        with leaving:
            leaving.serve(table(), pods={"ranker-old": pods})
            with Load(leaving.http_port, clients=6, next_port=staying.http_port) as load:
                load.until(300)
                environment = os.environ | {"SLIPWAY_RUN": str(folders[1]), "SLIPWAY_DRAIN_SECONDS": "1"}
                hook = subprocess.Popen([STOP], env=environment)
                load.withdraw()
                assert hook.wait(10) == 0
                load.until(300)
            assert leaving.wait(5) == 0
            assert (load.failures, set(load.statuses)) == ([], {200})


def test_a_fast_end_is_an_end(router: Router) -> None:
    router.serve(table(), pods={"ranker-old": [router.pod(lambda _: Reply(after_s=5))]})
    os.kill(router.master, signal.SIGTERM)
    assert router.wait(5) == 0
