"""What a call of the SDK can end in, other than its answer.

ClientError
├── Unreachable       a read got no answer in time; ask again
├── Unknown           a write got no answer in time: it may have taken effect; look its identifier up
├── ExchangeProblem   the exchange answered with a problem (RFC 9457); nothing took effect
│   ├── Malformed 400 · Unauthenticated 401 · Forbidden 403 · NotFound 404 · Conflict 409
│   ├── TooLarge 413 · Unprocessable 422 · TooMany 429
│   └── Refused       422, on the record: carries the receipt of the refusal
├── LogEnded          the log ended with a signed note, and another one goes on from it
└── Untrusted         what the exchange said cannot be verified; keep it and show it to somebody
    ├── Unproven      a receipt, proof or file that does not hold
    └── Forked        two signed checkpoints that are not one history
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exchange.client.answers import Done
    from ledger.succession import Ended


class ClientError(Exception):
    """Base of everything that the SDK raises of its own."""


class Unreachable(ClientError):
    """No answer within the deadline. Nothing was at stake: only reads raise this."""


class Unknown(ClientError):
    """A write whose outcome is not known: no answer came in time, or it could not be verified in time.

    It may have taken effect, now or later. Ask `Exchange.lookup(identifier)`, or call again with the same
    arguments and the same identifier, which settles it: one identifier takes effect at most once.
    """

    def __init__(self, identifier: str, detail: str) -> None:
        super().__init__(f"{detail}; look up {identifier!r}, or send the same request again under it")
        self.identifier = identifier
        self.detail = detail


class LogEnded(ClientError):
    """The log that this client trusts has ended: its own key says so, and names the log that goes on from it.

    `ended` is what the verified `note` says: how far the log went, what of it is lost, why, and `ended.successor`, the verifier key
    to go on with once you have it from elsewhere too. Of a write: it may have taken effect, there; look it up there.
    """

    def __init__(self, ended: Ended, note: str) -> None:
        lost = f", {ended.lost} entries that were seen of it are lost" if ended.lost else ""
        super().__init__(
            f"the log {ended.origin} ended with {ended.size} entries{lost} ({ended.reason}); it goes on as"
            f" {ended.successor_origin}, under the key {ended.successor}"
        )
        self.ended = ended
        self.note = note


class ExchangeProblem(ClientError):
    """The exchange answered no.

    `code` is stable and machine-readable; `field`, `rule` and `remedy` are None where they do not apply. Where two are related,
    and that is the reason, `path` tells how, step by step.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", f"http.{status}"))
        self.detail = str(problem.get("detail", problem.get("title", "no detail")))
        self.field, self.rule, self.remedy = (
            None if problem.get(name) is None else str(problem[name]) for name in ("field", "rule", "remedy")
        )
        steps = problem.get("path")
        self.path: list[Mapping[str, str]] = steps if isinstance(steps, list) else []
        super().__init__(f"{self.code}: {self.detail}" + (f" ({self.remedy})" if self.remedy else ""))


class Malformed(ExchangeProblem):
    """400: the request cannot be read."""


class Unauthenticated(ExchangeProblem):
    """401: nobody known is calling."""


class Forbidden(ExchangeProblem):
    """403: not allowed to this caller."""


class NotFound(ExchangeProblem):
    """404: no such thing, or none that this caller may see."""


class Conflict(ExchangeProblem):
    """409: the thing is not in a state that allows this."""


class TooLarge(ExchangeProblem):
    """413: over a stated limit."""


class Unprocessable(ExchangeProblem):
    """422: read, understood, against a rule."""


class TooMany(ExchangeProblem):
    """429: over this caller's limit."""


class Refused(Unprocessable):
    """Refused on the record: the refusal is an entry of the log, and `done` holds its verified receipt."""

    def __init__(self, problem: Mapping[str, Any], done: Done) -> None:
        super().__init__(422, problem)
        self.done = done
        self.receipt = done.receipt


class Untrusted(ClientError):
    """The exchange said something that does not verify: its answer must not be relied on."""


class Unproven(Untrusted):
    """A receipt, a proof or a file that does not hold; `field` says which part of it."""

    def __init__(self, detail: str, *, field: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.detail = detail
        self.field = field


class Forked(Untrusted):
    """The log showed two histories, or took back a part of one.

    `seen` and `shown` are signed notes. Where both verify and no consistency proof joins them, they convict
    the exchange before anybody: keep them.
    """

    def __init__(self, detail: str, *, seen: str, shown: str) -> None:
        super().__init__(f"{detail}. Keep both checkpoints as evidence:\n{seen}\n{shown}")
        self.detail = detail
        self.seen = seen
        self.shown = shown


_BY_STATUS: dict[int, type[ExchangeProblem]] = {
    400: Malformed,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: Unprocessable,
    429: TooMany,
}


def problem_of(status: int, problem: Mapping[str, Any]) -> ExchangeProblem:
    """The error for an answered problem, by its HTTP status."""
    return _BY_STATUS.get(status, ExchangeProblem)(status, problem)
