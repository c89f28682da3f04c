"""Wire shapes of ratings: stars on four axes, public scores, replies."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from exchange.messages.outcomes import Outcome
from exchange.messages.shapes import Digest, Message, Whole, Words
from exchange.messages.views import View

Star = Annotated[Whole, Field(ge=1, le=5, examples=["4"])]


class RatingMessage(Message):
    """One to five stars on each axis, and a few words."""

    coverage: Star
    maturity: Star
    effect: Star
    accuracy: Star
    text: Annotated[str, Field(max_length=2000)] = ""


class ReplyMessage(Message):
    """What a department says to a rating."""

    text: Words


class RatingScoreView(View):
    """All stars on one axis: how many gave one, two, up to five; the mean in hundredths of a star, null where nobody rated."""

    count: Whole
    distribution: list[Whole]
    mean_hundredths: Whole | None


class ScoresView(View):
    """The scores on the four axes."""

    coverage: RatingScoreView
    maturity: RatingScoreView
    effect: RatingScoreView
    accuracy: RatingScoreView


class RatingView(View):
    """One rating, and the department's reply; who rated is nobody's to see."""

    rating: str
    coverage: Whole
    maturity: Whole
    effect: Whole
    accuracy: Whole
    text: str
    log_index: Whole
    rated_us: Whole
    changed_us: Whole | None
    reply: str | None
    replied_us: Whole | None


class AssetRatings(View):
    """The scores of an asset, and a page of its ratings."""

    asset: str
    scores: ScoresView
    ratings: list[RatingView]


class DepartmentRatings(View):
    """The scores of all that a department sold."""

    department: str
    name: str
    scores: ScoresView


class AssetRated(Outcome):
    """A voucher holder's rating; `previous` is the entry that it takes the place of. The text is sealed."""

    rating: str
    asset: str
    licence: str
    trade: str
    coverage: Whole
    maturity: Whole
    effect: Whole
    accuracy: Whole
    previous: Whole | None
    text: Digest


class RatingReplied(Outcome):
    """A department's reply to a rating, sealed."""

    asset: str
    rating: str
    reply: Digest
