"""What can go wrong, one class for each thing that somebody handles differently.

SlipwayError
├── CredentialsError          no usable way to reach the API server; the process cannot start
├── NameTaken                 an object of that name exists and is not ours: the user must act
├── NotLeading                this process may not write (any more): another one does
├── LedgerError               the ledger does not answer, or refuses: looks wait, units stay where they are
├── ApplyFight                another field manager undoes what is applied, again and again: say so, back off
└── ApiError                  the API server's answer to one request (or that there was none)
    ├── NotFound              the object, its namespace, or (``.kind_missing``) the whole kind is not there
    ├── AlreadyExists
    ├── Conflict              a precondition failed or a field belongs to somebody else: read again, retry
    ├── Gone                  the resourceVersion or continue token is too old: list again
    ├── Invalid               refused by schema, CEL, policy or a webhook's verdict: retrying cannot help
    ├── Forbidden             RBAC, or an admission plugin that says no without a class of its own here
    │   ├── QuotaExceeded         a ResourceQuota: helped by patience or an administrator
    │   └── NamespaceTerminating  nothing can be created any more: helped by nothing, harmless
    ├── Unauthorized          the credentials are not accepted
    ├── TooManyRequests       throttled (``.retry_after_s``)
    └── Unavailable           5xx, a timeout, a refused or reset connection, a webhook that did not answer: retry
"""

import re
from collections.abc import Mapping
from typing import Any

_MESSAGE_LIMIT = 2000
_USERINFO = re.compile(r"(?<=://)[^/\s@]+(?=@)")


class SlipwayError(Exception):
    """Everything this operator raises on purpose."""


class CredentialsError(SlipwayError):
    """There is no usable way to reach the API server. The message says which file was read and what is missing."""


class NameTaken(SlipwayError):
    """An object of the wanted name exists and its controller is not our owner; it is left alone.

    ``passing``: it belongs to an earlier object of our owner's name, which is deleted; the garbage collector will take it soon.
    """

    def __init__(self, *, kind: str, namespace: str, name: str, controller: str | None, passing: bool) -> None:
        where = f"{namespace}/{name}" if namespace else name
        if passing:
            message = f"{kind} {where} of the deleted {controller} of the same name is still there; waiting for its removal"
        else:
            held_by = f"belongs to {controller}" if controller else "has no controller"
            message = f"{kind} {where} already exists and {held_by}; delete it, or choose another name for what needs it"
        super().__init__(message)
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.controller = controller
        self.passing = passing


class NotLeading(SlipwayError):
    """A write was held back because the leader's lease is not ours, or no longer surely so."""


class LedgerError(SlipwayError):
    """The ledger does not answer, or refuses. The message is a sentence for the status of an object."""


class LedgerAbsent(LedgerError):
    """The ledger does not know the experiment: it was never registered, or its data are gone."""


class LedgerConflict(LedgerError):
    """The ledger has something else under that name or number."""


class ApplyFight(SlipwayError):
    """The same body had to be applied too often because others keep changing it back. ``managers`` names them."""

    def __init__(self, *, kind: str, namespace: str, name: str, managers: tuple[str, ...], times: int, window_s: float) -> None:
        others = ", ".join(managers) or "an unknown field manager"
        where = f"{namespace}/{name}" if namespace else name
        super().__init__(f"{kind} {where} was restored {times} times within {window_s:.0f} s and changed again by {others}")
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.managers = managers


class ApiError(SlipwayError):
    """One request failed.

    ``status`` is the HTTP status (0 when there was no answer), ``reason`` the API server's machine-readable word
    (``AlreadyExists``), ``details`` its ``details`` object. ``str(error)`` says verb, kind, object and what the server said.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "", details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.details: Mapping[str, Any] = details or {}


class NotFound(ApiError):
    """404."""

    @property
    def kind_missing(self) -> bool:
        """Whether the server does not know the kind at all, as before its CRD is installed."""
        return not self.details.get("name")


class AlreadyExists(ApiError):
    """409 from a create."""


class Conflict(ApiError):
    """A uid or resourceVersion precondition failed, or an apply without force met another manager's field. 409, mostly."""


class Gone(ApiError):
    """410: the history asked for is compacted away."""


class Invalid(ApiError):
    """The request itself is refused and will be refused again, word for word."""

    @property
    def fields(self) -> frozenset[str]:
        """The paths of the refused fields, where the server names them."""
        return frozenset(_causes(self.details))


class Forbidden(ApiError):
    """403."""


class QuotaExceeded(Forbidden):
    """403 by a ResourceQuota."""


class NamespaceTerminating(Forbidden):
    """403 because the namespace is being deleted."""


class Unauthorized(ApiError):
    """401."""


class TooManyRequests(ApiError):
    """429, after the client has already waited as often as it may. ``retry_after_s`` is what the server asked for."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 429,
        reason: str = "TooManyRequests",
        details: Mapping[str, Any] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, status=status, reason=reason, details=details)
        self.retry_after_s = retry_after_s


class Unavailable(ApiError):
    """The server, the network or a webhook is out of order for now."""


def from_answer(*, request: str, status: int, body: Mapping[str, Any] | str, retry_after_s: float | None = None) -> ApiError:
    """The error for an HTTP answer.

    ``request`` is what was tried (``apply InferenceService shop/ranker-1a2b``), ``body`` the ``Status`` object the server sent,
    or its text where it sent none.
    """
    answer: Mapping[str, Any] = body if isinstance(body, Mapping) else {"message": body}
    reason = str(answer.get("reason") or "")
    said = str(answer.get("message") or "").strip()
    details: Mapping[str, Any] = answer.get("details") or {}
    message = clean(f"{request}: {status} {reason}: {said}" if reason else f"{request}: {status}: {said}")
    if status == 429:
        return TooManyRequests(message, reason=reason, details=details, retry_after_s=retry_after_s)
    return _class_of(status=status, reason=reason, said=said, details=details)(message, status=status, reason=reason, details=details)


def without_answer(*, request: str, cause: BaseException) -> Unavailable:
    """The error for a request that got no answer: refused, reset, timed out."""
    said = str(cause) or type(cause).__name__
    return Unavailable(clean(f"{request}: no answer: {said}"))


def clean(text: str) -> str:
    """``text`` without user names and passwords in addresses, cut to a bounded length."""
    text = _USERINFO.sub("***", text)
    return text if len(text) <= _MESSAGE_LIMIT else text[: _MESSAGE_LIMIT - 1] + "…"


_BY_STATUS: Mapping[int, type[ApiError]] = {401: Unauthorized, 404: NotFound, 408: Unavailable, 410: Gone}


def _class_of(*, status: int, reason: str, said: str, details: Mapping[str, Any]) -> type[ApiError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status == 403:
        return _refusal(said=said, details=details)
    if status == 409:
        return AlreadyExists if reason == "AlreadyExists" else Conflict
    if _causes(details) == {"metadata.uid"}:  # an apply with a uid met another object of that name; answered with 422
        return Conflict
    if 400 <= status < 500:
        return Invalid
    return Invalid if _malformed(said) else Unavailable


def _refusal(*, said: str, details: Mapping[str, Any]) -> type[ApiError]:
    """Tell the 403s apart; admission plugins share one status and differ in their sentence."""
    if any(cause.get("reason") == "NamespaceTerminating" for cause in details.get("causes") or ()):
        return NamespaceTerminating
    if "exceeded quota:" in said:
        return QuotaExceeded
    if "denied the request" in said or "denied request" in said:  # a webhook's, a ValidatingAdmissionPolicy's verdict
        return Invalid
    return Forbidden


def _causes(details: Mapping[str, Any]) -> set[str]:
    """The fields that the server complains about."""
    return {str(cause.get("field")) for cause in details.get("causes") or ()}


def _malformed(said: str) -> bool:
    """Whether a 500 is about the request: server-side apply reports a body that does not fit the schema as InternalError."""
    return "failed to create typed patch object" in said
