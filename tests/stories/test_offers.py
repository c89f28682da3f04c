"""Sales that are no auction, lived through the SDK: Nanjing's hotline complaints, negotiated with an insurer for 10,000 yuan;
an interface at 0.0028 yuan a call.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange.cli import app
from exchange.client import ExchangeProblem, NotFound, Refused
from exchange.messages.market import HolderMessage, OfferMessage
from exchange.replay import from_bundle
from tests.stories.conftest import HOUR_US, Department, Member, Venue, wait_until

NANJING_FEN, NANJING_ROWS = 1_000_000, 1_593


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> Department:
    """1,593 complaints about flooding as a hotline keeps them: who called from where, what it was about, in which district."""
    districts = ("玄武", "秦淮", "建邺", "鼓楼", "栖霞", "雨花台", "江宁")
    causes = ("积水", "下水道堵塞", "河水倒灌", "地下车库进水")
    rows = ["caller,phone,district,cause,month"]
    for n in range(NANJING_ROWS):
        name = "赵钱孙李周吴郑王"[n % 8] + "伟芳娜敏静磊"[n % 6]
        rows.append(
            f"{name},139{n * 7919 % 10**8:08d},{districts[n % 7]},{causes[n // 7 % 4]},2025-{6 + n // 28 % 3:02d}"
        )
    folder = tmp_path_factory.mktemp("departments") / "nanjing"
    return Department.scanning(folder, "\n".join(rows) + "\n")


def typed(venue: Venue, member: Member, *words: str) -> str:
    """What a command answers a member."""
    env = {"EXCHANGE_URL": venue.server.url, "EXCHANGE_KEY": member.secrets[0], "EXCHANGE_VKEY": venue.vkey}
    env["COLUMNS"] = "200"
    done = CliRunner().invoke(app, list(words), env=env)
    assert done.exit_code == 0, done.output
    return done.output


def test_nanjing_sells_its_complaints_about_flooding_to_an_insurer_for_10_000_yuan(
    venue: Venue, complaints: Department, tmp_path: Path
) -> None:
    hotline = venue.admit("supplier", people=2)
    insurer, rival = venue.admit("buyer", fen=1_100_000), venue.admit("buyer", fen=1_100_000)
    asset = venue.registered_asset(
        hotline,
        complaints,
        venue.operator(hotline, 200_000, HolderMessage(name="the city", share_ppm=1_000_000)),
    )
    shown = hotline.client.asset(asset).product
    assert shown is not None
    assert shown.rows == NANJING_ROWS  # every complaint, nobody's name
    offer = OfferMessage(
        grant="licence", licences=1, term_days=365, price_fen=1_200_000, ceiling_fen=1_500_000
    )
    listing = hotline.client.offer_negotiated(asset, offer).outcome["id"]
    assert f"{listing}  " in typed(venue, insurer, "listing", "show", "--lang", "zh")
    until = venue.now_us() + 24 * HOUR_US
    made = insurer.client.make_offer(listing, 800_000, expires_us=until, purpose="industry")
    talk = made.outcome["negotiation"]
    typed(venue, hotline, "negotiate", "counter", talk, "11000")
    typed(venue, insurer, "negotiate", "counter", talk, "10000", "--for", "2h")
    other = rival.client.make_offer(listing, 900_000, expires_us=until).outcome["negotiation"]
    with pytest.raises(NotFound):
        rival.client.negotiation(talk)
    assert "10,000.00" in typed(venue, hotline, "negotiate", "show", talk, "--lang", "zh")
    assert "10,000.00" in typed(venue, hotline, "negotiate", "accept", talk, "10000", "--lang", "zh")
    (trade,) = insurer.client.trades()
    assert (trade.price_fen, trade.listing) == (NANJING_FEN, listing)
    assert insurer.client.me().available_fen == 1_100_000 - NANJING_FEN - trade.split.buyer_fee_fen
    with pytest.raises(
        ExchangeProblem
    ) as sold_out:  # the one licence is gone, whether the clock told the rival or not
        hotline.client.accept_offer(other, rival.client.negotiation(other).offer_index)
    assert sold_out.value.code in ("listing.ended", "offer.closed")
    wait_until(lambda: rival.client.negotiation(other).state == "lapsed", "the rival to be told")
    for side in (hotline, insurer):
        side.client.add_signing_key("contracts")
        side.client.sign_contract(trade.trade)
    link = insurer.client.link(trade.licence)
    insurer.client.download(link, tmp_path / "complaints.parquet")
    bundle = tmp_path / "market.zip"
    venue.regulator.client.audit_bundle(bundle)
    market = from_bundle(bundle)
    assert (market.differences, market.negotiations[talk].state) == ([], "accepted")


def test_an_interface_at_0_0028_yuan_a_call_is_charged_by_statement_and_stops_at_its_quota(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    owner, app_maker = venue.admit("supplier", people=2), venue.admit("buyer", fen=300_000)
    asset = venue.registered_asset(owner, weather)
    found = typed(
        venue, owner, "listing", "open", asset, "--mode", "metered", "--per", "call", "--price", "0.0028"
    )
    (listing,) = [one for one in app_maker.client.listings() if one.id in found]
    assert (listing.mode, listing.unit, listing.unit_price_micro) == ("metered", "call", 2_800)
    assert "0.002800/call" in typed(venue, app_maker, "listing", "show")
    typed(
        venue, app_maker, "meter", "subscribe", listing.id, "1000000", "--purpose", "industry", "--lang", "zh"
    )
    (mine,) = app_maker.client.subscriptions()
    gateway = owner.client
    with pytest.raises(ExchangeProblem) as unsigned:  # nothing is used outside a contract
        gateway.record_usage(mine.id, 1)
    assert unsigned.value.code == "contract.unsigned"
    for side in (owner, app_maker):
        side.client.add_signing_key("contracts")
        side.client.sign_contract(mine.trade)
    for n in range(3):  # the gateway's own counter is the identifier: a repeated record counts once
        for _ in range(2):
            gateway.record_usage(mine.id, 300_000, identifier=f"{mine.id}-{n}")
    with pytest.raises(Refused) as over:
        gateway.record_usage(mine.id, 100_001)
    assert over.value.code == "usage.over_quota"
    venue.administrator.move_clock(30 * 24 * HOUR_US)
    wait_until(lambda: bool(app_maker.client.usage_statements(mine.id)), "the first statement")
    stated = app_maker.client.usage_statement(mine.id, 1)
    assert (stated.quantity, stated.price_fen) == (900_000, 252_000)  # 2,520.00 yuan to the fen
    assert sum(one.quantity for one in stated.records) == stated.quantity
    sheet = tmp_path / "statement.csv"
    typed(venue, app_maker, "meter", "statement", mine.id, "1", "--csv", str(sheet))
    assert sheet.read_text(encoding="utf-8-sig").count("300000") == 3
    assert "2,520.00" in typed(venue, owner, "meter", "statement", mine.id)
    typed(venue, app_maker, "meter", "end", mine.id)
    me = app_maker.client.me()
    assert (me.available_fen, me.held_fen) == (300_000 - 252_000 - 2_520, 0)
    bundle = tmp_path / "market.zip"
    venue.regulator.client.audit_bundle(bundle)
    assert from_bundle(bundle).differences == []
