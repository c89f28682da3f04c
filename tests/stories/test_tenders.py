"""Sealed tenders, lived through the SDK: three of four open, one forges and is named; two bidders; an upheld protest, replayed."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cli import app
from exchange.client import Forbidden, Refused, Unprocessable, Unproven
from exchange.messages.market import OfferMessage
from exchange.messages.tenders import CriterionMessage, ScoringRuleMessage
from exchange.replay import from_bundle
from pricing.sealed_bids import HolderKey
from tests.stories.conftest import HOUR_US, MINUTE_US, Department, Member, Venue, wait_until

DAY_US = 24 * HOUR_US
ESTIMATE_FEN, DEPOSIT_FEN = 10_000_00, 200_00
PRICE = ScoringRuleMessage(price_weight_ppm=1_000_000)
QUALITY = ScoringRuleMessage(
    price_weight_ppm=600_000,
    criteria=[CriterionMessage(name="数据安全方案", weight_ppm=400_000, most_points=100)],
)


def typed(venue: Venue, member: Member, *words: str, status: int = 0) -> str:
    """What `exchange …` answers a member."""
    env = {"EXCHANGE_URL": venue.server.url, "EXCHANGE_KEY": member.secrets[0], "EXCHANGE_VKEY": venue.vkey}
    env["COLUMNS"] = "200"
    done = CliRunner().invoke(app, words, env=env)
    assert done.exit_code == status, done.output
    return done.output


def published(venue: Venue, owner: Member, asset: str, holders: list[str], **changed: Any) -> str:
    deadline_us = venue.now_us() + MINUTE_US + 20 * DAY_US
    said: dict[str, Any] = {
        "rule": PRICE,
        "threshold": 3,
        "deposit_fen": DEPOSIT_FEN,
        "deadline_us": deadline_us,
        "opens_us": deadline_us,
        "terms": "逐小时气象数据一年使用权",
        **changed,
    }
    rule = said.pop("rule")
    offer = OfferMessage(grant="licence", term_days=365, price_fen=ESTIMATE_FEN)
    tender: str = owner.client.publish_tender(asset, offer, rule, holders=holders, **said).outcome["id"]
    return tender


def joined(member: Member, tender: str) -> str:
    who = {name: f"{name} of {member.id}" for name in ("drafter", "agent", "manager", "account")}
    code: str = member.client.join_tender(tender, **who).outcome["code"]
    return code


def test_a_forger_is_named_two_bidders_are_too_few_and_an_upheld_protest_is_scored_anew_and_replayed(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    owner = venue.admit("supplier", people=2)
    asset = venue.registered_asset(owner, weather)
    three_of_four_open_a_tender_and_the_one_who_forges_is_named(venue, owner, asset, tmp_path)
    tender, winner = an_upheld_protest_is_scored_anew(venue, owner, asset, tmp_path)
    bundle = tmp_path / "all.zip"
    venue.regulator.client.audit_bundle(bundle)
    market = from_bundle(bundle)
    assert market.differences == []
    assert {
        "openings of tenders",
        "awards of tenders",
        "proposals",
        "protests",
        "screens",
        "settlements",
    } <= set(market.judged)
    assert market.tenders[tender].winner == winner


def three_of_four_open_a_tender_and_the_one_who_forges_is_named(
    venue: Venue, owner: Member, asset: str, tmp_path: Path
) -> None:
    notary, venue_hand = (venue.admit("service_provider") for _ in range(2))
    holders = [owner, venue.regulator, notary, venue_hand]
    # Each makes its key on its own machine, one of them on the command line.
    keys = {one.id: HolderKey.from_seed(secrets.token_bytes(32)) for one in holders[:3]}
    for one in holders[:3]:
        one.client.publish_holder_key(keys[one.id].public.hex())
    file = tmp_path / "holder.key"
    made = typed(venue, venue_hand, "holder", "keygen", "--name", venue_hand.id, "--out", str(file))
    printed = json.loads(next(line for line in made.splitlines() if line.startswith("{")))
    typed(venue, venue_hand, "tender", "publish-key", printed["public"])
    ids = [one.id for one in holders]
    elsewhere = {key.party: key.public for key in owner.client.holder_keys()}

    # Two bidders are too few: nothing is opened, the deposits go back, and it is tendered again.
    bidders = [venue.admit("buyer", fen=20_000_00) for _ in range(3)]
    failed = published(venue, owner, asset, ids)
    for bidder in bidders[:2]:
        joined(bidder, failed)
        bidder.client.bid_sealed(failed, 9_000_00)
    assert bidders[0].client.me().held_fen == DEPOSIT_FEN
    venue.administrator.move_clock(20 * DAY_US + 2 * MINUTE_US)
    wait_until(lambda: venue.administrator.tender(failed).state == "failed", "the failure")
    wait_until(lambda: not bidders[0].client.me().held_fen, "the deposit to be back")
    assert venue.administrator.tender(failed).failure == "too_few_bidders"

    tender = published(venue, owner, asset, ids, again_of=failed)
    said = typed(venue, bidders[0], "tender", "ask", tender, "可否分期交付?", "--json")
    question = json.loads(said.splitlines()[-1])["outcome"]["id"]
    owner.client.answer_tender(tender, question, "按月交付")
    prices = list(zip(bidders, (11_111_11, 12_222_22, 9_876_54), strict=True))
    codes = {joined(bidder, tender): fen for bidder, fen in prices}
    for bidder, fen in prices:
        bidder.client.bid_sealed(tender, fen, holders=elsewhere)
    with pytest.raises(Unproven, match="other keys"):
        bidders[0].client.bid_sealed(tender, 1, holders={**elsewhere, notary.id: "00" * 32})
    bidders[2].client.withdraw_envelope(tender)
    assert "sealed" in typed(venue, bidders[2], "tender", "bid", tender, "9876.54")
    assert venue.administrator.tender(tender).envelopes == []  # nobody is told who bids, nor how many
    venue.administrator.move_clock(20 * DAY_US + 2 * MINUTE_US)
    wait_until(lambda: venue.administrator.tender(tender).state == "opening", "the opening")
    with pytest.raises(ValueError, match="is opened in"):  # by the holder's own clock it is too early
        notary.client.hand_shares(tender, keys[notary.id])
    with pytest.raises(Refused) as late:
        bidders[0].client.bid_sealed(tender, 99_999_99)
    assert late.value.code == "envelope.late"

    # In public view: one hands in its shares, the second forges one, the third and the fourth complete the three.
    now_us = venue.now_us()
    owner.client.hand_shares(tender, keys[owner.id], at_us=now_us)
    sealed = owner.client.sealed_tender(tender)
    victim = sealed.bids[0]
    forged: dict[str, Any] = {
        bid.digest: {
            "algorithm": bid.to_json()["algorithm"],
            "holder": "2",
            "kind": "share",
            "value": secrets.token_bytes(31).hex() + "00",
        }
        for bid in sealed.bids
    }
    with pytest.raises(Refused) as named:
        venue.regulator.client.hand_submissions(tender, forged)
    assert named.value.code == "share.forged"
    assert venue.regulator.id in named.value.detail
    assert victim.context.code in named.value.detail
    notary.client.hand_shares(tender, keys[notary.id], at_us=now_us)
    assert venue.administrator.tender(tender).state == "opening"
    words = ("tender", "open", tender, "--holder-key", str(file), "--market-clock")
    assert "3 of 3" in typed(venue, venue_hand, *words)
    wait_until(lambda: venue.administrator.tender(tender).state == "awarded", "the award")
    view = venue.administrator.tender(tender)
    assert view.opened is not None
    assert {row.code: row.price_fen for row in view.opened} == codes
    assert view.price_fen == max(codes.values())
    shown = typed(venue, notary, "tender", "show", tender, "--lang", "zh")
    assert "份额被拒" in shown
    assert "按月交付" in shown
    assert tender in typed(venue, notary, "tender", "list")

    # A stranger opens it again, offline, from what is public.
    lot, opened = tmp_path / "lot.json", tmp_path / "opened"
    opened.mkdir()
    typed(venue, notary, "tender", "sealed", tender, "--out", str(lot))
    for n, share in enumerate(one for one in view.shares if one.state == "verified"):
        submissions = {
            digest: {**one, "holder": int(str(one["holder"]))} for digest, one in share.submissions.items()
        }
        (opened / f"{n}.json").write_text(
            json.dumps({"format": "holder-opened@1", "lot": tender, "submissions": submissions})
        )
    files = [str(path) for path in sorted(opened.iterdir())]
    found = json.loads(typed(venue, notary, "holder", "combine", str(lot), *files, "--json"))
    assert {row["code"]: int(row["price_fen"]) for row in found["bids"]} == codes

    venue.administrator.move_clock(3 * DAY_US + MINUTE_US)
    wait_until(lambda: venue.administrator.tender(tender).state == "settled", "the settlement")
    assert [licence.asset for licence in bidders[1].client.licences()] == [asset]
    signs = venue.regulator.client.tender_signs(tender).signs
    assert signs == []


def an_upheld_protest_is_scored_anew(
    venue: Venue, owner: Member, asset: str, tmp_path: Path
) -> tuple[str, str]:
    # It begins with what somebody wants.
    wisher = venue.admit("buyer")
    wish = ("逐小时气象", "--up-to", "12,000", "--term-days", "365", "--purpose", "research")
    said = typed(venue, wisher, "demand", "post", *wish, "--json")
    want = json.loads(said.splitlines()[-1])["outcome"]["id"]
    assert want in typed(venue, owner, "demand", "list", "--purpose", "research")
    typed(venue, owner, "demand", "answer", want, asset, "一个站,每小时")
    assert asset in typed(venue, wisher, "demand", "show", want, "--lang", "zh")
    typed(venue, wisher, "demand", "withdraw", want)
    assert [one.state for one in wisher.client.demands(every=True)] == ["withdrawn"]
    holders = [owner, venue.regulator, venue.admit("service_provider")]
    keys = {one.id: HolderKey.from_seed(secrets.token_bytes(32)) for one in holders}
    for one in holders:
        one.client.publish_holder_key(keys[one.id].public.hex())
    tender = published(venue, owner, asset, [one.id for one in holders], rule=QUALITY, threshold=2)
    proposal = tmp_path / "proposal.txt"
    proposal.write_text("加密存储,专人专机")
    bidders = [venue.admit("buyer", fen=30_000_00) for _ in range(3)]
    codes = []
    for n, bidder in enumerate(bidders):
        codes.append(joined(bidder, tender))
        price = ("10000.00", "11000.00", "12500.00")[n]
        typed(venue, bidder, "tender", "bid", tender, price, "--proposal", str(proposal))
    venue.administrator.move_clock(20 * DAY_US + 2 * MINUTE_US)
    wait_until(lambda: venue.administrator.tender(tender).state == "opening", "the opening")
    for one in holders[:2]:
        one.client.hand_shares(tender, keys[one.id], at_us=venue.now_us())
    wait_until(lambda: venue.administrator.tender(tender).state == "opened", "the opening")
    experts = venue.admit("service_provider", people=5)
    people = [expert.me().person for expert in experts.people]

    def scored(*points: int) -> None:
        owner.client.appoint_assessors(tender, people)
        marks = tmp_path / "marks.json"
        given = {code: {"数据安全方案": mark} for code, mark in zip(codes, points, strict=True)}
        marks.write_text(json.dumps(given))
        for expert in experts.people[1:]:
            expert.mark_tender(tender, given)
        typed(venue, experts, "tender", "mark", tender, str(marks))

    with pytest.raises(Forbidden, match="no assessor"):
        experts.client.mark_tender(tender, {})
    changed = tmp_path / "changed.txt"
    changed.write_text("加密存储,专人专机。")
    with pytest.raises(Unprocessable, match="sealed was"):
        bidders[0].client.hand_in_proposal(tender, changed)
    assert "handed in" in typed(venue, bidders[0], "tender", "hand-in", tender, str(proposal))
    read = tmp_path / "read.txt"
    assert "sealed" in typed(venue, owner, "tender", "proposal", tender, codes[0], "--out", str(read))
    assert read.read_text() == proposal.read_text()
    with pytest.raises(Forbidden, match="not for you"):
        bidders[1].client.tender_proposal(tender, codes[0], read)
    scored(90, 60, 30)
    wait_until(lambda: venue.administrator.tender(tender).state == "awarded", "the award")
    assert venue.administrator.tender(tender).winner_code == codes[0]
    filed = bidders[2].client.file_protest(tender, "评分与方案不符").outcome["protest"]
    words = ("tender", "decide", tender, filed, "uphold", "属实,重新评分", "--remedy", "rescore")
    typed(venue, venue.regulator, *words)
    assert venue.administrator.tender(tender).state == "opened"
    scored(30, 60, 90)
    wait_until(lambda: venue.administrator.tender(tender).state == "awarded", "the second award")
    view = venue.administrator.tender(tender)
    assert (view.winner_code, view.round) == (codes[2], 2)
    assert codes[2] in typed(venue, bidders[0], "tender", "why", tender, "--lang", "zh")
    assert [protest.state for protest in view.protests] == ["upheld"]
    venue.administrator.move_clock(3 * DAY_US + MINUTE_US)
    wait_until(lambda: venue.administrator.tender(tender).state == "settled", "the settlement")
    assert [licence.asset for licence in bidders[2].client.licences()] == [asset]
    signs = venue.regulator.client.tender_signs(tender).signs or []
    assert {sign["name"] for sign in signs} == {"mixed_documents"}  # the same proposal, three times
    return tender, codes[2]
