"""Downloads a model before its server starts: ``storage_initializer.py URI FOLDER [URI FOLDER ...]``.

KServe's own library does the work. This entry point adds what a user sees when it fails: one line that says which URI, what is wrong and what
to do about it. The line is the last output and the container's termination message, and so ends up in the status of the InferenceService.
No line shows a password, a key or a signed query.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from kserve_storage.kserve_storage import Storage
from kserve_storage.logging import logger

TERMINATION_LOG: Final = Path("/dev/termination-log")
"""Where the kubelet reads a container's last words; it mounts the file also where the root file system is read-only."""

LONGEST: Final = 2000
"""The kubelet keeps 4096 bytes for all containers of a pod together with what it adds itself."""

SECRET_NAMES: Final = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|STORAGE_CONFIG", re.IGNORECASE)
"""Environment variables whose values are never shown."""

ACCOUNT: Final = "a Secret listed in the service account that spec.model.serviceAccountName names"

S3_PROBLEMS: Final[Mapping[str, str]] = {
    "NoSuchBucket": "the bucket does not exist at {endpoint}: correct the URI, or serving.kserve.io/s3-endpoint on the Secret",
    "InvalidAccessKeyId": f"{{endpoint}} does not know this access key: correct AWS_ACCESS_KEY_ID in {ACCOUNT}",
    "SignatureDoesNotMatch": f"the secret key does not belong to the access key: correct AWS_SECRET_ACCESS_KEY in {ACCOUNT}",
    "ExpiredToken": f"the credentials have expired: renew them in {ACCOUNT}",
    "AccessDenied": "access denied: allow s3:ListBucket on the bucket and s3:GetObject on its objects to this access key",
    "PermanentRedirect": "the bucket is in another region: set serving.kserve.io/s3-region on the Secret",
    "NoCredentials": f"there are no credentials: put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into {ACCOUNT}",
    "SSL": "the certificate of {endpoint} is not trusted: mount its authority with serving.kserve.io/s3-cabundle-configmap on the Secret",
    "Unreachable": "{endpoint} cannot be reached: check serving.kserve.io/s3-endpoint and s3-usehttps on the Secret, and network policies",
    "Empty": "there is no object under this path: correct the URI, or upload the model",
}
"""What to tell, by the store's error code or, where it never answered, by what stood in the way."""

S3_ALIASES: Final[Mapping[str, str]] = {
    "301": "PermanentRedirect",
    "403": "AccessDenied",
    "404": "NoSuchBucket",
    "AuthorizationHeaderMalformed": "PermanentRedirect",
    "XAdminUserNotFound": "InvalidAccessKeyId",  # versitygw, the store of the box
}


def main(arguments: Sequence[str]) -> int:
    """Download every pair; 0 when all are there, 1 after saying why one is not."""
    if not arguments or len(arguments) % 2:
        return fail("The storage initializer takes pairs of a URI and a folder; it was given " + (" ".join(arguments) or "nothing") + ".")
    logger.addFilter(_redact)
    for uri, folder in zip(arguments[::2], arguments[1::2], strict=True):
        try:
            Storage.download_files([uri], [folder])
        except Exception as error:
            return fail(f"The model at {uri} could not be downloaded: {problem(uri, error)}.")
        sys.stdout.write(shown(f"Downloaded {uri} to {folder}.\n"))
    return 0


def fail(sentence: str) -> int:
    """Say it, on one line, to whoever reads the log or the pod's status."""
    line = shown(" ".join(sentence.split()))[:LONGEST]
    sys.stderr.write(f"{line}\n")
    if TERMINATION_LOG.exists():
        TERMINATION_LOG.write_text(line, encoding="utf-8")
    return 1


def problem(uri: str, error: Exception) -> str:
    """What is wrong and what to do, without a full stop."""
    if isinstance(error, OSError) and error.errno is not None and error.filename:
        return f"{error.filename}: {error.strerror}"
    if uri.startswith("s3://"):
        told = s3_problem(uri)
        if told:
            return told
    return str(error).rstrip(". ")


def s3_problem(uri: str) -> str:
    """Ask the store once more, in a way that it answers with a reason; empty when it has no objection.

    KServe asks with HEAD, to which S3 gives a bare 403 or 404. A listing of one object is answered with a code.
    """
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    code, message = _s3_objection(bucket, prefix)
    told = S3_PROBLEMS.get(S3_ALIASES.get(code, code), message)
    return told.format(endpoint=os.environ.get("AWS_ENDPOINT_URL") or "Amazon S3")


def shown(text: str) -> str:
    """``text`` without passwords in URIs, signed queries, and the values of secret environment variables."""
    text = re.sub(r"(://)[^/@\s]+@", r"\1", text)
    text = re.sub(r"(/[^\s?]*)\?[^\s'\")]+", r"\1?…", text)
    for name, value in os.environ.items():
        if SECRET_NAMES.search(name) and len(value) > 3:
            text = text.replace(value, "…")
    return text


def _s3_objection(bucket: str, prefix: str) -> tuple[str, str]:
    """A key of S3_PROBLEMS or another code of the store's, and what the store says about it; both empty when it has no objection."""
    import boto3  # Only s3 needs it, and it takes a second to import.
    from botocore import exceptions

    try:
        found = boto3.client("s3", **Storage._get_s3_client_kwargs()).list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except exceptions.ClientError as refused:
        answer = refused.response["Error"]
        return str(answer["Code"]), f"the store answered {answer['Code']} ({answer.get('Message', 'no message')})"
    except exceptions.NoCredentialsError:
        return "NoCredentials", ""
    except exceptions.SSLError:
        return "SSL", ""
    except (exceptions.ConnectionError, exceptions.HTTPClientError, ValueError):  # ValueError: the endpoint is no URL
        return "Unreachable", ""
    except exceptions.BotoCoreError:  # The request itself is wrong, which the first error says better.
        return "", ""
    return ("", "") if found.get("KeyCount") else ("Empty", "")


def _redact(record: logging.LogRecord) -> bool:
    record.msg, record.args = shown(record.getMessage()), ()
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
