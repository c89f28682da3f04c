"""The error tree: what an act can be undone by, each with its HTTP status and a stable code.

ExchangeError
├── Malformed         400  the request cannot be read
├── Unauthenticated   401  nobody known is calling
├── Forbidden         403  the caller may not do this
├── NotFound          404  no such thing, or none that the caller may see
├── Conflict          409  the thing is not in a state that allows this
│   └── NotYet             it will be, by itself: ask again after `retry_after_s`
├── PreconditionFailed 412 the thing is no more what the caller saw
├── TooLarge          413  over a stated limit
├── Unprocessable     422  read, understood, against a rule
├── TooMany           429  over the caller's limit: ask again after `retry_after_s`
├── Unavailable       503  try again after `retry_after_s`
└── Misconfigured      -   the operator has to change a setting; ends the process with exit status 2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ExchangeError(Exception):
    """An act that is undone whole; nothing of it stays.

    `code` is stable and machine-readable, `detail` says what happened, `field` where, `rule` which rule
    (with its clause where one stands behind it) and `remedy` what the caller can do.
    """

    status = 500
    title = "Internal error"

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        rule: str | None = None,
        remedy: str | None = None,
        path: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.rule = rule
        self.remedy = remedy
        self.path = path
        """How two are related, step by step, where that is the reason."""

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 problem object; members that do not apply are absent."""
        members: dict[str, Any] = {
            "type": f"urn:data-asset-exchange:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        for name, value in (("field", self.field), ("rule", self.rule), ("remedy", self.remedy)):
            if value is not None:
                members[name] = value
        if self.path:
            members["path"] = [dict(step) for step in self.path]
        return members


class Malformed(ExchangeError):
    status = 400
    title = "The request cannot be read"


class Unauthenticated(ExchangeError):
    status = 401
    title = "Nobody known is calling"


class Forbidden(ExchangeError):
    status = 403
    title = "Not allowed to this caller"


class NotFound(ExchangeError):
    status = 404
    title = "Not found"


class Conflict(ExchangeError):
    status = 409
    title = "Not possible in this state"


class NotYet(Conflict):
    title = "Not possible yet"

    def __init__(self, code: str, detail: str, *, retry_after_s: int, rule: str, remedy: str) -> None:
        super().__init__(code, detail, rule=rule, remedy=remedy)
        self.retry_after_s = retry_after_s


class PreconditionFailed(ExchangeError):
    status = 412
    title = "Changed since it was read"


class TooLarge(ExchangeError):
    status = 413
    title = "Over the limit"


class Unprocessable(ExchangeError):
    status = 422
    title = "Against a rule"


class TooMany(ExchangeError):
    status = 429
    title = "Over the caller's limit"

    def __init__(self, code: str, detail: str, *, retry_after_s: int, rule: str) -> None:
        super().__init__(code, detail, rule=rule, remedy=f"ask again after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Unavailable(ExchangeError):
    status = 503
    title = "Not available now"

    def __init__(self, code: str, detail: str, *, retry_after_s: int = 1, remedy: str | None = None) -> None:
        super().__init__(code, detail, remedy=remedy or f"try again after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Misconfigured(ExchangeError):
    title = "A setting has to be changed"
