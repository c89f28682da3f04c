"""Wire shapes of the demand board."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints, computed_field

from exchange.messages.outcomes import Outcome
from exchange.messages.shapes import Digest, Identifier, Message, Purpose, Whole, Words
from exchange.messages.tenders import Said
from exchange.messages.views import View

STATES = {
    "open": ("征集中", "open"),
    "expired": ("已到期", "over"),
    "withdrawn": ("已撤回", "taken off"),
}


class DemandMessage(Message):
    """What you want, for which purpose, for a price between two amounts and for how long; it stands for `open_days`."""

    subject: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    purpose: Purpose = ""
    low_fen: Whole = 0
    high_fen: Whole
    term_days: Whole
    open_days: Whole


class DemandAnswerMessage(Message):
    """An asset of yours, its listing where it is on offer, and words for everybody."""

    asset: Identifier
    words: Words
    listing: Identifier | None = None


class DemandView(View):
    """A want on the board."""

    id: str
    buyer: str
    subject: str | None
    purpose: str
    low_fen: Whole
    high_fen: Whole
    term_days: Whole
    state: Literal["open", "expired", "withdrawn"]
    time_us: Whole
    until_us: Whole
    log_index: Whole

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def words(self) -> Said:
        """Whether the want stands."""
        zh, en = STATES[self.state]
        return Said(zh=zh, en=en)


class DemandAnswerView(View):
    """What a department has of it."""

    supplier: str
    asset: str
    asset_title: str
    listing: str | None
    words: str | None
    time_us: Whole
    index: Whole


class DemandDetail(DemandView):
    """A want with its answers, the oldest first."""

    answers: list[DemandAnswerView]


class DemandPosted(Outcome):
    """The want is on the board until `until_us`."""

    id: str
    buyer: str
    subject: Digest
    purpose: str
    low_fen: Whole
    high_fen: Whole
    term_days: Whole
    open_days: Whole
    until_us: Whole


class DemandAnswered(Outcome):
    """The buyer is told, and everybody may read it."""

    demand: str
    supplier: str
    asset: str
    listing: str | None
    words: Digest


class DemandWithdrawn(Outcome):
    """The want is off the board."""

    demand: str
