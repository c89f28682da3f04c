"""Routes of ratings: rate what you bought, reply to a rating, read the public scores."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from exchange import ratings
from exchange.api.doorway import (
    AfterIndex,
    CallerDep,
    GateDep,
    KeyDep,
    Limit,
    Named,
    PagesDep,
    ReaderDep,
    perform,
)
from exchange.messages.outcomes import Answer
from exchange.messages.ratings import (
    AssetRated,
    AssetRatings,
    DepartmentRatings,
    RatingMessage,
    RatingReplied,
    ReplyMessage,
)

router = APIRouter(prefix="/v1", tags=["delivery"])


@router.post("/licences/{licence}/rating", status_code=201, response_model=Answer[AssetRated])
async def rate(
    licence: Named, body: RatingMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Rate what you bought on four axes, once for each voucher; what you said may be changed for a while."""
    stars = ratings.Stars(body.coverage, body.maturity, body.effect, body.accuracy)
    return await perform(gate, ratings.rate, ratings.Rate(licence, stars, body.text), caller, key)


@router.post("/ratings/{rating}/reply", status_code=201, response_model=Answer[RatingReplied])
async def reply_to_rating(
    rating: Named,
    body: ReplyMessage,
    gate: GateDep,
    caller: CallerDep,
    key: KeyDep,
) -> Response:
    """Reply to a rating of your data, once (supplier)."""
    act = ratings.ReplyToRating(rating, body.text)
    return await perform(gate, ratings.reply_to_rating, act, caller, key)


@router.get("/assets/{asset}/ratings", response_model=AssetRatings)
async def ratings_of_asset(
    asset: Named,
    gate: GateDep,
    reader: ReaderDep,
    pages: PagesDep,
    after: AfterIndex = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """The scores of an asset and what voucher holders say of it, oldest first, for everybody."""
    found = await gate.read(
        lambda session: ratings.ratings_of_asset(
            session, asset, reader, after=-1 if after is None else after, limit=limit
        )
    )
    pages.link(found["ratings"], limit, lambda row: row["log_index"])
    return found


@router.get("/departments/{party}/ratings", response_model=DepartmentRatings)
async def ratings_of_department(party: Named, gate: GateDep) -> dict[str, Any]:
    """The scores of all that a department sold, for everybody."""
    return await gate.read(ratings.ratings_of_department, party)
