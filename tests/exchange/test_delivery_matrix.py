"""Every door x every state of a licence: answered or refused as the table says; and what ends while bytes flow, stops them."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any

import pytest
from sqlmodel import select

from exchange.acts import CLOCK, Act, Caller, Record, Transaction
from exchange.api.files import asked_part
from exchange.delivery import sign_link
from exchange.rulebook.days import DAY_US
from exchange.tables import Contract, Licence, Release

pytestmark = pytest.mark.anyio

DOORS = ("link", "first byte", "range", "stranger's link", "link for another licence", "open data", "sample")
SAME = ("licence.unknown", "link.signature", "data.not_open", "200")
"""The last four doors look at no licence of the caller's: another's licence is as none, and what is open is open to all."""

TABLE = {
    "in force": ("201", "200", "206", *SAME),
    "unsigned by the buyer": ("contract.unsigned", "contract.unsigned", "contract.unsigned", *SAME),
    "not begun": ("licence.term", "licence.term", "licence.term", *SAME),
    "suspended": ("licence.suspended", "licence.suspended", "licence.suspended", *SAME),
    "restored": ("201", "200", "206", *SAME),
    "revoked": ("licence.revoked", "licence.revoked", "licence.revoked", *SAME),
    "annulled": ("licence.annulled", "licence.annulled", "licence.annulled", *SAME),
    "buyer suspended": (
        "licence.buyer_suspended",
        "licence.buyer_suspended",
        "licence.buyer_suspended",
        *SAME,
    ),
    "quota used up": ("licence.quota", "licence.quota", "licence.quota", *SAME),
    "links ended": ("201", "link.ended", "link.ended", *SAME),
    "expired": ("licence.term", "link.expired", "link.expired", *SAME),
    "unsigned by the seller": ("contract.unsigned", "contract.unsigned", "contract.unsigned", *SAME),
}


@dataclass(frozen=True, slots=True)
class Rewrite(Act):
    """A change of rows that no room makes, to reach what takes days otherwise."""

    licence: str
    starts_us: int = 0
    product: str = ""


async def rewrite(tx: Transaction, act: Rewrite) -> Record:
    licence = await tx.find(Licence, act.licence, "licence")
    if act.starts_us:
        contract = await tx.find(Contract, licence.trade, "trade")
        contract.values = {**contract.values, "starts_us": str(act.starts_us)}
    if act.product:
        for release in (await tx.session.scalars(select(Release))).all():
            release.product_digest = act.product
    return Record("rewritten", {"licence": act.licence, "state": "rewritten"})


@dataclass
class Counter:
    """A listing of two calls a licence, its seller, a regulator and a stranger."""

    house: Any
    seller: Caller
    regulator: Caller
    stranger: Caller
    asset: str

    async def sold(self, *, signed: bool = True) -> tuple[Caller, str, str]:
        """A new buyer, its licence and its trade."""
        buyer, licence = await self.house.sell_again(self.asset, signed=signed)
        trade = (await self.house.call(buyer, "GET", f"/v1/licences/{licence}")).json()["trade"]
        return buyer, licence, trade

    def link(self, licence: str, until_us: int | None = None) -> str:
        """A link as the exchange makes it: also where it would make none any more."""
        expires_us = until_us or self.house.now_us + 3600 * 1_000_000
        signature = sign_link(self.house.link_key, licence, expires_us)
        return f"/v1/deliveries/{licence}?expires={expires_us}&links=0&signature={signature}"

    async def doors(self, buyer: Caller, licence: str, link: str) -> tuple[str, ...]:
        """What each door answers: the code of a refusal, the status otherwise."""
        call, links = self.house.call, f"/v1/licences/{licence}/links"
        other = link.replace(licence, "lic-0123456789abcdef")
        answers = [
            await call(buyer, "POST", links, {}),
            await call(None, "GET", link),
            await call(None, "GET", link, headers={"Range": "bytes=4-9"}),
            await call(self.stranger, "POST", links, {}),
            await call(None, "GET", other),
            await call(buyer, "GET", f"/v1/assets/{self.asset}/data"),
            await call(buyer, "GET", f"/v1/assets/{self.asset}/sample"),
        ]
        return tuple(
            answer.json()["code"] if answer.status_code >= 400 else str(answer.status_code)
            for answer in answers
        )


@pytest.fixture
async def counter(house: Any, patients: Any) -> Counter:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    await house.done(supplier[0], f"/v1/assets/{asset}/appraisals", house.appraisal())
    offer: dict[str, Any] = {"grant": "licence", "licences": "50", "term_days": "30", "price_fen": "100000"}
    offer["terms"] = {"calls_at_most": "2"}
    listed = await house.done(supplier[0], "/v1/listings", {"asset": asset, "offer": offer})
    await house.sign(supplier[0], f"/v1/listings/{listed['id']}/contract")
    (regulator,), (stranger,) = [await house.party(role) for role in ("regulator", "buyer")]
    return Counter(house, supplier[0], regulator, stranger, asset)


async def test_every_door_answers_every_state_as_the_table_says(counter: Counter) -> None:
    house, found = counter.house, {}
    for state in TABLE:
        if state == "unsigned by the seller":  # whose key, and with it the standing signature, is gone
            (key,) = (await house.call(counter.seller, "GET", "/v1/signing-keys")).json()
            await house.done(counter.seller, f"/v1/signing-keys/{key['id']}/revocation")
        buyer, licence, trade = await counter.sold(signed=state != "unsigned by the buyer")
        link = counter.link(licence)
        match state:
            case "not begun":
                await house.act(rewrite, Rewrite(licence, house.now_us + DAY_US), CLOCK)
            case "suspended" | "revoked":
                await house.done(
                    counter.seller, f"/v1/licences/{licence}/state", {"state": state, "reason": "a breach"}
                )
            case "restored":
                for what in ("suspended", "active"):
                    order = {"state": what, "reason": "looked at"}
                    await house.done(counter.regulator, f"/v1/licences/{licence}/state", order)
            case "annulled":
                order = {"ground": "collusion", "order": "12", "reason": "found"}
                await house.done(counter.regulator, f"/v1/trades/{trade}/annulment", order)
            case "buyer suspended":
                order = {"state": "suspended", "reason": "an inquiry"}
                await house.done(counter.regulator, f"/v1/parties/{buyer.party}/state", order)
            case "quota used up":
                for _ in range(2):
                    assert (await house.call(None, "GET", link)).status_code == 200
            case "links ended":
                await house.done(counter.seller, f"/v1/licences/{licence}/links/end")
            case "expired":
                view = (await house.call(buyer, "GET", f"/v1/licences/{licence}")).json()
                link = counter.link(licence, int(view["ends_us"]))
                house.now_us = int(view["ends_us"])
        found[state] = await counter.doors(buyer, licence, link)
    assert found == TABLE


@pytest.mark.parametrize("how", ["expires", "is revoked", "is let go on"])
async def test_a_licence_that_ends_in_the_middle_of_a_download_stops_it(counter: Counter, how: str) -> None:
    house = counter.house
    buyer, licence, _ = await counter.sold()
    data = bytes(25 << 20)
    digest = await house.upload(counter.seller, data)
    house.vault.keep(counter.seller.party, digest)
    await house.act(rewrite, Rewrite(licence, product=digest), CLOCK)
    until_us = house.now_us + 60_000_000
    link = counter.link(licence, until_us)
    came: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        came.append(message)
        if len(came) != 2:
            return
        if how == "expires":
            house.now_us = until_us
        elif how == "is revoked":
            order = {"state": "revoked", "reason": "the source withdrew its consent"}
            await house.done(counter.seller, f"/v1/licences/{licence}/state", order)
        await asyncio.sleep(0.3)  # the first piece is out, and the line is slow

    path, _, query = link.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path,
        "raw_path": path.encode(), "query_string": query.encode(), "headers": [], "scheme": "http",
        "root_path": "", "server": ("exchange.example", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await house.app(scope, _nothing, send)
    sent = b"".join(message.get("body", b"") for message in came)
    assert came[0]["status"] == 200
    (access,) = (await house.call(buyer, "GET", f"/v1/licences/{licence}/accesses")).json()["accesses"]
    assert (access["act"], access["bytes"]) == ("download", str(len(data)))
    if how == "is let go on":
        assert hashlib.sha256(sent).hexdigest() == digest
        return
    assert 0 < len(sent) < len(data)
    assert came[-1]["more_body"]  # nobody was told that this was all
    rest = await house.call(None, "GET", link, headers={"Range": f"bytes={len(sent)}-"})
    assert rest.json()["code"] == ("link.expired" if how == "expires" else "licence.revoked")


async def _nothing() -> dict[str, Any]:
    await asyncio.sleep(3600)
    return {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("headers", "status", "where"),
    [
        ({}, 200, (0, 10)),
        ({"Range": "bytes=0-"}, 206, (0, 10)),
        ({"Range": "bytes=2-4"}, 206, (2, 5)),
        ({"Range": "bytes=2-99"}, 206, (2, 10)),
        ({"Range": "bytes=-3"}, 206, (7, 10)),
        ({"Range": "bytes=-99"}, 206, (0, 10)),
        ({"Range": "bytes=10-"}, 416, None),
        ({"Range": "bytes=-0"}, 416, None),
        ({"Range": "bytes=4-2"}, 200, (0, 10)),  # no valid range: as if there was none
        ({"Range": "bytes=0-1,3-4"}, 200, (0, 10)),  # several: the whole, which a server may always give
        ({"Range": "bytes=2-4", "If-Range": '"another"'}, 200, (0, 10)),
        ({"Range": "bytes=2-4", "If-Range": "ETAG"}, 206, (2, 5)),
    ],
)
def test_a_range_is_read_as_the_standard_says(
    headers: dict[str, str], status: int, where: tuple[int, int] | None
) -> None:
    if_range = headers.get("If-Range", "").replace("ETAG", '"mine"')
    part = asked_part(headers.get("Range", ""), if_range, '"mine"', 10)
    if where is None:
        assert (part, status) == (None, 416)
        return
    assert part is not None
    assert (part.start, part.end, part.partial) == (*where, status == 206)
