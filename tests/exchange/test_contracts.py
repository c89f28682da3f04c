"""A contract is complete or refused, hashed clause by clause, and signed by both sides with keys of their own."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from exchange.client.contracts import require_same_terms, verify_contract
from exchange.client.errors import Unproven
from exchange.contracts import (
    TEMPLATES,
    Use,
    complete,
    contract_statement,
    draw_up,
    permit,
    standing_terms,
    stands,
    template,
)
from exchange.errors import Unprocessable
from exchange.messages.contracts import TermsView
from exchange.replay import Replay
from exchange.signing import key_id_of
from ledger.checkpoint import Verifier
from ledger.entries import canonical
from ledger.merkle import leaf_hash, root

STARTS_US, DAY_US = 1_790_000_000_000_000, 86_400_000_000
SOLD = {
    "trade": "trade-1", "buyer": "org-2", "buyer_name": "ab" * 32, "seller_name": "cd" * 32, "licence": "lic-1",
    "licences": "1", "price_fen": "123456789", "starts_us": str(STARTS_US), "ends_us": str(STARTS_US + 30 * DAY_US),
    "purposes": "any", "acceptance_days": "5", "mediator_days": "3",
}  # fmt: skip
LISTED = {
    "listing": "lst-1", "seller": "org-1", "asset": "ast-1", "asset_code": "D1", "term_days": "30",
    "exclusive_reason": "", "grant": "licence",
}  # fmt: skip
FILLED = {
    "provision": {},
    "entrusted": {"processing_task": "count the floods", "result_form": "a table", "processing_place": "exchange"},
    "fusion": {
        "development_goal": "a flood index", "buyer_contribution": "claims by street", "fusion_place": "exchange",
        "result_rights": "joint", "supplier_income_percent": "30",
    },
    "intermediation": {
        "intermediary": "a broker", "service_scope": "introduction", "commission_borne_by": "both",
    },
}  # fmt: skip


def values(name: str = "provision", **changed: str) -> dict[str, str]:
    return {**SOLD, **LISTED, **complete(name, FILLED[name]), **changed}


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_form_reads_whole_in_both_languages_with_its_clauses_numbered(name: str) -> None:
    contract = draw_up(name, values(name))
    assert [clause["number"] for clause in contract.clauses] == [
        str(n + 1) for n in range(len(contract.clauses))
    ]
    for clause in contract.clauses:
        for language in ("zh", "en"):
            assert clause[language]
            assert not set("{}〔[") & set(clause[language])
    told = {clause["name"] for clause in contract.clauses}
    assert {"subject", "rights", "delivery", "fee", "acceptance", "objection", "deletion"} <= told
    every = "".join(clause["zh"] for clause in contract.clauses)
    for value in ("org-1", "org-2", "ast-1", "1,234,567.89", "lic-1", *FILLED[name].values()):
        if value not in ("exchange", "joint", "both"):
            assert value in every


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_contract_with_any_blank_left_open_or_filled_wrongly_is_refused_by_its_name(name: str) -> None:
    whole = values(name)
    for blank in template(name).blanks.values():
        short = {key: value for key, value in whole.items() if key != blank.name}
        with pytest.raises(Unprocessable) as refused:
            draw_up(name, short)
        assert (refused.value.code, refused.value.field) == (
            "contract.incomplete",
            f"terms.{blank.name}",
        )
        if blank.kind == "note":
            continue
        with pytest.raises(Unprocessable) as refused:
            draw_up(name, {**whole, blank.name: "\n"})
        assert (refused.value.code, refused.value.field) == (
            "contract.value",
            f"terms.{blank.name}",
        )
    with pytest.raises(Unprocessable) as refused:
        complete(name, {**FILLED[name], "price_fen": "1"})
    assert refused.value.code == "contract.blank"


@pytest.mark.parametrize(
    ("blank", "good", "bad"),
    [
        ("deletion_days", ("0", "180"), ("", "181", "05", "-1", "５")),
        ("calls_at_most", ("1", "unlimited"), ("0", "many", "1.5")),
        ("regions", ("CN", "CN-GD,HK", "any"), ("", "cn", "CN,", "any,CN", "China")),
        ("sublicence", ("forbidden", "allowed"), ("perhaps",)),
    ],
)
def test_each_kind_of_blank_takes_what_its_rule_says(
    blank: str, good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    for value in good:
        assert complete("provision", {blank: value})[blank] == value
    for value in bad:
        with pytest.raises(Unprocessable) as refused:
            complete("provision", {blank: value})
        assert refused.value.rule == template("provision").blanks[blank].rule()


def test_the_digest_is_the_merkle_root_over_head_clauses_and_policy() -> None:
    contract = draw_up("provision", values())
    head = {
        "template": "provision",
        "template_digest": template("provision").digest,
        "values": contract.values,
    }
    leaves = [leaf_hash(canonical(leaf)) for leaf in (head, *contract.clauses, contract.policy)]
    assert contract.digest == root(leaves).hex()


@given(
    st.sampled_from([blank.name for blank in template("provision").blanks.values() if blank.kind == "name"])
)
def test_another_value_in_any_blank_is_another_contract(blank: str) -> None:
    assert draw_up("provision", values(**{blank: "other"})).digest != draw_up("provision", values()).digest


@given(
    buyer=st.from_regex(r"org-[0-9a-f]{4}", fullmatch=True),
    price=st.integers(0, 2**53),
    purpose=st.sampled_from(["any", "research", "research,education"]),
)
def test_every_contract_of_a_listing_has_the_same_standing_terms(
    buyer: str, price: int, purpose: str
) -> None:
    sold = values(buyer=buyer, price_fen=str(price), purposes=purpose)
    listed = {**LISTED, **complete("provision", {})}
    assert standing_terms("provision", sold).digest == standing_terms("provision", listed).digest
    assert (
        standing_terms("provision", {**sold, "deletion_days": "6"}).digest
        != standing_terms("provision", listed).digest
    )


def test_the_policy_says_in_odrl_what_the_clauses_say_in_words() -> None:
    policy = draw_up(
        "provision", values(grant="exclusive", sublicence="allowed", purposes="research", bytes_at_most="9")
    ).policy
    assert policy is not None
    assert (policy["@context"], policy["@type"]) == ("http://www.w3.org/ns/odrl.jsonld", "Agreement")
    use, hand_on = policy["permission"]
    assert (use["action"], hand_on["action"]) == ("use", "grantUse")
    assert [one["leftOperand"].rpartition("#")[2] for one in use["constraint"]] == [
        "dateTime", "dateTime", "purpose", "spatial", "bytes",
    ]  # fmt: skip
    (exclusive,) = policy["prohibition"]
    assert (exclusive["assignee"], exclusive["action"]) == ("urn:data-asset-exchange:party:org-1", "grantUse")
    (erase,) = policy["obligation"]
    assert (erase["assignee"], erase["action"]) == ("urn:data-asset-exchange:party:org-2", "delete")
    assert erase["constraint"][0]["rightOperand"]["@value"] == "2026-11-05T14:13:20.000000Z"
    (handing_on,) = (draw_up("provision", values()).policy or {})["prohibition"]
    assert (handing_on["assignee"], handing_on["action"]) == (
        "urn:data-asset-exchange:party:org-2",
        "grantUse",
    )


@given(
    now=st.integers(STARTS_US - DAY_US, STARTS_US + 31 * DAY_US),
    calls=st.integers(0, 5),
    sent=st.integers(0, 12),
    purpose=st.sampled_from([None, "research", "industry"]),
    region=st.sampled_from([None, "CN", "CN-GD", "HK", "US"]),
)
def test_the_policy_is_judged_as_its_limits_say(
    now: int, calls: int, sent: int, purpose: str | None, region: str | None
) -> None:
    limits = {
        "purposes": "research,education",
        "regions": "CN,HK",
        "calls_at_most": "3",
        "bytes_at_most": "10",
    }
    policy = draw_up("provision", values(**limits)).policy
    assert policy is not None
    permitted = (
        STARTS_US <= now < STARTS_US + 30 * DAY_US
        and calls <= 3
        and sent <= 10
        and purpose != "industry"
        and region != "US"
    )
    assert (permit(policy, Use(now, calls, sent, purpose, region)) is None) == permitted


def test_a_signature_is_of_one_market_one_side_one_digest_and_one_key() -> None:
    key, other = SigningKey(bytes(32)), SigningKey(bytes([1]) * 32)
    statement = contract_statement("a/market", "buyer", "ab" * 32)
    signature = key.sign(statement).signature
    assert stands(statement, signature, bytes(key.verify_key))
    for changed in (
        contract_statement("another", "buyer", "ab" * 32),
        contract_statement("a/market", "seller", "ab" * 32),
        contract_statement("a/market", "buyer", "cd" * 32),
    ):
        assert not stands(changed, signature, bytes(key.verify_key))
    assert not stands(statement, signature, bytes(other.verify_key))
    assert not stands(statement, b"", bytes(key.verify_key))


@pytest.fixture
async def sold(house: Any, patients: Any) -> tuple[Any, Any, str, str]:
    """Supplier, buyer, listing and trade of a licence whose contract nobody has signed."""
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    await house.done(supplier[0], f"/v1/assets/{asset}/appraisals", house.appraisal())
    terms = {"calls_at_most": "2", "deletion_days": "7"}
    offer = {"grant": "licence", "licences": "5", "term_days": "30", "price_fen": "100000", "terms": terms}
    for wrong, code in (({"terms": {"calls_at_most": "0"}}, "value"), ({"contract": "fusion"}, "incomplete")):
        await house.problem(
            supplier[0], "POST", "/v1/listings", {"asset": asset, "offer": {**offer, **wrong}},
            status=422, code=f"contract.{code}",
        )  # fmt: skip
    listed = await house.done(supplier[0], "/v1/listings", {"asset": asset, "offer": offer})
    buyer, licence = await house.sell_again(asset, signed=False)
    trade = (await house.call(buyer, "GET", f"/v1/licences/{licence}")).json()["trade"]
    return supplier[0], buyer, listed["id"], trade


@pytest.mark.anyio
async def test_both_sides_sign_and_a_stranger_verifies_it_offline(house: Any, sold: Any) -> None:
    seller, buyer, listing, trade = sold
    path = f"/v1/trades/{trade}/contract"
    shown = (await house.call(buyer, "GET", path)).json()
    licence, digest = shown["licence"], shown["digest"]
    assert (shown["state"], shown["values"]["calls_at_most"], shown["values"]["deletion_days"]) == (
        "drawn",
        "2",
        "7",
    )
    assert shown == (await house.call(seller, "GET", path)).json()
    link = f"/v1/licences/{licence}/links"
    await house.problem(buyer, "POST", link, {}, status=409, code="contract.unsigned")
    terms = (await house.call(None, "GET", f"/v1/listings/{listing}/contract")).json()
    require_same_terms(TermsView.model_validate(terms))

    # Only a side signs, with a standing key of its own, over this very digest.
    stranger = (await house.party("buyer"))[0]
    key = SigningKey(b"s" * 32)
    public = bytes(key.verify_key)
    message = {"digest": digest, "key": key_id_of(public), "signature": "00" * 64}
    await house.problem(stranger, "POST", f"{path}/signature", message, status=404, code="trade.unknown")
    await house.problem(buyer, "POST", f"{path}/signature", message, status=404, code="signing_key.unknown")
    await house.done(buyer, "/v1/signing-keys", {"public": public.hex(), "label": "mine"})
    await house.problem(buyer, "POST", f"{path}/signature", message, status=422, code="contract.signature")
    as_seller = key.sign(contract_statement(shown["origin"], "seller", digest)).signature.hex()
    await house.problem(
        buyer, "POST", f"{path}/signature", {**message, "signature": as_seller},
        status=422, code="contract.signature",
    )  # fmt: skip
    await house.problem(
        buyer, "POST", f"{path}/signature", {**message, "digest": "00" * 32},
        status=409, code="contract.digest",
    )  # fmt: skip

    assert (await house.sign(buyer, path))["state"] == "drawn"
    await house.problem(buyer, "POST", link, {}, status=409, code="contract.unsigned")
    half = (await house.call(buyer, "GET", f"{path}/document")).json()
    assert not verify_contract(half, [Verifier.parse(house.gate.signer.vkey)]).signed
    assert (await house.sign(seller, path))["state"] == "signed"
    assert (await house.call(buyer, "POST", link, {})).status_code == 201
    again = {"digest": digest, "key": key_id_of(public), "signature": "00" * 64}
    await house.problem(buyer, "POST", f"{path}/signature", again, status=409, code="contract.signed")

    document = (await house.call(seller, "GET", f"{path}/document")).json()
    verifiers = [Verifier.parse(house.gate.signer.vkey)]
    agreed = verify_contract(document, verifiers)
    assert (agreed.signed, agreed.digest, agreed.trade) == (True, digest, trade)
    assert [(one.side, one.party) for one in agreed.signatures] == [
        ("seller", seller.party),
        ("buyer", buyer.party),
    ]
    assert agreed.buyer_name is not None
    for path_to, other in (
        (("contract", "values", "price_fen"), "1"),
        (("contract", "clauses", 6, "zh"), "验收期一百日"),
        (("contract", "policy", "permission", 0, "constraint"), []),
        (("contract", "digest"), "00" * 32),
        (("contract", "openings"), {}),
        (("seller",), document["buyer"]),
        (("buyer",), document["drawn"]),
        (("drawn", "index"), "3"),
    ):
        forged = copy.deepcopy(document)
        *above, last = path_to
        member: Any = forged
        for step in above:
            member = member[step]
        member[last] = other
        with pytest.raises(Unproven):
            verify_contract(forged, verifiers)


@pytest.mark.anyio
async def test_terms_that_were_signed_beforehand_stand_while_their_key_does(house: Any, sold: Any) -> None:
    seller, _, listing, _ = sold
    asset = (await house.call(None, "GET", f"/v1/listings/{listing}/contract")).json()["values"]["asset"]
    stranger = await house.party("supplier")
    path = f"/v1/listings/{listing}/contract"
    forged = {"digest": "00" * 32, "key": "sk-0", "signature": "00" * 64}
    await house.problem(stranger[0], "POST", f"{path}/signature", forged, status=404, code="listing.unknown")
    await house.sign(seller, path)
    buyer, licence = await house.sell_again(asset)
    assert (await house.call(buyer, "POST", f"/v1/licences/{licence}/links", {})).status_code == 201
    trade = (await house.call(buyer, "GET", f"/v1/licences/{licence}")).json()["trade"]
    document = (await house.call(buyer, "GET", f"/v1/trades/{trade}/contract/document")).json()
    agreed = verify_contract(document, [Verifier.parse(house.gate.signer.vkey)])
    assert [one.beforehand for one in agreed.signatures] == [True, False]

    (key,) = (await house.call(seller, "GET", "/v1/signing-keys")).json()
    await house.done(seller, f"/v1/signing-keys/{key['id']}/revocation")
    late, licence = await house.sell_again(asset)
    await house.problem(
        late, "POST", f"/v1/licences/{licence}/links", {}, status=409, code="contract.unsigned"
    )

    # A stranger who replays the log comes to the same contracts, and finds the one that is another.
    entries = []
    for index in range(await house.log_size()):
        receipt = await house.gate.receipt(index)
        entries.append((index, orjson.loads(receipt.body if receipt.whole is None else receipt.whole)))
    for forge in (False, True):
        replaying = Replay()
        for index, body in entries:
            if forge and body["kind"] == "sale":
                body["act"]["voucher"]["contract"]["purposes"] = "any"
                body["act"]["purpose"] = ""
            replaying.fold(index, body)
        found = [one.what for one in replaying.market.differences if "contract" in one.what]
        assert bool(found) is forge, found
    assert replaying.market.judged["contracts"] == 3
