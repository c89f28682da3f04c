"""The story of a correction, typed as commands: the buyer asks, the department answers, and says where it is made."""

from __future__ import annotations

import json
from pathlib import Path

from exchange.messages.market import OfferMessage
from tests.stories.conftest import HOUR_US, Department, Venue
from tests.stories.test_bank import cli


def test_S6_a_correction_goes_from_the_buyer_to_the_department_and_back(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    owner, buyer = venue.admit("supplier", people=2), venue.admit("buyer", fen=50_000_00)
    regulator = venue.admit("regulator").client
    asset = venue.registered_asset(owner, weather)
    offer = OfferMessage(grant="licence", licences=3, term_days=365, price_fen=10_000_00)
    buyer.client.buy(owner.client.offer_fixed_price(asset, offer).outcome["id"])
    (licence,) = buyer.client.licences()
    proof = tmp_path / "proof.csv"
    proof.write_text("station,observed\nEWR,2026-01-01\n")
    said = (
        "corrections",
        "ask",
        licence.id,
        "a day is missing",
        "--column",
        "observed",
        "--evidence",
        str(proof),
    )
    name = json.loads(cli(venue, buyer.client, *said, "--json"))["outcome"]["id"]
    assert f"{name} {asset} observed open" in cli(venue, owner.client, "corrections", "list")
    assert cli(venue, regulator, "corrections", "list", "--overdue") == ""
    venue.administrator.move_clock(30 * 24 * HOUR_US)
    assert "overdue" in cli(venue, regulator, "corrections", "list", "--overdue", expect=1)
    answer = ("corrections", "answer", name, "accept", "it comes with the next edition")
    assert f"{name} accepted" in cli(venue, owner.client, *answer)
    following = owner.client.declare_asset("Hourly weather", "meteorology").outcome["asset"]
    carried = cli(venue, owner.client, "lineage", "declare", following, "edition", asset)
    assert f"{following} edition of {asset}" in carried
    assert f"↓ edition {following}" in cli(venue, owner.client, "lineage", "show", asset)
    assert f"↑ 上一版次 {asset}" in cli(venue, owner.client, "lineage", "show", following, "--lang", "zh")
    assert f"{name} 已在 {asset} 中更正" in cli(
        venue, owner.client, "corrections", "mend", name, asset, "--lang", "zh"
    )
    second = json.loads(cli(venue, buyer.client, *said[:4], "--json"))["outcome"]["id"]
    back = cli(
        venue, owner.client, "corrections", "answer", second, "refuse", "the station was closed that day"
    )
    assert f"{second} declined" in back
    told = cli(venue, buyer.client, "corrections", "list")
    assert "mended" in told
    assert f"→ it comes with the next edition ({asset})" in told
