"""The S3 server of the box as a test uses it: buckets and objects, with requests signed as Amazon says (signature version 4)."""

import datetime
import hashlib
import hmac
import http.client
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

_SERVICE = "s3"


@dataclass(frozen=True, kw_only=True)
class ObjectStore:
    """One S3 server and the keys that may do everything there."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket; one that is there already is as good."""
        status, answer = self._put(f"/{bucket}", b"")
        assert status in {http.HTTPStatus.OK, http.HTTPStatus.CONFLICT}, answer

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Write an object."""
        status, answer = self._put(f"/{bucket}/{quote(key)}", content)
        assert status == http.HTTPStatus.OK, answer

    def _put(self, path: str, content: bytes) -> tuple[int, str]:
        host = urlsplit(self.endpoint).netloc
        now = datetime.datetime.now(datetime.UTC)
        connection = http.client.HTTPConnection(host, timeout=20)
        try:
            connection.request("PUT", path, content, self._signed("PUT", host, path, content, now))
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def _signed(self, method: str, host: str, path: str, content: bytes, now: datetime.datetime) -> dict[str, str]:
        """The headers of AWS4-HMAC-SHA256: the canonical request is hashed, and the hash signed with a key made from date, region and service."""
        moment, day, digest = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d"), hashlib.sha256(content).hexdigest()
        headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": moment}
        names = ";".join(headers)
        canonical = "\n".join([method, path, "", *(f"{name}:{value}" for name, value in headers.items()), "", names, digest])
        scope = f"{day}/{self.region}/{_SERVICE}/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{self.secret_key}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
        return headers
