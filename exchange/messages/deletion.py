"""Wire shapes of the certificate of deletion at the end of a licence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from exchange.messages.outcomes import Outcome
from exchange.messages.shapes import Digest, Message, Whole
from exchange.messages.views import View

Method = Literal["clear", "purge", "crypto_erase", "destroy"]
"""How data are deleted (NIST SP 800-88 Rev. 1)."""


class DeletionMessage(Message):
    """Who deleted the data and every copy of it, by which method; person and statement stay sealed."""

    person: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    method: Method
    statement: Annotated[str, StringConstraints(max_length=2000)] = ""


class DeletionView(View):
    """A buyer's duty to delete what it licensed when the term ends; `overdue` where it is not declared until `due_us`."""

    licence: str
    asset: str
    buyer: str
    seller: str
    state: Literal["running", "due", "declared"]
    ends_us: Whole
    due_us: Whole
    overdue: bool
    person: str | None
    method: str | None
    statement: str | None
    declared_us: Whole | None
    log_index: Whole


class DeletionDue(Outcome):
    """The term of a licence is over: its buyer deletes the data until `due_us`."""

    licence: str
    asset: str
    due_us: Whole


class DeletionDeclared(Outcome):
    """The certificate of deletion; person and statement are sealed, `late` where the time for it was over."""

    licence: str
    asset: str
    method: str
    late: bool
    person: Digest
    statement: Digest
