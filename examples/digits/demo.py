"""`make demo`: a cluster, Slipway on it, a trained model behind an address, 360 predictions; a good and a bad rollout, while users ask; then a model
whose features come from Redis; then an experiment that promotes the better of two models by itself.

Standard library only, like the box: it runs before anything is installed. Every step can be run again on top of itself.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
RANKER = HERE.parent / "ranker"
sys.path[:0] = [str(REPOSITORY / "box"), str(HERE), str(RANKER)]

import experiments  # noqa: E402
import rollouts  # noqa: E402
import shop_features  # noqa: E402

from slipway_box import clusters, environments, installation, on_box, redis  # noqa: E402
from slipway_box.errors import BoxError  # noqa: E402
from slipway_box.progress import step  # noqa: E402

BUILD = REPOSITORY / "build"
NAMESPACE = "slipway-demo"
MODEL = "digits"


class Demo:
    """The steps, in the order of ``run``."""

    def __init__(self) -> None:
        self._cluster = clusters.chosen()

    def run(self, *, everything: bool) -> None:
        """All of it, or only up to the first predictions."""
        self._cluster.up()
        installation.install(self._cluster)
        self._train()
        self._store()
        self._deploy()
        self._predict()
        if everything:
            self._roll_out()
            self._serve_features()
            self._experiment()
        self._say_what_next()

    def _train(self) -> None:
        python = environments.need("examples") / "bin/python"
        with step("training a classifier on scikit-learn's digits", usual_s=8):
            self._run(str(python), str(HERE / "train.py"), str(BUILD / "digits"))

    def _store(self) -> None:
        with step("storing the model in the cluster's volume models", usual_s=5):
            self._kubectl("apply", "--server-side", "-f", str(HERE / "storage.yaml"))
            self._kubectl("wait", "--for=condition=Ready", "pod/uploader", f"--namespace={NAMESPACE}", "--timeout=120s")
            model, robust = ((BUILD / f"digits/{name}.onnx").read_bytes() for name in ("model", "robust"))
            for path, content in (("1/model.onnx", model), ("2/model.onnx", model), ("3/model.py", rollouts.BROKEN), ("4/model.onnx", robust)):
                folder = f"/models/digits/{path.partition('/')[0]}"
                # Written beside and moved into place: nobody ever reads half a model.
                write = f"mkdir -p {folder} && cat > {folder}/.new && mv {folder}/.new /models/digits/{path}"
                self._kubectl("exec", "--stdin", "uploader", f"--namespace={NAMESPACE}", "--", "sh", "-c", write, stdin=content)

    def _deploy(self) -> None:
        with step("waiting for examples/digits/modeldeployment.yaml to be Ready", usual_s=25):
            self._kubectl("apply", "--server-side", "-f", str(HERE / "modeldeployment.yaml"))
            try:
                self._kubectl("wait", "--for=condition=Ready", f"mdep/{MODEL}", f"--namespace={NAMESPACE}", "--timeout=180s")
            except BoxError as error:
                why = self._kubectl(
                    "get", "mdep", MODEL, f"--namespace={NAMESPACE}", "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].message}"
                )
                raise BoxError(f"ModelDeployment {NAMESPACE}/{MODEL} is not Ready: {why or error}") from error

    def _predict(self) -> None:
        heldout = json.loads((BUILD / "digits/heldout.json").read_text())
        with self._endpoint() as (host, port):
            answers = [predict(host, port, image) for image in heldout["images"]]
        right = sum(answer.label == label for answer, label in zip(answers, heldout["labels"], strict=True))
        milliseconds = sorted(answer.seconds * 1000 for answer in answers)
        p50, p95 = statistics.median(milliseconds), milliseconds[int(len(milliseconds) * 0.95)]
        print()
        print(f"accuracy: {right / len(answers):.3f} ({right} of {len(answers)})")
        print(f"latency, one image a request, one client: p50 {p50:.1f} ms, p95 {p95:.1f} ms")
        print()
        print(self._kubectl("get", "mdep", f"--namespace={NAMESPACE}"))

    def _roll_out(self) -> None:
        """A model as good as the one that serves, then one that fails for every fifth request."""
        image = json.loads((BUILD / "digits/heldout.json").read_text())["images"][0]
        with self._endpoint() as (host, port):
            for number, format_, told in ((2, "onnx", "a good model"), (3, "python", "a model that fails for every fifth request")):
                print(f"\nRolling out {told}, digits/{number}, to {rollouts.USERS} users who go on asking:")
                with rollouts.asking(host, port, f"/v2/models/{MODEL}/infer", image) as users:
                    try:
                        promoted = rollouts.play(self._apply, self._status, users, model={"uri": f"pvc://models/digits/{number}", "format": format_})
                    except TimeoutError as error:
                        raise BoxError(f"{error}; see kubectl describe mdep {MODEL} -n {NAMESPACE}") from error
                if promoted != (number == 2):
                    raise BoxError(f"digits/{number} was {'promoted' if promoted else 'rolled back'}, which it should not have been")
        print()
        print(self._kubectl("get", "mdep", f"--namespace={NAMESPACE}"))

    def _serve_features(self) -> None:
        """A model whose requests name a user, and whose features of that user come from Redis."""
        if not isinstance(self._cluster, on_box.OnBox):
            print("\nThe model with features is left out: the demo has a Redis on the box only.")
            return
        box = self._cluster.box
        box.start(redis.NAME)
        with step("having Feast define, materialise and join features, and training on them", usual_s=30):
            model = shop_features.train(BUILD / "ranker", redis=redis.url(box.site))
        with step("waiting for examples/ranker/modeldeployment.yaml to be Ready", usual_s=25):
            write = "mkdir -p /models/ranker/1 && cat > /models/ranker/.new && mv /models/ranker/.new /models/ranker/1/model.onnx"
            self._kubectl("exec", "--stdin", "uploader", f"--namespace={NAMESPACE}", "--", "sh", "-c", write, stdin=model.read_bytes())
            self._kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(redis.service(box.site, namespace=NAMESPACE)).encode())
            self._kubectl("apply", "--server-side", "-f", str(RANKER / "modeldeployment.yaml"))
            self._kubectl("wait", "--for=condition=Ready", "mdep/ranker", f"--namespace={NAMESPACE}", "--timeout=180s")
        print("\nA model of clicks, which knows users by features that Feast keeps in Redis:")
        with self._endpoint("ranker") as (host, port):
            for user, price in ((7, 5.0), (7, 95.0), (35, 5.0), (7, -5.0)):
                status, said = infer(host, port, "ranker", [tensor("user_id", "INT64", [user]), tensor("price", "FP32", [price])])
                outputs = {output["name"]: output["data"][0] for output in said.get("outputs", ())}
                told = f"{outputs['probabilities_labels']}, {outputs['probabilities_scores']:.3f}" if outputs else json.dumps(said)
                print(f"  user {user}, price {price:5.1f}  ->  {status}  {told}")
        print()
        print(self._kubectl("get", "mdep", f"--namespace={NAMESPACE}"))

    def _experiment(self) -> None:
        """Faint scans: the model that serves against one that was trained on such, by what users got of it."""
        self._apply({"model": {"uri": "pvc://models/digits/2", "format": "onnx"}, "traffic": rollouts.TRAFFIC})
        self._kubectl("wait", "--for=condition=Ready", f"mdep/{MODEL}", f"--namespace={NAMESPACE}", "--timeout=180s")
        self._kubectl("delete", "xp", "digits-v4", f"--namespace={NAMESPACE}", "--ignore-not-found")
        self._kubectl("apply", "--server-side", "-f", str(HERE / "experiment.yaml"))
        print("\nAn experiment, examples/digits/experiment.yaml, while readers send faint scans:")
        token = self._kubectl("create", "token", "default", "--audience=slipway-ledger", f"--namespace={NAMESPACE}")
        heldout = json.loads((BUILD / "digits/heldout.json").read_text())
        with self._endpoint() as model, self._endpoint("slipway-ledger", namespace="slipway-system", port=8080) as ledger:
            readers = experiments.Readers(model, ledger, token=token, service=f"{NAMESPACE}/{MODEL}", name=MODEL, scans=heldout)
            try:
                with readers:
                    over = experiments.watch(self._experiment_status)
            except TimeoutError as error:
                raise BoxError(f"{error}; see kubectl describe xp digits-v4 -n {NAMESPACE}") from error
        print(f"   {over['decision']['message']}")
        for arm in over["arms"]:
            asked, read = readers.asked[arm["revision"]], readers.read[arm["revision"]]
            print(f"   {arm['name']:8} read {read / max(asked, 1):.1%} of {asked} scans right")
        print(f"   failed requests: {sum(readers.failures.values()) or 'none'}")
        print()
        print(self._kubectl("get", "mdep,xp", f"--namespace={NAMESPACE}"))
        if over["verdict"] != "Won":
            raise BoxError(f"the experiment ended with {over['verdict']}, and v4 should have won")

    def _experiment_status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._kubectl("get", "xp", "digits-v4", f"--namespace={NAMESPACE}", "-o", "json"))
        return found.get("status") or {}

    def _apply(self, changes: dict[str, Any]) -> None:
        """examples/digits/modeldeployment.yaml with another model, as its owner would apply it."""
        written = json.loads(self._kubectl("create", "--dry-run=client", "-o", "json", "-f", str(HERE / "modeldeployment.yaml")))
        written["spec"]["model"] |= changes["model"]
        written["spec"]["traffic"] = changes["traffic"]
        self._kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(written).encode())

    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self._kubectl("get", "mdep", MODEL, f"--namespace={NAMESPACE}", "-o", "json"))["status"]
        return status

    @contextmanager
    def _endpoint(self, name: str = MODEL, *, namespace: str = NAMESPACE, port: int = 80) -> Iterator[tuple[str, int]]:
        """Where this machine reaches a Service: its own address on the box, a forwarded port elsewhere."""
        if os.environ.get("CLUSTER", "box") == "box":
            address = self._kubectl("get", "service", name, f"--namespace={namespace}", "-o", "jsonpath={.spec.clusterIP}")
            yield address, port
            return
        command = self._cluster.kubectl("port-forward", f"service/{name}", f":{port}", f"--namespace={namespace}")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
            try:
                assert forwarding.stdout is not None  # noqa: S101 - it is a pipe
                said = forwarding.stdout.readline()  # Forwarding from 127.0.0.1:40123 -> 8080
                yield "127.0.0.1", int(said.split(" -> ")[0].rsplit(":", 1)[1])
            finally:
                forwarding.terminate()

    def _say_what_next(self) -> None:
        print(
            "What to try next:\n"
            "  alias kubectl=box/box\\ kubectl\n"
            "  kubectl explain mdep.spec.serving\n"
            f"  kubectl get mdep {MODEL} -n {NAMESPACE} -o yaml\n"
            f"  kubectl get xp digits-v4 -n {NAMESPACE} -o yaml\n"
            f'  kubectl patch mdep {MODEL} -n {NAMESPACE} --type merge -p \'{{"spec":{{"serving":{{"replicas":{{"min":2}}}}}}}}\'\n'
            "  make clean        # takes the cluster down and leaves nothing behind"
        )

    def _kubectl(self, *arguments: str, stdin: bytes | None = None) -> str:
        return self._run(*self._cluster.kubectl(*arguments), stdin=stdin)

    @staticmethod
    def _run(*command: str, stdin: bytes | None = None) -> str:
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        if done.returncode:
            raise BoxError(f"{Path(command[0]).name} {' '.join(command[1:4])} failed: {(done.stderr or done.stdout).decode().strip()[-2000:]}")
        return done.stdout.decode().rstrip()


class Answer:
    """One prediction: the digit and how long it took."""

    def __init__(self, *, label: int, seconds: float) -> None:
        self.label = label
        self.seconds = seconds


def predict(host: str, port: int, image: list[float]) -> Answer:
    """Ask the digits about one image."""
    started = time.perf_counter()
    status, said = infer(host, port, MODEL, [tensor("x", "FP32", image)], outputs=[{"name": "label"}])
    if status != http.HTTPStatus.OK:
        raise BoxError(f"the endpoint answered {status}: {said}")
    return Answer(label=int(said["outputs"][0]["data"][0]), seconds=time.perf_counter() - started)


def tensor(name: str, datatype: str, row: list[float]) -> dict[str, Any]:
    """One row of an input, in the Open Inference Protocol."""
    return {"name": name, "datatype": datatype, "shape": [1, len(row)], "data": row}


def infer(host: str, port: int, model: str, inputs: list[dict[str, Any]], **more: Any) -> tuple[int, dict[str, Any]]:
    """Status and body of one answer."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    try:
        connection.request("POST", f"/v2/models/{model}/infer", json.dumps({"inputs": inputs} | more), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except OSError as error:
        raise BoxError(f"http://{host}:{port} does not answer ({error}): see kubectl get mdep,pods -n {NAMESPACE}") from error
    finally:
        connection.close()


def main() -> int:
    """Run the demo; what cannot be done is one sentence, not a traceback."""
    try:
        Demo().run(everything="--only-predictions" not in sys.argv[1:])
    except BoxError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; the same command continues where this one stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
