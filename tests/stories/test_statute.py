"""The auction by statute, lived through the SDK: Hengyang halted, a winner who does not pay, a tie at the ceiling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cli import app
from exchange.client import Refused
from exchange.messages.market import OfferMessage
from exchange.replay import from_bundle
from tests.stories.conftest import (
    DEPOSIT_FEN,
    HOUR_US,
    INCREMENT_FEN,
    MINUTE_US,
    START_FEN,
    Department,
    Member,
    Venue,
    wait_until,
)

DAY_US = 24 * HOUR_US
HENGYANG_START_FEN, HENGYANG_DEPOSIT_FEN = 180_244_120_000, 36_048_824_000


def typed(venue: Venue, member: Member, *words: str) -> str:
    """What `exchange lot` answers a member."""
    env = {"EXCHANGE_URL": venue.server.url, "EXCHANGE_KEY": member.secrets[0], "EXCHANGE_VKEY": venue.vkey}
    env["COLUMNS"] = "200"
    done = CliRunner().invoke(app, ["lot", *words], env=env)
    assert done.exit_code == 0, done.output
    return done.output


def test_hengyang_is_halted_on_day_five_and_every_deposit_is_back_within_24_hours(
    venue: Venue, weather: Department
) -> None:
    """衡阳市 2023: up for 1,802,441,200 yuan with a deposit of 360,488,240, called off on the fifth day of its notice."""
    owner = venue.admit("supplier", people=2)
    asset = venue.registered_asset(owner, weather)
    now_us = venue.now_us()
    terms: dict[str, Any] = {
        "increment_fen": 100_000_000,
        "opens_us": now_us + MINUTE_US,
        "closes_us": now_us + MINUTE_US + 30 * DAY_US,
    }
    offer = OfferMessage(
        grant="exclusive",
        term_days=365,
        price_fen=HENGYANG_START_FEN,
        reason="one operator builds the city's service",
    )
    with pytest.raises(Exception, match=r"lot\.deposit"):
        owner.client.open_lot(asset, offer, deposit_fen=HENGYANG_DEPOSIT_FEN + 1, **terms)
    lot = owner.client.open_lot(asset, offer, deposit_fen=HENGYANG_DEPOSIT_FEN, **terms).outcome["id"]
    bidders = [venue.admit("buyer", fen=HENGYANG_DEPOSIT_FEN + 7) for _ in range(2)]
    watcher = venue.admit("buyer")
    watcher.client.watch_lot(lot)
    for bidder in bidders:
        bidder.client.join_lot(lot)
        me = bidder.client.me()
        assert (me.available_fen, me.held_fen) == (7, HENGYANG_DEPOSIT_FEN)
    venue.administrator.move_clock(4 * DAY_US + 2 * MINUTE_US)
    bidders[0].client.place_bid(lot, HENGYANG_START_FEN)

    halted = venue.regulator.client.halt_lot(lot, "舆情：公共数据特许经营权出让的依据存疑")
    assert halted.outcome["state"] == "halted"
    with pytest.raises(Refused) as refused:
        bidders[1].client.place_bid(lot, HENGYANG_START_FEN + 100_000_000)
    assert refused.value.code == "bid.halted"
    called_off_us = venue.now_us()
    venue.regulator.client.cancel_lot(lot, "the sale is withdrawn")
    wait_until(lambda: not venue.regulator.client.refunds(), "the deposits to be back")
    assert venue.now_us() < called_off_us + DAY_US
    view = venue.administrator.lot(lot)
    assert view.state == "cancelled"
    assert view.refund_by_us is not None
    assert called_off_us <= view.refund_by_us - DAY_US <= venue.now_us()
    for bidder in bidders:
        me = bidder.client.me()
        assert (me.available_fen, me.held_fen) == (HENGYANG_DEPOSIT_FEN + 7, 0)
        assert bidder.client.bidder(lot).state == "released"
    told = [notice.kind for notice in watcher.client.lot_notices()]
    assert told == ["lot_cancelled", "lot_halted"]
    assert [one.id for one in watcher.client.watched()] == [lot]

    # The same on the command line.
    said = typed(venue, watcher, "notices", "--lang", "zh")
    assert said.count(lot) == 2
    assert lot in typed(venue, watcher, "watchlist")
    assert "no more" in typed(venue, watcher, "watchlist", lot, "--off")
    assert lot in typed(venue, venue.regulator, "calendar")
    assert typed(venue, venue.regulator, "refunds", "--late", "--json") == ""


def test_a_default_is_paid_for_by_its_deposit_and_a_tie_at_the_ceiling_is_drawn(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    owner = venue.admit("supplier", people=2)
    asset = venue.registered_asset(owner, weather)
    lot = venue.open_lot(owner, asset)
    defaulter = venue.admit("buyer", fen=DEPOSIT_FEN)
    honest, third = (venue.admit("buyer", fen=5 * START_FEN) for _ in range(2))
    price_fen = START_FEN + 4 * INCREMENT_FEN
    for member, fen in ((honest, START_FEN), (defaulter, price_fen)):
        member.client.join_lot(lot)
        member.client.place_bid(lot, fen)
    venue.administrator.move_clock(25 * HOUR_US)
    wait_until(lambda: venue.administrator.lot(lot).state == "sold", "the award")
    why = honest.client.why(lot)
    assert why.result == "lost"
    assert why.zh in typed(venue, honest, "why", lot, "--lang", "zh").replace("\n", "")
    assert "did not raise it" in why.en
    pay_by = venue.administrator.lot(lot).pay_by_us
    assert pay_by is not None
    assert ("pay_by", pay_by) in {(one.what, one.at_us) for one in venue.administrator.calendar()}
    venue.administrator.move_clock(10 * DAY_US)
    wait_until(lambda: venue.administrator.lot(lot).state == "defaulted", "the default")
    assert defaulter.client.bidder(lot).state == "forfeited"
    assert defaulter.client.me().held_fen == 0

    # Up again: the defaulter stays out of it, and the gap of 300 yuan is made up for from its deposit.
    now_us = venue.now_us()
    again = owner.client.open_lot(
        asset,
        OfferMessage(grant="licence", term_days=365, price_fen=START_FEN),
        increment_fen=INCREMENT_FEN,
        deposit_fen=DEPOSIT_FEN,
        opens_us=now_us + MINUTE_US,
        closes_us=now_us + MINUTE_US + DAY_US,
        again_of=lot,
    ).outcome["id"]
    venue.administrator.move_clock(MINUTE_US)
    with pytest.raises(Refused) as barred:
        defaulter.client.join_lot(again)
    assert barred.value.code == "bidder.defaulted"
    honest.client.join_lot(again)
    honest.client.place_bid(again, START_FEN + INCREMENT_FEN)
    venue.close(again)
    wait_until(lambda: venue.administrator.lot(lot).forfeit_fen == 0, "the forfeit to be divided")

    # A tie: three bid the ceiling, and the nonce that the regulator committed to before draws one of them.
    nonces = tmp_path / "nonces"
    typed(venue, venue.regulator, "commit", "--nonces", str(nonces))
    tied = venue.open_lot(owner, asset, ceiling_fen=START_FEN)  # takes the older commitment, which was typed
    poor = venue.admit("buyer", fen=2 * START_FEN)
    for member in (honest, third, poor):
        member.client.join_lot(tied)
        member.client.place_bid(tied, START_FEN)
    venue.administrator.move_clock(25 * HOUR_US)
    wait_until(lambda: venue.administrator.lot(tied).state == "drawing", "the draw to be due")
    regulator = venue.regulator.client
    assert [draw.lot for draw in regulator.draws() if draw.due] == [tied]
    with pytest.raises(Refused) as false:
        regulator.reveal_draw(tied, bytes(32))
    assert false.value.code == "draw.nonce"
    assert "won" in typed(venue, venue.regulator, "reveal", tied, "--nonces", str(nonces))
    wait_until(lambda: venue.administrator.lot(tied).settled, "the drawn lot to be settled")
    results = sorted(member.client.why(tied).result for member in (honest, third, poor))
    assert results == ["lost", "lost", "won"]

    # And the sale is annulled under an order: the winner has every fen back.
    (trade,) = [trade for trade in owner.client.trades() if trade.lot == tied]
    (winner,) = [member for member in (honest, third, poor) if member.id == trade.buyer]
    before = winner.client.me().available_fen or 0
    regulator.annul_lot(tied, "misdescription", "津市监〔2026〕12号", "two columns are missing")
    assert winner.client.me().available_fen == before + START_FEN + START_FEN // 100
    (undone,) = [trade for trade in owner.client.trades() if trade.lot == tied]
    assert undone.annulled is not None

    bundle = tmp_path / "all.zip"
    regulator.audit_bundle(bundle)
    market = from_bundle(bundle)
    assert market.differences == []
    assert {"awards", "draws", "defaults", "forfeits", "annulments", "settlements"} <= set(market.judged)
