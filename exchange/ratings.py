"""Room: what voucher holders think of what they bought, on four axes, and what the seller replies.

The axes are those by which the paper would have government rated (好差评, S44, S56-S59): coverage, maturity, effect, accuracy, one
to five stars each. One voucher, one rating; a changed one leaves the old in the log. Scores are public, who rated is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final

from sqlalchemy import text as sql
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Scope, Transaction, plain
from exchange.catalogue import visible_asset
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.rulebook import Rulebook, in_force
from exchange.rulebook.days import DAY_US
from exchange.tables import Annulment, Asset, Licence, Party, Rating

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

STARS: Final = 5
TEXT_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True)
class Stars:
    """How many stars of five on each axis."""

    coverage: int
    maturity: int
    effect: int
    accuracy: int

    def check(self) -> None:
        """Unprocessable, naming the axis, where one has no star or more than five. Pure."""
        for axis in AXES:
            stars = getattr(self, axis)
            if not 1 <= stars <= STARS:
                raise Unprocessable(
                    "rating.stars",
                    f"{stars} stars",
                    field=axis,
                    rule=f"1 to {STARS} stars on each axis",
                    remedy="name a number of stars",
                )


AXES: Final[tuple[str, ...]] = tuple(one.name for one in fields(Stars))


@dataclass(frozen=True, slots=True)
class Score:
    """What all ratings say on one axis: how many gave one star, two, up to five."""

    distribution: tuple[int, ...]

    @property
    def count(self) -> int:
        return sum(self.distribution)

    @property
    def mean_hundredths(self) -> int | None:
        """The mean in hundredths of a star, half up; None where nobody rated."""
        if not self.count:
            return None
        stars = sum(n * (at + 1) for at, n in enumerate(self.distribution))
        return (200 * stars + self.count) // (2 * self.count)


def check_change(first_us: int, now_us: int, rules: Rulebook) -> None:
    """Conflict where a rating is too old to be changed. Pure."""
    days = rules.value("rating.changeable_within_days")
    if now_us >= first_us + days * DAY_US:
        raise Conflict(
            "rating.final",
            f"it was given at {first_us}",
            field="licence",
            rule=f"a rating may be changed within {days} days ({rules.cite('rating.final')})",
            remedy="none: it stands",
        )


@dataclass(frozen=True, slots=True)
class Rate(Act):
    """A voucher holder rates what the voucher's licence is for, or changes what it said."""

    scope: ClassVar[Scope] = "trade"
    licence: str
    stars: Stars
    text: str = ""


async def rate(tx: Transaction, act: Rate) -> Record:
    """Rate by the voucher of one's own licence, once, changeable for a while. Conflict where the sale was annulled."""
    licence = await tx.session.get(Licence, act.licence)
    if licence is None or licence.buyer != tx.caller.party:
        raise NotFound(
            "licence.unknown",
            f"no licence {act.licence!r}",
            field="licence",
            rule="who rates has a voucher",
            remedy="check the identifier",
        )
    act.stars.check()
    _check_text("text", act.text, 0)
    rules = await in_force(tx)
    annulled = select(Annulment.log_index).where(col(Annulment.trade) == licence.trade)
    if (await tx.session.execute(annulled)).first() is not None:
        raise Conflict(
            "rating.annulled",
            "the sale was annulled",
            field="licence",
            rule="who rates has a voucher that stands",
            remedy="none",
        )
    asset = await tx.find(Asset, licence.asset, "asset")
    stars = {axis: getattr(act.stars, axis) for axis in AXES}
    query = select(Rating).where(col(Rating.licence) == licence.id)
    row = (await tx.session.execute(query)).scalar_one_or_none()
    previous = None if row is None else row.log_index
    if row is None:
        row = Rating(
            id=tx.identifier("rat"),
            licence=licence.id,
            asset=asset.id,
            supplier=asset.supplier,
            text=act.text,
            rated_us=tx.now_us,
            log_index=tx.index,
            **stars,
        )
        await tx.insert(row)
    else:
        check_change(row.rated_us, tx.now_us, rules)
        for axis, count in stars.items():
            setattr(row, axis, count)
        row.text, row.changed_us, row.log_index = act.text, tx.now_us, tx.index
        row.reply = row.replied_us = None  # it was a reply to other words
    return Record(
        "asset_rated",
        plain(
            {
                **stars,
                "asset": asset.id,
                "licence": licence.id,
                "previous": previous,
                "rating": row.id,
                "state": "rated" if previous is None else "changed",
                "text": tx.seal(act.text),
                "trade": licence.trade,
            }
        ),
    )


@dataclass(frozen=True, slots=True)
class ReplyToRating(Act):
    """The department says something to a rating of its asset."""

    scope: ClassVar[Scope] = "register"
    rating: str
    text: str


async def reply_to_rating(tx: Transaction, act: ReplyToRating) -> Record:
    """Reply to a rating of one's own data, once; who rated stays unnamed to the department."""
    row = await tx.session.get(Rating, act.rating)
    if row is None or row.supplier != tx.caller.party:
        raise NotFound(
            "rating.unknown",
            f"no rating {act.rating!r} of your data",
            field="rating",
            remedy="check the identifier",
        )
    _check_text("text", act.text, 1)
    if row.reply is not None:
        raise Conflict(
            "rating.replied",
            "it has its reply",
            field="rating",
            rule="a rating is replied to once",
            remedy="read what was replied",
        )
    row.reply, row.replied_us = act.text, tx.now_us
    return Record(
        "rating_replied",
        {
            "asset": row.asset,
            "rating": row.id,
            "reply": tx.seal(act.text),
            "state": "replied",
        },
        readers=(await _buyer(tx, row.licence),),
    )


async def _buyer(tx: Transaction, licence: str) -> str:
    return (await tx.find(Licence, licence, "licence")).buyer


def _check_text(field: str, text: str, least: int) -> None:
    if not least <= len(text.strip()) or len(text) > TEXT_CHARACTERS:
        raise Unprocessable(
            "rating.text",
            f"{field} has {len(text)} characters",
            field=field,
            rule=f"{least} to {TEXT_CHARACTERS} characters",
            remedy="say it in a few sentences",
        )


_STANDING = "FROM rating r WHERE NOT EXISTS (SELECT FROM licence l JOIN annulment a ON a.trade = l.trade WHERE l.id = r.licence)"
"""The ratings that count: what was annulled after it was rated counts no more."""


async def scores(
    session: AsyncSession, *, asset: str | None = None, supplier: str | None = None
) -> dict[str, Score]:
    """The public scores of an asset or of all that a department sold, axis by axis."""
    axes = ", ".join(f"('{axis}', r.{axis})" for axis in AXES)
    of = "r.asset = :name" if asset is not None else "r.supplier = :name"
    query = sql(
        f"SELECT axis, stars, count(*) {_STANDING.replace('rating r', f'rating r, LATERAL (VALUES {axes}) v(axis, stars)')}"  # column names are ours
        f" AND {of} GROUP BY axis, stars"
    )
    counts = {axis: [0] * STARS for axis in AXES}
    for axis, stars, count in await session.execute(query, {"name": asset or supplier}):
        counts[axis][stars - 1] = count
    return {axis: Score(tuple(found)) for axis, found in counts.items()}


def shown(found: Mapping[str, Score]) -> dict[str, Any]:
    """Scores as everybody reads them."""
    return {
        axis: plain(
            {
                "count": score.count,
                "distribution": list(score.distribution),
                "mean_hundredths": score.mean_hundredths,
            }
        )
        for axis, score in found.items()
    }


async def ratings_of_asset(
    session: AsyncSession, asset: str, caller: Caller | None, *, after: int = -1, limit: int = 100
) -> dict[str, Any]:
    """The scores of an asset, and a page of what was said and replied, oldest first; who said it is nobody's to see."""
    row = await visible_asset(session, asset, caller)
    query = sql(
        f"SELECT r.* {_STANDING} AND r.asset = :asset AND r.log_index > :after ORDER BY r.log_index LIMIT :limit"  # the frame is ours
    )
    said = (await session.execute(query, {"asset": row.id, "after": after, "limit": limit})).mappings()
    return {
        "asset": row.id,
        "scores": shown(await scores(session, asset=row.id)),
        "ratings": [_said(one) for one in said],
    }


def _said(row: Mapping[Any, Any]) -> dict[str, Any]:
    names: Sequence[str] = (*AXES, "log_index", "text", "rated_us", "changed_us", "reply", "replied_us")
    said: dict[str, Any] = plain({"rating": row["id"], **{name: row[name] for name in names}})
    return said


async def ratings_of_department(session: AsyncSession, party: str) -> dict[str, Any]:
    """The scores of all that a department sold, for everybody; NotFound where it is no department."""
    row = await session.get(Party, party)
    if row is None or "supplier" not in row.roles:
        raise NotFound(
            "department.unknown", f"no department {party!r}", field="party", remedy="check the identifier"
        )
    return {"department": row.id, "name": row.name, "scores": shown(await scores(session, supplier=row.id))}
