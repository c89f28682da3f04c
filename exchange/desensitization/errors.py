"""Why a table, a policy or an authorization is refused; each is an exchange error with its status."""

from __future__ import annotations

from exchange.errors import Conflict, Malformed, TooLarge, Unavailable, Unprocessable


class UnreadableTable(Malformed):
    """The bytes are not the table that they claim to be."""

    def __init__(self, detail: str, *, field: str = "file", rule: str, remedy: str) -> None:
        super().__init__("desensitization.unreadable", detail, field=field, rule=rule, remedy=remedy)


class TableTooLarge(TooLarge):
    """A limit that is set before anything is parsed, or the child's own memory or time, was passed."""

    def __init__(self, detail: str, *, field: str = "file", rule: str, remedy: str) -> None:
        super().__init__("desensitization.too_large", detail, field=field, rule=rule, remedy=remedy)


class PolicyRefused(Unprocessable):
    """The policy cannot be read, contradicts itself or does not fit the table."""

    def __init__(self, detail: str, *, field: str, rule: str, remedy: str) -> None:
        super().__init__("desensitization.policy", detail, field=field, rule=rule, remedy=remedy)


class NotAuthorized(Conflict):
    """The authorization is for another table, another policy or nothing at all."""

    def __init__(self, detail: str, *, field: str, rule: str, remedy: str) -> None:
        super().__init__("desensitization.not_authorized", detail, field=field, rule=rule, remedy=remedy)


class NotReached(Unprocessable):
    """The policy, applied, leaves more risk than it promises; no product is written."""

    def __init__(self, detail: str, *, field: str, rule: str, remedy: str) -> None:
        super().__init__("desensitization.not_reached", detail, field=field, rule=rule, remedy=remedy)


class MeasurementFailed(Unavailable):
    """The measuring process itself broke; nothing is known about the table."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            "desensitization.measurement_failed", detail, remedy="try again; keep the file for the operator"
        )
