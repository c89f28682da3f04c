"""Organisations, people, keys, shareholdings and money, through the real gate."""

from __future__ import annotations

import asyncio
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from confusable_homoglyphs.confusables import confusables_data
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from exchange import credentials, money, parties, rulebook, sales, venue
from exchange.acts import Caller
from exchange.credentials import AddKey, Enrol, Known, RevokeKey, key_digest
from exchange.errors import ExchangeError, Forbidden, Unauthenticated, Unprocessable
from exchange.money import CreditTopUp, Withdraw
from exchange.parties import (
    INVITATION_US,
    EndMembership,
    Holder,
    InvitePerson,
    RegisterParty,
    SetPartyState,
    check_lei,
    check_uscc,
)
from exchange.parties.names import check_own_name, looks
from exchange.replay import replay
from exchange.venue import MoveClock, OpenMarket
from tests.exchange.conftest import ORIGIN, House, uscc
from tests.exchange.floor import DAY_US, Floor, agreement, licence

VISITOR = Caller("enrolment", "enrolment", frozenset())
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


async def fails(house: House, decide: Any, act: Any, caller: Caller) -> str:
    """The code under which an act fails, with a log that did not grow."""
    size = await house.log_size()
    with pytest.raises(ExchangeError) as failed:
        await house.act(decide, act, caller)
    assert await house.log_size() == size
    return failed.value.code


def test_the_example_of_the_standard_passes() -> None:
    check_uscc("91350100M000100Y43")


@given(st.text(ALPHABET, min_size=17, max_size=17), st.integers(0, 16), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_always_noticed(first: str, at: int, other: str) -> None:
    code = first + parties.uscc_check_character(first)
    check_uscc(code)
    if code[at] != other:
        with pytest.raises(Unprocessable):
            check_uscc(code[:at] + other + code[at + 1 :])


@pytest.mark.parametrize(
    "code", ["", "9" * 17, "9" * 19, uscc(1).lower(), "I" + uscc(1)[1:], uscc(1)[:17] + "é"]
)
def test_a_code_of_another_form_is_refused_with_the_rule(code: str) -> None:
    with pytest.raises(Unprocessable) as wrong:
        check_uscc(code)
    assert (wrong.value.code, wrong.value.field) == ("party.uscc", "uscc")
    assert "GB 32100" in str(wrong.value.rule)


LEI = "5493001KJTIIGC8Y1R12"
"""A true one, of the global LEI index."""


@given(st.integers(0, 19), st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
def test_one_wrong_digit_or_letter_of_an_lei_is_always_noticed(at: int, other: str) -> None:
    check_lei(LEI)
    if LEI[at] != other and LEI[at].isdigit() == other.isdigit():  # of digits for letters it misses one in 97
        with pytest.raises(Unprocessable):
            check_lei(LEI[:at] + other + LEI[at + 1 :])


@pytest.mark.parametrize("code", ["", LEI[:-1], LEI + "0", LEI.lower(), LEI[:19] + "²", "-" + LEI[1:]])
def test_an_lei_of_another_form_is_refused(code: str) -> None:
    with pytest.raises(Unprocessable) as wrong:
        check_lei(code)
    assert (wrong.value.code, wrong.value.field) == ("party.lei", "uscc")


@pytest.mark.anyio
async def test_an_organisation_from_abroad_is_admitted_by_its_lei(house: House) -> None:
    admitted = await house.act(
        parties.register_party, RegisterParty(LEI, "abroad", ("buyer",)), house.administrator
    )
    assert admitted["state"] == "active"


@pytest.mark.anyio
async def test_a_market_is_opened_once(house: House) -> None:
    again = OpenMarket(
        ORIGIN,
        "v",
        True,
        "cn-venue",
        rulebook.load("cn-venue").stated(),
        uscc(0),
        "venue",
        "first",
        bytes(32),
    )
    assert await fails(house, venue.open_market, again, Caller("init", "init", frozenset())) == "market.open"


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"roles": ()}, "party.roles"),
    ({"roles": ("buyer", "buyer")}, "party.roles"),
    ({"roles": ("king",)}, "party.roles"),
    ({"roles": ("regulator", "buyer")}, "party.regulator_trades"),
    ({"holders": (Holder("h", 1),)}, "party.holders"),
    ({"roles": ("operator",), "holders": (Holder("h", 0),)}, "party.shares"),
    ({"roles": ("operator",), "holders": (Holder("h", 500_001), Holder("i", 500_000))}, "party.shares"),
    ({"roles": ("operator",), "holders": (Holder("", 1),)}, "text.form"),
    ({"roles": ("operator",), "holders": (Holder("h", 1, "org-none"),)}, "party.unknown"),
    ({"name": ""}, "text.form"),
    ({"name": "a\x00b"}, "text.form"),
    ({"name": "x" * 201}, "text.form"),
    ({"name": "e\u0301"}, "body.not_canonical"),
    ({"uscc": "1" * 18}, "party.uscc"),
    ({"uscc": "5493001KJTIIGC8Y1R13"}, "party.lei"),
    ({"uscc": "5493001KJTIIGC8Y1R1"}, "party.uscc"),
    ({"uscc": "91440101M\u0410" + uscc(1)[10:]}, "party.uscc"),  # a Cyrillic A
    ({"name": "Ten\u0441ent"}, "name.scripts"),  # a Cyrillic s, which looks like a c
    ({"name": "深圳\u0391lpha"}, "name.scripts"),  # a Greek Alpha
    ({"name": "深圳\u200b数据"}, "text.form"),  # a space of no width
    ({"name": "深圳\u202e数据"}, "text.form"),  # and what turns the line round
    ({"roles": ("operator",), "holders": (Holder("Te\u0433ecom", 1),)}, "name.scripts"),
]


@pytest.mark.anyio
async def test_an_organisation_that_cannot_be_is_refused_by_name(house: House) -> None:
    for changed, code in IMPOSSIBLE:
        act = replace(RegisterParty(uscc(77), "an organisation", ("buyer",)), **changed)
        assert await fails(house, parties.register_party, act, house.administrator) == code


@pytest.mark.anyio
async def test_an_organisation_is_registered_once_by_an_administrator(house: House) -> None:
    act = RegisterParty(uscc(77), "an organisation", ("buyer",))
    (buyer,) = await house.party("buyer")
    assert await fails(house, parties.register_party, act, buyer) == "caller.role"
    await house.act(parties.register_party, act, house.administrator)
    assert await fails(house, parties.register_party, act, house.administrator) == "party.registered"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tencent", "\uff34encent"),  # of full width
        ("BOCOM", "\u0412\u041e\u0421\u041e\u041c"),  # all of it Cyrillic
        ("Illumina", "lllumina"),
        ("Data 10", "Data 1O"),
        ("Modern Data", "Modem Data"),
        ("Blue Sky Ltd", "bluesky LTD"),
        ("中国（深圳）数据", "中国(深圳)数据"),
        ("二元数据", "ニ元数据"),  # a Katakana ni
    ],
)
def test_names_that_look_alike_look_the_same(one: str, other: str) -> None:
    assert looks(one) == looks(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Tencent", "Tencend"), ("深圳数据", "深川数据"), ("Data 1", "Data 2")]
)
def test_names_that_are_told_apart_by_sight_do_not(one: str, other: str) -> None:
    assert looks(one) != looks(other)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12), st.data())
def test_a_letter_put_in_the_place_of_one_that_looks_like_it_changes_no_look(
    name: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    alike = [each["c"] for each in confusables_data.get(name[at], ()) if len(each["c"]) == 1]
    kept = [each for each in alike if unicodedata.normalize("NFKC", each) == each]
    other = data.draw(st.sampled_from(kept or [name[at]]))
    assert looks(name[:at] + other + name[at + 1 :]) == looks(name)


@pytest.mark.parametrize(
    "name", ["深圳数据交易所", "Tencent 腾讯（深圳）", "株式会社データ", "Роснефть", "데이터 Lab", "AT&T 2"]
)
def test_a_name_in_the_letters_of_its_own_script_is_one(name: str) -> None:
    check_own_name("name", name)


@pytest.mark.anyio
async def test_a_name_that_only_looks_like_anothers_is_refused_and_a_namesake_is_not(house: House) -> None:
    first = RegisterParty(uscc(77), "BOCOM", ("buyer",))
    party = (await house.act(parties.register_party, first, house.administrator))["id"]
    alike = replace(first, uscc=uscc(78), name="\u0412\u041e\u0421\u041e\u041c")
    with pytest.raises(ExchangeError, match=party) as refused:
        await house.act(parties.register_party, alike, house.administrator)
    assert (refused.value.code, refused.value.field) == ("party.name_alike", "name")
    assert (await house.act(parties.register_party, replace(alike, name="BOCOM"), house.administrator))["id"]


@pytest.mark.anyio
async def test_where_the_rules_ask_for_a_review_an_applicant_trades_once_its_documents_are_accepted(
    house: House,
) -> None:
    from tests.exchange.test_rule_changes import BOOK, decided, proposed

    floor = await Floor.open(house)
    listing = await floor.listing(licence(1_000, 3))
    (board,) = await house.party("governing_body")
    rule = "parties.review_required"
    await decided(
        house,
        board,
        await proposed(house, house.administrator, {rule: {**BOOK[rule].to_json(), "value": True}}),
    )
    house.now_us += DAY_US
    (applicant,) = await house.party("buyer")
    (bank,) = await house.party("bank")  # trades nothing: nothing is to be shown
    await house.act(money.credit_top_up, CreditTopUp(applicant.party, 100_000, "slip"), bank)
    bought = sales.Buy(listing, 1)
    assert await fails(house, sales.buy, bought, applicant) == "party.applicant"
    state = SetPartyState(applicant.party, "active", "because")
    assert await fails(house, parties.set_party_state, state, house.administrator) == "party.applicant"
    for number, (kind, decision) in enumerate(
        (("other", "accept"), ("business_licence", "refuse"), ("business_licence", "accept"))
    ):
        assert await fails(house, sales.buy, bought, applicant) == "party.applicant"
        digest = f"{number:064x}"
        await house.act(parties.file_document, parties.FileDocument(applicant.party, kind, digest), applicant)
        review = parties.ReviewDocument(applicant.party, digest, decision, "seen")
        told = await house.act(parties.review_document, review, house.administrator)
        assert told["admitted"] is (number == 2)
    assert (await house.act(sales.buy, bought, applicant))["state"] == "settled"
    market = replay(await floor.bodies(), await floor.openings())
    assert (market.differences, market.parties[applicant.party]) == ([], "active")


@pytest.mark.anyio
async def test_the_last_administrator_does_not_leave(house: House) -> None:
    leave = EndMembership(house.administrator.person)
    assert await fails(house, parties.end_membership, leave, house.administrator) == "person.last"
    (second,) = await house.party("administrator")
    await house.act(parties.end_membership, leave, second)


@pytest.mark.anyio
async def test_names_and_codes_stand_in_the_log_only_as_commitments(house: House) -> None:
    reply = await house.gate.perform(
        parties.register_party,
        RegisterParty(
            uscc(78), "深圳数据有限公司", ("operator",), (Holder("国资委", 490_000), Holder("工会", 510_000))
        ),
        caller=house.administrator,
        key="k",
    )
    receipt = await house.gate.receipt(reply.index)
    for secret in (uscc(78), "深圳", "国资委", "工会"):
        assert secret.encode() not in receipt.body
    assert b'"share_ppm":"490000"' in receipt.body


@pytest.mark.anyio
async def test_a_link_works_once_and_for_72_hours(house: House) -> None:
    (buyer,) = await house.party("buyer")

    async def invite(token: str) -> bytes:
        act = InvitePerson(buyer.party, "somebody", key_digest(token))
        await house.act(parties.invite_person, act, house.administrator)
        return key_digest(token)

    used, late = await invite("t1"), await invite("t2")
    house.now_us += INVITATION_US - 1
    await house.act(credentials.enrol, Enrol(used, key_digest("k1"), "first"), VISITOR)
    gone = [
        await fails(house, credentials.enrol, Enrol(token, key_digest("k2"), "first"), VISITOR)
        for token in (used, key_digest("never"))
    ]
    house.now_us += 1
    gone.append(await fails(house, credentials.enrol, Enrol(late, key_digest("k3"), "first"), VISITOR))
    assert set(gone) == {"invitation.unknown"}
    (known,) = await house.gate.read(credentials.authenticate, ["k1"], house.now_us, b"k" * 32)
    assert isinstance(known, Known)
    assert (known.caller.party, known.caller.roles) == (buyer.party, frozenset({"buyer"}))


@pytest.mark.anyio
async def test_a_token_and_a_key_belong_to_one_person(house: House) -> None:
    (buyer,), (other,) = await house.party("buyer"), await house.party("supplier")
    act = InvitePerson(buyer.party, "somebody", key_digest("t"))
    await house.act(parties.invite_person, act, buyer)  # a colleague
    assert await fails(house, parties.invite_person, act, buyer) == "invitation.token"
    assert await fails(house, parties.invite_person, replace(act, token_digest=b"x"), buyer) == "digest.form"
    assert (
        await fails(house, parties.invite_person, replace(act, token_digest=key_digest("u")), other)
        == "caller.role"
    )
    await house.act(credentials.add_key, AddKey(key_digest("second"), "laptop"), buyer)
    assert (
        await fails(house, credentials.add_key, AddKey(key_digest("second"), "laptop"), other) == "key.known"
    )


@pytest.mark.anyio
async def test_a_revoked_key_calls_nobody_and_anothers_looks_unknown(house: House) -> None:
    (buyer,), (other,) = await house.party("buyer"), await house.party("buyer")
    await house.act(credentials.add_key, AddKey(key_digest("second"), "laptop"), buyer)
    codes = [
        await fails(house, credentials.revoke_key, RevokeKey(key_digest(secret)), other)
        for secret in ("second", "nobody's")
    ]
    assert codes == ["key.unknown"] * 2
    secrets = ["second", "nobody's", house.keys[buyer.person]]
    second, nobody, first = await house.gate.read(credentials.authenticate, secrets, house.now_us, b"k" * 32)
    assert isinstance(second, Known)
    assert isinstance(first, Known)
    assert isinstance(nobody, Unauthenticated)
    assert second.caller.person == first.caller.person == buyer.person
    await house.act(credentials.revoke_key, RevokeKey(key_digest("second")), buyer)
    revoked, unknown, still = await house.gate.read(
        credentials.authenticate, secrets, house.now_us, b"k" * 32
    )
    assert isinstance(revoked, Unauthenticated)
    assert isinstance(unknown, Unauthenticated)
    assert revoked.problem() == unknown.problem() == nobody.problem()
    assert isinstance(still, Known)
    assert still.caller.person == buyer.person


@pytest.mark.anyio
async def test_money_comes_from_the_bank_and_what_is_free_goes_out(house: House) -> None:
    floor = await Floor.open(house, fen=500)
    buyer = floor.buyers[0]
    up = CreditTopUp(buyer.party, 1, "ref")
    assert await fails(house, money.credit_top_up, up, buyer) == "caller.role"
    for act, code in (
        (replace(up, amount_fen=0), "transfer.amount_out_of_range"),
        (replace(up, amount_fen=2**63), "transfer.amount_out_of_range"),
        (replace(up, amount_fen=2**63 - 1), "transfer.overflows_debits"),
        (replace(up, party="org-none", amount_fen=0), "transfer.amount_out_of_range"),
        (replace(up, party="\x00"), "text.form"),
    ):
        assert await fails(house, money.credit_top_up, act, floor.bank) == code
    assert await fails(house, money.withdraw, Withdraw(501), buyer) == "transfer.exceeds_credits"
    assert await fails(house, money.withdraw, Withdraw(0), buyer) == "transfer.amount_out_of_range"
    assert await fails(house, money.withdraw, Withdraw(1), floor.regulator) == "party.no_account"
    await house.act(money.withdraw, Withdraw(500), buyer)
    assert await floor.money(buyer) == (0, 0)


@pytest.mark.anyio
async def test_agreements_are_the_departments_own_and_a_new_one_replaces_the_old(house: House) -> None:
    floor = await Floor.open(house)
    act = agreement(floor.operator.party, 300_000)
    for wrong, caller, code in (
        (act, floor.buyers[0], "caller.role"),
        (replace(act, operator=floor.buyers[0].party), floor.seller, "agreement.operator"),
        (replace(act, operator="org-none"), floor.seller, "party.unknown"),
        (replace(act, share_ppm=1_000_000), floor.seller, "agreement.share"),
        (replace(act, share_ppm=-1), floor.seller, "agreement.share"),
        (replace(act, parts={**act.parts, "exit": " "}), floor.seller, "agreement.parts"),
        (
            replace(act, parts={n: t for n, t in act.parts.items() if n != "duties"}),
            floor.seller,
            "agreement.parts",
        ),
        (replace(act, parts={**act.parts, "bonus": "more"}), floor.seller, "agreement.parts"),
        (replace(act, ends_us=act.starts_us), floor.seller, "agreement.term"),
        (replace(act, ends_us=act.starts_us + 1_828 * DAY_US), floor.seller, "agreement.term"),
        (
            replace(act, starts_us=act.starts_us - DAY_US, ends_us=house.now_us),
            floor.seller,
            "agreement.term",
        ),
    ):
        assert await fails(house, parties.agree_operation, wrong, caller) == code
    for ppm in (300_000, 0, 999_999):
        await house.act(parties.agree_operation, replace(act, share_ppm=ppm), floor.seller)
        assert await floor.rows("SELECT share_ppm FROM operating_agreement") == [(ppm,)]


@pytest.mark.anyio
async def test_only_regulators_and_administrators_suspend_with_a_reason_that_stays_sealed(
    house: House,
) -> None:
    floor = await Floor.open(house)
    act = SetPartyState(floor.buyers[0].party, "suspended", "涉嫌围标")
    assert await fails(house, parties.set_party_state, act, floor.buyers[1]) == "caller.role"
    for changed, code in (
        ({"state": "gone"}, "party.state"), ({"reason": " "}, "text.form"), ({"party": "org-none"}, "party.unknown"),
    ):  # fmt: skip
        wrong = replace(act, **changed)
        assert await fails(house, parties.set_party_state, wrong, floor.regulator) == code
    reply = await house.gate.perform(parties.set_party_state, act, caller=floor.regulator, key="halt")
    assert "围标".encode() not in (await house.gate.receipt(reply.index)).body


@pytest.mark.anyio
async def test_only_a_sandbox_moves_its_clock_and_only_forward(house: House) -> None:
    (buyer,) = await house.party("buyer")
    assert await fails(house, venue.move_clock, MoveClock(1), buyer) == "caller.role"
    for step in (0, -1, 366 * 86_400_000_000 + 1):
        assert await fails(house, venue.move_clock, MoveClock(step), house.administrator) == "clock.step"
    before = await house.gate.now_us()
    await house.act(venue.move_clock, MoveClock(5_000_000), house.administrator)
    assert await house.gate.now_us() == before + 5_000_000


@pytest.mark.anyio
async def test_a_production_market_moves_no_clock(house: House) -> None:
    connection = await house.gate.database.connect()
    await connection.execute("UPDATE market SET sandbox = false")
    await connection.commit()
    await connection.close()
    assert await fails(house, venue.move_clock, MoveClock(1), house.administrator) == "clock.production"


def test_a_refusal_for_the_role_says_which_roles_may() -> None:
    with pytest.raises(Forbidden) as refused:
        Caller("p", "o", frozenset({"buyer"})).require("bank", "regulator")
    assert "bank or regulator" in refused.value.detail


def link(number: int) -> bytes:
    return credentials.key_digest(f"link {number}")


async def joins(house: House, inviter: Caller, number: int, **term: Any) -> Caller:
    """Invite a colleague, who enrols a key."""
    act = InvitePerson(inviter.party, f"colleague {number}", link(number), **term)
    person = (await house.act(parties.invite_person, act, inviter))["id"]
    secret = f"secret of colleague {number}"
    enrol = credentials.Enrol(link(number), credentials.key_digest(secret), "key")
    await house.act(credentials.enrol, enrol, VISITOR)
    house.keys[person] = secret
    return replace(inviter, person=person)


@pytest.mark.anyio
async def test_who_leaves_acts_for_nobody_from_that_entry_on(house: House) -> None:
    floor = await Floor.open(house)
    stays, (stranger,) = floor.buyers[0], await house.party("bank")
    goes = await joins(house, stays, 1)
    public = bytes(SigningKey(bytes(32)).verify_key).hex()
    signing = await house.done(goes, "/v1/signing-keys", {"public": public, "label": "program"})
    await house.done(goes, "/v1/keys", {"key_digest": "ab" * 32, "label": "second"})
    never = InvitePerson(stays.party, "never came", link(2))
    waiting = (await house.act(parties.invite_person, never, stays))["id"]
    for who, person in ((stranger, goes.person), (stays, "per-none")):
        assert await fails(house, parties.end_membership, EndMembership(person), who) == "person.unknown"
    told = await house.done(stays, f"/v1/people/{goes.person}/departure")
    assert (len(told["keys"]), told["signing_keys"]) == (2, [signing["id"]])
    await asyncio.sleep(1.1)  # what a process has cached of a caller stands for a second
    assert (await house.call(goes, "GET", "/v1/me")).status_code == 401
    assert {row["state"] for row in (await house.call(stays, "GET", "/v1/signing-keys")).json()} == {
        "revoked"
    }
    keys = {row["person"]: row["state"] for row in (await house.call(stays, "GET", "/v1/keys")).json()}
    assert keys == {goes.person: "revoked", stays.person: "active"}
    again = EndMembership(goes.person)
    assert await fails(house, parties.end_membership, again, house.administrator) == "person.left"
    # A link that is still open ends too, and an administrator may do it for any party.
    await house.act(parties.end_membership, EndMembership(waiting), house.administrator)
    enrol = credentials.Enrol(link(2), credentials.key_digest("too late"), "key")
    assert await fails(house, credentials.enrol, enrol, VISITOR) == "invitation.unknown"
    shown = {row["person"]: row["state"] for row in (await house.call(stays, "GET", "/v1/people")).json()}
    assert shown == {stays.person: "active", goes.person: "left", waiting: "left"}
    market = replay(await floor.bodies(), await floor.openings())
    assert (market.differences, signing["id"] in market.signing_keys) == ([], False)


@pytest.mark.anyio
async def test_a_deputy_acts_until_the_term_is_over(house: House) -> None:
    (chief,), (other,) = await house.party("buyer"), await house.party("buyer")
    until_us = house.now_us + DAY_US
    base = InvitePerson(chief.party, "a deputy", link(3), chief.person, until_us)
    for changed, code in (
        ({"deputy_of": None}, "person.deputy_term"),
        ({"until_us": None}, "person.deputy_term"),
        ({"until_us": house.now_us}, "person.deputy_term"),
        ({"until_us": house.now_us + 366 * DAY_US}, "person.deputy_term"),
        ({"deputy_of": other.person}, "person.unknown"),
        ({"deputy_of": "per-none"}, "person.unknown"),
    ):
        assert await fails(house, parties.invite_person, replace(base, **changed), chief) == code
    deputy = await joins(house, chief, 3, deputy_of=chief.person, until_us=until_us)
    assert (await house.call(deputy, "GET", "/v1/me")).status_code == 200
    house.now_us = until_us - 1
    await asyncio.sleep(1.1)
    assert (await house.call(deputy, "GET", "/v1/me")).status_code == 200
    house.now_us = until_us
    await asyncio.sleep(1.1)
    assert (await house.call(deputy, "GET", "/v1/me")).status_code == 401
    (shown, _) = (await house.call(chief, "GET", "/v1/people")).json()
    assert (shown["state"], shown["deputy_of"]) == ("ended", chief.person)
    await house.act(parties.end_membership, EndMembership(deputy.person), chief)
    left = replace(base, token_digest=link(4), deputy_of=deputy.person, until_us=house.now_us + DAY_US)
    assert (
        await fails(house, parties.invite_person, left, chief) == "person.unknown"
    )  # nobody to stand in for


@pytest.mark.anyio
async def test_a_document_is_shown_by_its_digest_and_another_person_reviews_it(house: House) -> None:
    floor = await Floor.open(house)
    owner, (second,) = floor.buyers[0], await house.party("administrator")
    digest = "ab" * 32
    filed = parties.FileDocument(owner.party, "business_licence", digest, house.now_us + DAY_US)
    for changed, who, code in (
        ({"kind": "poem"}, owner, "document.kind"),
        ({"expires_us": house.now_us}, owner, "document.expired"),
        ({"party": "org-none"}, house.administrator, "party.unknown"),
        ({}, floor.buyers[1], "caller.role"),
    ):
        assert await fails(house, parties.file_document, replace(filed, **changed), who) == code
    await house.act(parties.file_document, filed, owner)
    assert await fails(house, parties.file_document, filed, house.administrator) == "document.filed"
    own = replace(filed, document="cd" * 32, expires_us=None)  # at the counter, by a clerk of the venue
    await house.act(parties.file_document, own, second)
    review = parties.ReviewDocument(owner.party, own.document, "accept", "the register says so")
    for changed, who, code in (
        ({}, owner, "caller.role"),
        ({}, second, "document.four_eyes"),
        ({"document": "ef" * 32}, house.administrator, "document.unknown"),
        ({"decision": "perhaps"}, house.administrator, "document.decision"),
        ({"reason": ""}, house.administrator, "text.form"),
    ):
        assert await fails(house, parties.review_document, replace(review, **changed), who) == code
    await house.act(parties.review_document, review, house.administrator)
    assert await fails(house, parties.review_document, review, house.administrator) == "document.reviewed"
    path = f"/v1/parties/{owner.party}/documents"
    shown = [(row["state"], row["reason"]) for row in (await house.call(owner, "GET", path)).json()]
    assert shown == [("accepted", "the register says so"), ("filed", None)]
    house.now_us += DAY_US
    assert [row["state"] for row in (await house.call(owner, "GET", path)).json()] == ["accepted", "expired"]
    its_own = parties.FileDocument(second.party, "other", "12" * 32)
    await house.act(parties.file_document, its_own, house.administrator)
    of_its_own = parties.ReviewDocument(second.party, its_own.document, "accept", "mine")
    assert await fails(house, parties.review_document, of_its_own, second) == "document.four_eyes"
