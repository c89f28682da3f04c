"""Whether a party may act now: admitted, not suspended, not stopped by itself; and which parties hold money."""

from __future__ import annotations

from exchange.errors import Forbidden
from exchange.tables import Party

TRADERS = frozenset(("supplier", "buyer", "operator"))
"""Roles whose parties hold money."""


def require_active(party: Party) -> None:
    """Refuse an act of a party that is not admitted yet, is suspended, or stopped itself."""
    if party.stopped:
        raise Forbidden(
            "party.stopped",
            "this party has stopped its trading",
            field="party",
            rule="a party that pulled its kill switch, or missed its heartbeat, does nothing until it resumes",
            remedy="resume with a key that may manage, once you know why it stopped",
        )
    if party.state == "applicant":
        raise Forbidden(
            "party.applicant",
            "this party is not admitted yet",
            field="party",
            rule="an applicant does not trade until its documents are accepted",
            remedy="file them, and have an administrator review them",
        )
    if party.state != "active":
        raise Forbidden(
            "party.suspended",
            "this party is suspended",
            field="party",
            rule="a suspended party does not trade",
            remedy="ask the regulator for the reason",
        )
