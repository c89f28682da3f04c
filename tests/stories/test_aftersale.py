"""The stories after a sale, typed as commands and called through the SDK."""

from __future__ import annotations

import json
import re
from pathlib import Path

from exchange.messages.market import OfferMessage
from tests.stories.conftest import HOUR_US, Department, Member, Venue, wait_until
from tests.stories.test_bank import cli


def bought(venue: Venue, owner: Member, buyer: Member, asset: str, term_days: int = 365) -> str:
    """A licence of an asset, bought at a fixed price of ten thousand yuan."""
    offer = OfferMessage(grant="licence", licences=3, term_days=term_days, price_fen=10_000_00)
    sale = buyer.client.buy(owner.client.offer_fixed_price(asset, offer).outcome["id"])
    licence: str = sale.outcome["voucher"]["licence"]
    return licence


def test_S27_a_refused_acceptance_is_mediated_and_the_money_goes_back_in_part(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    owner, buyer = venue.admit("supplier", people=2), venue.admit("buyer", fen=50_000_00)
    mediator = venue.admit("service_provider")
    licence = bought(venue, owner, buyer, venue.registered_asset(owner, weather))
    assert f"{licence}" in cli(venue, buyer.client, "acceptance", "list")
    free_fen = buyer.client.me().available_fen
    proof = tmp_path / "gap.csv"
    proof.write_text("station,observed\nEWR,2026-01-01\n")
    words = ("acceptance", "object", licence, "incomplete", "a month is missing", "--evidence", str(proof))
    assert "a mediator is named before" in cli(venue, buyer.client, *words)
    person = mediator.client.me().person
    named = cli(venue, venue.regulator.client, "acceptance", "mediator", licence, person, "--lang", "zh")
    assert f"{person} 调解 {licence}" in named
    award = ("--order", "award 2026-7", "--reason", "one month of twelve")
    decided = cli(
        venue,
        mediator.client,
        "acceptance",
        "decide",
        licence,
        "reduce",
        "--refund",
        "2500",
        *award,
        "--json",
    )
    said = json.loads(decided.splitlines()[-1])["outcome"]
    assert (said["state"], said["refund"]) == ("reduced", "paid")
    back_fen = buyer.client.me().available_fen
    assert free_fen is not None
    assert back_fen == free_fen + 2_500_00 + 25_00  # with the quarter of the commission
    told = cli(venue, owner.client, "acceptance", "list")
    assert "price reduced 2,500.00 paid" in told
    assert "→ award 2026-7: one month of twelve" in told
    assert cli(venue, venue.regulator.client, "acceptance", "list", "--overdue") == ""
    again = ("acceptance", "decide", licence, "refund", *award)
    cli(venue, mediator.client, *again, expect=1)


def test_S59_a_complaint_without_an_account_ends_in_an_answer_and_a_voucher_holder_rates(
    venue: Venue, weather: Department
) -> None:
    owner, buyer = venue.admit("supplier", people=2), venue.admit("buyer", fen=50_000_00)
    asset = venue.registered_asset(owner, weather)
    licence = bought(venue, owner, buyer, asset)
    visitor = venue.client()
    filed = visitor.file_complaint("data", "no sheet says what a column means", asset=asset, contact="box 7")
    name = filed.done.outcome["complaint"]
    assert visitor.follow_complaint(filed.number).state == "open"
    listed = cli(venue, owner.client, "complaints", "list")
    assert f"{name} {asset} data open" in listed
    assert "no sheet says what a column means (box 7)" in listed
    assert cli(venue, venue.regulator.client, "complaints", "list", "--overdue") == ""
    venue.administrator.move_clock(40 * 24 * HOUR_US)
    wait_until(
        lambda: "overdue" in cli(venue, owner.client, "complaints", "list"), "the complaint to be overdue"
    )
    cli(venue, venue.regulator.client, "complaints", "list", "--overdue", expect=1)
    reply = "the department puts the sheet up"
    answered = cli(
        venue, venue.regulator.client, "complaints", "answer", name, "uphold", reply, "--lang", "zh"
    )
    assert f"{name} 成立" in answered
    assert reply in cli(venue, buyer.client, "complaints", "follow", filed.number)

    rating = ("ratings", "give", licence, "5", "4", "3", "2", "--text", "every hour is there")
    assert f"your rating of {licence} is given" in cli(venue, buyer.client, *rating)
    (said,) = visitor.ratings(asset).ratings
    cli(venue, owner.client, "ratings", "reply", said.rating, "thank you")
    shown = cli(venue, buyer.client, "ratings", "show", asset, "--lang", "zh")
    assert "覆盖度" in shown
    assert "→ thank you" in shown
    assert "2.00" in cli(venue, buyer.client, "ratings", "show", owner.id)


def test_S52_a_use_case_stands_beside_the_asset_and_the_data_are_deleted_in_the_end(
    venue: Venue, weather: Department
) -> None:
    owner, buyer = venue.admit("supplier", people=2), venue.admit("buyer", fen=50_000_00)
    asset = venue.registered_asset(owner, weather)
    licence = bought(venue, owner, buyer, asset, term_days=30)
    told = ("usecases", "propose", licence, "where it floods", "warns an hour ahead", "--json")
    name = json.loads(cli(venue, buyer.client, *told).splitlines()[-1])["outcome"]["use_case"]
    assert f"{name} {asset} where it floods proposed" in cli(venue, owner.client, "usecases", "list")
    said = cli(venue, owner.client, "usecases", "decide", name, "consent", "--lang", "zh")
    assert f"{name} 已发布" in said
    assert "warns an hour ahead" in cli(venue, buyer.client, "usecases", "show", asset)
    cli(venue, buyer.client, "usecases", "withdraw", name, "the product ended")
    assert venue.client().use_cases_of(asset) == []

    deletion = ("deletion", "declare", licence, "purge", "--person", "Zhang San")
    cli(venue, buyer.client, *deletion, expect=1)  # the term runs
    venue.administrator.move_clock(60 * 24 * HOUR_US)
    overdue = ("deletion", "list", "--overdue")
    assert "overdue" in cli(venue, venue.regulator.client, *overdue, expect=1)
    assert "declared deleted" in cli(venue, buyer.client, *deletion)
    assert cli(venue, venue.regulator.client, *overdue) == ""
    assert "purge Zhang San" in cli(venue, owner.client, "deletion", "list")


def test_a_person_asks_whether_a_record_about_them_is_inside_and_the_exchange_learns_nothing(
    venue: Venue, weather: Department, tmp_path: Path
) -> None:
    owner = venue.admit("supplier", people=2)
    asset = venue.registered_asset(owner, weather)
    key = tmp_path / "inquiry.key"
    fingerprint = re.search("[0-9a-f]{64}", cli(venue, owner.client, "inquiries", "key", "--out", str(key)))
    assert fingerprint is not None
    assert key.stat().st_mode & 0o077 == 0
    raw = tmp_path / "raw.csv"
    raw.write_text(
        "身份证号,姓名,observed\n11010119900307881X,张三,2026-01-01\n310101198505051234,李四,2026-01-02\n"
    )
    asked = []
    for number, who in enumerate(
        ({"resident_id": "11010119900307881x", "person_name": "张 三"}, {"resident_id": "440101199901010000"})
    ):
        form, mine = tmp_path / f"who{number}.json", tmp_path / f"mine{number}.json"
        form.write_text(json.dumps(who))
        ask = ("inquiries", "ask", asset, str(form), "--out", str(mine))
        cli(venue, owner.client, *ask, "--fingerprint", "00" * 32, expect=1)
        assert not mine.exists()
        cli(venue, owner.client, *ask, "--fingerprint", fingerprint[0])
        asked.append(json.loads(mine.read_text()))
        assert "open" in cli(venue, owner.client, "inquiries", "read", str(mine))
    questions, answers = tmp_path / "questions.json", tmp_path / "answers.json"
    cli(venue, owner.client, "inquiries", "fetch", "--out", str(questions))
    assert "881" not in questions.read_text()
    cli(
        venue, owner.client, "desensitize", "look-up", str(questions), str(raw), "--asset", asset, "--key", str(key),
        "--column", "resident_id=身份证号", "--column", "person_name=姓名", "--out", str(answers),
        "--checked", asked[0]["inquiry"], "--checked", asked[1]["inquiry"],
    )  # fmt: skip
    for _ in range(2):  # sent again, each counts once
        cli(venue, owner.client, "inquiries", "answer", str(answers))
    assert "a record about you is inside" in cli(
        venue, owner.client, "inquiries", "read", str(tmp_path / "mine0.json")
    )
    assert "没有您的记录" in cli(
        venue, owner.client, "inquiries", "read", str(tmp_path / "mine1.json"), "--lang", "zh"
    )
    told = cli(venue, venue.regulator.client, "inquiries", "list")
    assert told.count("answered") == 2
    assert cli(venue, venue.regulator.client, "inquiries", "list", "--overdue") == ""
