"""The stories under the three models of DOMAIN S53: a state operator, one of mixed ownership, and none."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.client import Conflict
from exchange.messages.market import HolderMessage, OfferMessage
from exchange.rulebook.book import PRESETS
from tests.stories.conftest import Department, Venue
from tests.stories.test_department import (
    test_a_table_with_people_in_it_comes_to_market_without_them as department,
)
from tests.stories.test_enterprise import test_two_enterprises_bid_one_wins_pays_and_downloads as enterprise

MIXED = (490_000, 180_000, 165_000, 165_000)
"""数字广东."""

each_model = pytest.mark.parametrize("venue", PRESETS, indirect=True, ids=PRESETS)


@each_model
def test_S53_data_is_sold_and_paid_for_by_the_operator_that_the_model_has(
    venue: Venue, weather: Department
) -> None:
    owner, buyer = venue.admit("supplier", people=2), venue.admit("buyer", fen=50_000_00)
    holders = [HolderMessage(name=f"holder {n}", share_ppm=ppm) for n, ppm in enumerate(MIXED)]
    allowed = venue.rules.allows("model.operators_allowed")
    least_ppm = venue.rules.value("model.operator_state_share_at_least_ppm")
    mixed = venue.admit("operator", holders=holders)
    if not allowed or least_ppm:
        with pytest.raises(Conflict) as refused:
            venue.agree(owner, mixed, 300_000)
        assert refused.value.code == ("operator.state_share" if allowed else "operator.model")
    if not allowed:
        with pytest.raises(Conflict) as alone:
            owner.client.declare_asset("Hourly weather", "meteorology", operator=mixed.id)
        assert alone.value.code == "operator.model"
    operator = venue.operator(owner, 300_000, *holders)
    asset = venue.registered_asset(owner, weather, operator)
    offer = OfferMessage(grant="licence", licences=3, term_days=365, price_fen=10_000_00)
    listing = owner.client.offer_fixed_price(asset, offer).outcome["id"]
    sold = buyer.client.buy(listing).outcome["voucher"]
    paid = [int(fen) for fen in sold["split"]["shares_fen"]]
    whole = (10_000_00 - int(sold["split"]["tax_fen"])) * 3 // 10 if allowed else 0
    assert (len(paid), sum(paid)) == ((4, whole) if allowed else (0, 0))
    assert owner.client.me().available_fen == 10_000_00 - sum(
        int(sold["split"][name]) for name in ("tax_fen", "seller_fee_fen")
    ) - sum(paid)


@pytest.mark.drill
@each_model
def test_S53_the_enterprises_story_is_green(venue: Venue, weather: Department, tmp_path: Path) -> None:
    enterprise(venue, weather, tmp_path)


@pytest.mark.drill
@each_model
def test_S53_the_departments_story_is_green(venue: Venue, hospital: Department) -> None:
    department(venue, hospital)
