"""Every route x every role x another party's object: nothing is read, nothing written, and nothing hints that it exists.

The routes come from the contract. Each is asked for a thing of another party and for one that does not exist; unless the
table says that a role may, both answers have to be the same, and neither may change anything.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from nacl.signing import SigningKey

from exchange.acts import Caller
from tests.exchange.conftest import Department, House
from tests.exchange.contract import METHODS, document
from tests.exchange.floor import START_FEN, played

pytestmark = pytest.mark.anyio

ROLES = ("administrator", "bank", "buyer", "operator", "regulator", "supplier")

EVERYBODY = frozenset({
    "GET /checkpoint",
    "GET /tile/entries/{path}",
    "GET /tile/{path}",
    "GET /v1/certificates/{code}",
    "GET /v1/deliveries/{licence}",  # whoever has the link, which is signed
    "GET /v1/log/{index}",
    "GET /v1/log/{index}/proof",
    "GET /v1/lots/{lot}",
    "GET /v1/lots/{lot}/bids",
    "GET /v1/lots/{lot}/events",
    "POST /v1/agreements",  # names an operator, who stands in each asset that it runs
    "POST /v1/assets",  # the same
    "POST /v1/listings/{listing}/purchases",
    "POST /v1/listings/{listing}/purchases:dry-run",
    "POST /v1/lots/{lot}/bidders",
    "POST /v1/lots/{lot}/bids",
    "POST /v1/lots/{lot}/bids:batch",
    "POST /v1/lots/{lot}/bids:dry-run",
    "PUT /v1/uploads/{sha256}",  # each party has a place of its own
})  # fmt: skip
"""What names a thing that is offered or shown to everybody."""

MAY = {
    "GET /v1/accounts/{account}": {"regulator"},
    "GET /v1/accounts/{account}/statement": {"regulator"},
    "GET /v1/accounts/{account}/statement.csv": {"regulator"},
    "GET /v1/assets/{asset}": {"regulator"},
    "GET /v1/assets/{asset}/authorizations/{authorization}": {"regulator"},
    "GET /v1/assets/{asset}/authorizations/{authorization}/document": {"regulator"},
    "GET /v1/audit/bundle": {"regulator"},
    "GET /v1/licences/{licence}/accesses": {"regulator"},
    "GET /v1/receipts/{index}": {"regulator"},
    "GET /v1/trades/{trade}": {"regulator"},
    "POST /v1/erasures": {"regulator"},
    "POST /v1/invitations": {"administrator"},
    "POST /v1/parties/{party}/state": {"administrator", "regulator"},
    "POST /v1/top-ups": {"bank"},
}
"""Whose office it is to see, or to touch, what others own."""

NAMING = {
    "GET /v1/audit/bundle": "party",
    "POST /v1/agreements": "operator",
    "POST /v1/assets": "operator",
    "POST /v1/erasures": "commitment",
    "POST /v1/invitations": "party",
    "POST /v1/listings": "asset",
    "POST /v1/lots": "asset",
    "POST /v1/top-ups": "party",
}
"""Routes that name another's thing elsewhere than in their path."""

LISTS = (
    "/v1/accounts", "/v1/assets", "/v1/controls", "/v1/keys", "/v1/licences", "/v1/me", "/v1/signing-keys", "/v1/trades",
    "/v1/webhooks",
)  # fmt: skip


@dataclass
class Theirs:
    """What another party has, by the names of parameters; what does not exist looks the same."""

    names: dict[str, str]
    bodies: dict[str, Any]

    def none(self) -> dict[str, str]:
        """The same names of nothing."""
        swapped = {name: re.sub(r"[0-9a-f]{8}", "0a1b2c3d", value) for name, value in self.names.items()}
        return {**swapped, "index": str(10**9), "key": "never", "account": "acc-0a1b2c3d0a1b2c3d"}


async def theirs(house: House, patients: Department) -> tuple[Theirs, Caller]:
    floor = await played(house)
    owners = await house.party("supplier", people=2)
    buyer = floor.buyers[0]
    asset = await house.walk(owners, patients, steps=2)
    dossier = (await house.call(owners[0], "GET", f"/v1/assets/{asset}")).json()
    trade = (await house.call(buyer, "GET", "/v1/trades")).json()[0]
    public = bytes(SigningKey(bytes(32)).verify_key).hex()
    webhook = {"url": "https://hooks.example.com/in", "kinds": ["bid"]}
    hook = await house.done(buyer, "/v1/webhooks", webhook, key="hook")
    signing = await house.done(buyer, "/v1/signing-keys", {"public": public, "label": "program"}, key="mine")
    names = {
        "account": (await house.call(buyer, "GET", "/v1/me")).json()["account"],
        "asset": asset,
        "authorization": dossier["authorizations"][0]["id"],
        "assessment": dossier["assessments"][0]["id"],
        "commitment": signing["label"],
        "digest": (await house.call(buyer, "GET", "/v1/keys")).json()[0]["digest"],
        "id": signing["id"],
        "index": trade["index"],
        "key": "mine",
        "licence": trade["licence"],
        "operator": floor.operator.party,
        "party": buyer.party,
        "trade": trade["trade"],
        "webhook": hook["id"],
    }
    offer = {"grant": "licence", "licences": "1", "term_days": "30", "price_fen": str(START_FEN)}
    bodies = {
        "POST /v1/assets/{asset}/assessments": patients.filing(),
        "POST /v1/assets/{asset}/authorizations": {"assessment": "{assessment}"},
        "POST /v1/assets/{asset}/releases": {
            "authorization": "{authorization}",
            "product_digest": "ab" * 32,
            "certificate": {},
        },
        "POST /v1/assets/{asset}/theme": {"theme": "medical_care"},
        "POST /v1/assets/{asset}/appraisals": house.appraisal(),
        "POST /v1/keys/{digest}/rotation": {"key_digest": "cd" * 32, "label": "mine now"},
        "POST /v1/licences/{licence}/links": {"valid_seconds": "60"},
        "POST /v1/parties/{party}/state": {"state": "suspended", "reason": "why not"},
        "POST /v1/listings": {"asset": "{asset}", "offer": offer},
        "POST /v1/lots": {
            "asset": "{asset}",
            "offer": offer,
            "increment_fen": "100",
            "deposit_fen": str(START_FEN // 10),
            "opens_us": str(house.now_us),
            "closes_us": str(house.now_us + 86_400_000_000),
        },
        "POST /v1/invitations": {"party": "{party}", "name": "a friend", "token_digest": "ef" * 32},
        "POST /v1/top-ups": {"party": "{party}", "amount_fen": "100", "bank_reference": "slip"},
        "POST /v1/webhooks/{webhook}/replay": {"sequence": "0"},
        "POST /v1/erasures": {"commitment": "{commitment}", "ground": "an order"},
    }
    return Theirs(names, bodies), buyer


def routes() -> list[str]:
    """Every route that can name a thing of another party."""
    found = []
    for path, item in document()["paths"].items():
        for method in METHODS:
            name = f"{method.upper()} {path}"
            if method in item and name not in EVERYBODY and ("{" in path or name in NAMING):
                found.append(name)
    return found


def fill(text: str, names: dict[str, str]) -> str:
    """Put names in the places of their parameters; KeyError for a thing that this matrix does not know yet."""
    return re.sub(r"{([a-z0-9]+)}", lambda place: names[place[1]], text)


def told(response: Any, names: dict[str, str]) -> tuple[int, str]:
    """An answer without what it was asked for."""
    text = response.text
    for name in sorted(names.values(), key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(name)}\b", "N", text)
    return response.status_code, text


async def test_what_another_party_has_looks_like_nothing_to_every_role(
    house: House, patients: Department
) -> None:
    has, _ = await theirs(house, patients)
    none = has.none()
    strangers: dict[str, Caller | None] = {role: (await house.party(role))[0] for role in ROLES}
    strangers["nobody"] = None
    allowed, asked = set(), 0
    for name in routes():
        method, path = name.split(" ")
        for role, caller in strangers.items():
            if role in MAY.get(name, ()):
                allowed.add((name, role))
                continue
            answers = []
            size = await house.log_size()
            for names in (has.names, none):
                body = has.bodies.get(name)
                filled = None if body is None else orjson.loads(fill(orjson.dumps(body).decode(), names))
                where = fill(path, names) + (
                    f"?party={names['party']}" if name == "GET /v1/audit/bundle" else ""
                )
                response = await house.call(caller, method, where, filled, key=f"matrix-{asked}")
                answers.append(told(response, names))
                asked += 1
            thing = path[: path.index("}") + 1] if "{" in path else ""
            if role not in MAY.get(f"GET {thing}", ()):  # who sees it may be told that it is there
                assert answers[0] == answers[1], f"{role}: {name}"
            assert answers[0][0] in (401, 403, 404), f"{role}: {name} {answers[0]}"
            assert await house.log_size() == size, f"{role}: {name}"
    assert allowed == {(name, role) for name, roles in MAY.items() for role in roles}
    assert asked > 250


async def test_whose_office_it_is_may(house: House, patients: Department) -> None:
    has, _ = await theirs(house, patients)
    officers = {role: (await house.party(role))[0] for role in {r for roles in MAY.values() for r in roles}}
    for name, roles in sorted(MAY.items()):
        for role in sorted(roles):
            method, path = name.split(" ")
            body = has.bodies.get(name)
            filled = None if body is None else orjson.loads(fill(orjson.dumps(body).decode(), has.names))
            if filled is not None and "token_digest" in filled:
                filled["token_digest"] = hashlib.sha256(role.encode()).hexdigest()
            where = fill(path, has.names) + (f"?party={has.names['party']}" if "bundle" in name else "")
            response = await house.call(officers[role], method, where, filled)
            assert response.status_code in (200, 201), f"{role}: {name} {response.text[:300]}"


async def test_no_list_of_anybodys_shows_what_another_has(house: House, patients: Department) -> None:
    has, owner = await theirs(house, patients)
    secret = {
        has.names[name]
        for name in ("account", "asset", "digest", "id", "licence", "trade", "party", "webhook")
    }
    for role in ROLES:
        if role == "regulator":
            continue
        (caller,) = await house.party(role)
        for path in LISTS:
            response = await house.call(caller, "GET", path)
            shown = {name for name in secret if name in response.text}
            assert not shown, f"{role}: {path}"
    mine = [(await house.call(owner, "GET", path)).text for path in LISTS]
    assert secret - {has.names["asset"]} <= {name for name in secret for text in mine if name in text}


async def test_the_routes_of_everybody_are_routes() -> None:
    there = {
        f"{m.upper()} {path}" for path, item in document()["paths"].items() for m in METHODS if m in item
    }
    assert there >= EVERYBODY | set(MAY) | set(NAMING)
