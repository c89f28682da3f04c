"""No voucher, no rating; one voucher, one rating; scores are exact and public, and who rated is nobody's to see."""

from __future__ import annotations

from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import ratings, sales
from exchange.errors import Conflict, NotFound, Unprocessable
from exchange.ratings import AXES, Rate, ReplyToRating, Score, Stars, check_change
from exchange.replay import replay
from exchange.rulebook import load
from tests.exchange.conftest import START_US, House
from tests.exchange.floor import DAY_US, Floor, licence

RULES = load("cn-venue")


@given(st.lists(st.integers(1, 5), max_size=200))
def test_the_mean_of_a_score_is_exact_to_a_hundredth_of_a_star(stars: list[int]) -> None:
    score = Score(tuple(stars.count(n) for n in range(1, 6)))
    assert score.count == len(stars)
    if not stars:
        assert score.mean_hundredths is None
    else:
        assert score.mean_hundredths is not None
        assert abs(score.mean_hundredths - 100 * mean(stars)) <= 0.5


def test_a_rating_may_be_changed_until_its_time_is_over() -> None:
    check_change(START_US, START_US + 30 * DAY_US - 1, RULES)
    with pytest.raises(Conflict):
        check_change(START_US, START_US + 30 * DAY_US, RULES)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("stars", [0, 6, -1])
def test_there_are_one_to_five_stars_on_each_axis(axis: str, stars: int) -> None:
    with pytest.raises(Unprocessable) as refused:
        Stars(**{**dict.fromkeys(AXES, 3), axis: stars}).check()
    assert refused.value.field == axis


def stars(*counts: int) -> dict[str, int]:
    return dict(zip(AXES, counts, strict=True))


@pytest.mark.anyio
async def test_S44_voucher_holders_rate_and_everybody_reads_the_scores(house: House) -> None:
    floor = await Floor.open(house, buyers=3)
    asset = await floor.asset()
    listing = await floor.listing(licence(100, 3), asset)
    sold = [await house.act(sales.buy, sales.Buy(listing, 1), buyer) for buyer in floor.buyers[:2]]
    names = [sale["voucher"]["licence"] for sale in sold]
    first, second, stranger = floor.buyers
    for nobody in (stranger, second, floor.seller, floor.regulator):
        with pytest.raises(NotFound):
            await house.act(ratings.rate, Rate(names[0], Stars(1, 1, 1, 1)), nobody)
    await house.done(
        first, f"/v1/licences/{names[0]}/rating", {**stars(5, 4, 3, 1), "text": "hourly, as said"}
    )
    await house.done(second, f"/v1/licences/{names[1]}/rating", stars(4, 4, 4, 4))
    path = f"/v1/assets/{asset}/ratings"
    shown = (await house.call(None, "GET", path)).json()
    assert shown["scores"]["coverage"] == {
        "count": "2",
        "distribution": ["0", "0", "0", "1", "1"],
        "mean_hundredths": "450",
    }
    assert shown["scores"]["accuracy"]["mean_hundredths"] == "250"
    assert first.party not in str(shown)
    said = shown["ratings"][0]
    with pytest.raises(NotFound):
        await house.act(ratings.reply_to_rating, ReplyToRating(said["rating"], "no"), first)
    await house.done(
        floor.seller, f"/v1/ratings/{said['rating']}/reply", {"text": "the next edition is better"}
    )
    with pytest.raises(Conflict):
        await house.act(ratings.reply_to_rating, ReplyToRating(said["rating"], "no"), floor.seller)
    # Within its time it is changed, and the old one stays in the log.
    changed = await house.done(first, f"/v1/licences/{names[0]}/rating", stars(5, 4, 3, 5))
    assert (changed["state"], changed["previous"]) == ("changed", said["log_index"])
    shown = (await house.call(None, "GET", f"{path}?limit=1")).json()
    assert len(shown["ratings"]) == 1
    assert shown["scores"]["accuracy"]["mean_hundredths"] == "450"
    house.now_us += 30 * DAY_US
    with pytest.raises(Conflict):
        await house.act(ratings.rate, Rate(names[0], Stars(1, 1, 1, 1)), first)
    # A voucher that was annulled counts no more.
    annul = sales.AnnulSale(sold[1]["voucher"]["trade"], "collusion", "order 9", "found")
    await house.act(sales.annul_sale, annul, floor.regulator)
    with pytest.raises(Conflict):
        await house.act(ratings.rate, Rate(names[1], Stars(1, 1, 1, 1)), second)
    department = (await house.call(None, "GET", f"/v1/departments/{floor.seller.party}/ratings")).json()
    assert department["scores"]["coverage"]["distribution"] == ["0", "0", "0", "0", "1"]
    unknown = await house.call(None, "GET", f"/v1/departments/{first.party}/ratings")
    assert unknown.status_code == 404
    market = replay(await floor.bodies(), await floor.openings())
    assert (market.differences, market.judged["ratings"]) == ([], 3)


def test_a_replay_notices_a_rating_without_a_voucher() -> None:
    body: dict[str, Any] = {
        "act": {**dict.fromkeys(AXES, "5"), "asset": "a", "licence": "l", "previous": None, "state": "rated", "text": "", "trade": "t"},
        "by": "somebody",
        "key": "k",
        "kind": "asset_rated",
        "party": "p",
        "time": str(START_US),
    }  # fmt: skip
    (difference,) = replay([(0, body)]).differences
    assert "no voucher" in difference.replayed
