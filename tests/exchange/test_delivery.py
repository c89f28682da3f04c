"""A licensed file reaches whoever holds a link of ours that has not expired, and the log knows it first."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import delivery
from exchange.acts import Caller, Record
from exchange.delivery import DAY_US, check_link, check_term, sign_link
from exchange.errors import Conflict, Forbidden
from exchange.tables import Licence

KEY = b"k" * 32
names = st.text("abcdef0123456789-", min_size=1, max_size=20)
moments = st.integers(0, 2**62)


@given(licence=names, expires=moments, now=moments)
def test_a_link_works_until_the_moment_it_names(licence: str, expires: int, now: int) -> None:
    signature = sign_link(KEY, licence, expires)
    if now < expires:
        check_link(KEY, licence, expires, signature, now)
    else:
        with pytest.raises(Forbidden) as refused:
            check_link(KEY, licence, expires, signature, now)
        assert refused.value.code == "link.expired"


@given(licence=names, other=names, expires=moments, later=moments, key=st.binary(min_size=32, max_size=32))
def test_a_signature_is_good_for_one_licence_one_moment_and_one_key(
    licence: str, other: str, expires: int, later: int, key: bytes
) -> None:
    signature = sign_link(KEY, licence, expires)
    for changed_key, changed_licence, changed_expires, changed_signature in (
        (key, licence, expires, signature),
        (KEY, other, expires, signature),
        (KEY, licence, later, signature),
        (KEY, licence, expires, signature[:-1] + ("0" if signature[-1] != "0" else "1")),
        (KEY, licence, expires, signature.upper() + "é"),
    ):
        if (changed_key, changed_licence, changed_expires, changed_signature) == (
            KEY,
            licence,
            expires,
            signature,
        ):
            continue
        with pytest.raises(Forbidden) as refused:
            check_link(changed_key, changed_licence, changed_expires, changed_signature, 0)
        assert refused.value.code == "link.signature"


def test_a_licence_gives_access_from_its_first_moment_to_before_its_last() -> None:
    for now in (10, 19):
        check_term("active", 10, 20, now)
    for state, now in (("active", 9), ("active", 20), ("revoked", 15)):
        with pytest.raises(Conflict):
            check_term(state, 10, 20, now)


@pytest.mark.anyio
async def test_a_buyer_gets_the_product_whole_and_in_ranges_and_each_request_is_logged_first(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    product = (patients.folder / "product.parquet").read_bytes()
    buyer, licence = await house.sell(supplier, asset)

    made = await house.call(
        buyer, "POST", f"/v1/licences/{licence}/links", {"valid_seconds": "60"}, key="link-1"
    )
    assert made.status_code == 201
    link = made.json()["link"]
    body = house.verify(made.json())
    assert body["act"]["expires_us"] == str(house.now_us + 60_000_000)
    assert link.partition("signature=")[2] not in orjson.dumps(body).decode()
    again = await house.call(
        buyer, "POST", f"/v1/licences/{licence}/links", {"valid_seconds": "60"}, key="link-1"
    )
    assert again.json() == made.json()
    assert again.headers["Idempotency-Replayed"] == "true"

    size = await house.log_size()
    whole = await house.call(None, "GET", link)
    assert whole.status_code == 200
    assert whole.content == product
    assert whole.headers["etag"] == f'"{hashlib.sha256(product).hexdigest()}"'
    assert whole.headers["content-disposition"].endswith('.parquet"')
    assert whole.headers["cache-control"] == "private, no-store"
    part = await house.call(None, "GET", link, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, product[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(product)}"

    assert await house.log_size() == size + 2
    body = orjson.loads((await house.gate.receipt(size + 1)).body)
    assert (body["kind"], body["by"]) == ("product_downloaded", "delivery")
    assert body["act"]["bytes_asked"] == "bytes=10-19"
    assert body["act"]["product_digest"] == hashlib.sha256(product).hexdigest()

    log = (await house.call(buyer, "GET", f"/v1/licences/{licence}/accesses")).json()
    assert [access["act"] for access in log["accesses"]] == ["link", "download", "download"]
    assert (await house.call(supplier[0], "GET", f"/v1/licences/{licence}/accesses")).json() == log


@pytest.mark.anyio
async def test_expired_altered_and_foreign_links_give_nothing_and_leave_no_trace(
    house: Any, patients: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    buyer, licence = await house.sell(supplier, asset)
    stranger = (await house.party("buyer"))[0]
    answer = await house.call(buyer, "POST", f"/v1/licences/{licence}/links", {"valid_seconds": "60"})
    link = answer.json()["link"]
    expires = house.now_us + 60_000_000

    for broken in (
        link.replace(str(expires), str(expires + 1)),
        link.replace(licence, "lic-other"),
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        f"/v1/deliveries/{licence}?expires={expires}&signature={sign_link(b'x' * 32, licence, expires)}",
    ):
        await house.problem(None, "GET", broken, status=403, code="link.signature")
    for malformed in (
        f"/v1/deliveries/{licence}",
        link + "0",
        link.replace(str(expires), "-1"),
        link.replace(str(expires), "1e9"),
    ):
        await house.problem(None, "GET", malformed, status=400, code="request.form")
    # Another buyer finds neither the licence nor its log.
    for method, path in (("GET", ""), ("POST", "/links"), ("GET", "/accesses")):
        await house.problem(
            stranger,
            method,
            f"/v1/licences/{licence}{path}",
            {} if method == "POST" else None,
            status=404,
            code="licence.unknown",
        )
    house.now_us = expires
    await house.problem(None, "GET", link, status=403, code="link.expired")


@pytest.mark.anyio
async def test_no_link_outlives_its_licence_and_a_revoked_licence_gives_nothing(
    house: Any, patients: Any, database: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    buyer, licence = await house.sell(supplier, asset, term_days=1)
    view = (await house.call(buyer, "GET", f"/v1/licences/{licence}")).json()
    ends_us = int(view["ends_us"])
    assert ends_us == int(view["starts_us"]) + DAY_US
    assert (await house.call(buyer, "GET", "/v1/licences")).json() == {"licences": [view], "after": None}

    week = {"valid_seconds": str(7 * 86_400)}
    answer = await house.call(buyer, "POST", f"/v1/licences/{licence}/links", week)
    assert answer.json()["outcome"]["expires_us"] == str(ends_us)
    for seconds in ("0", str(7 * 86_400 + 1)):
        await house.problem(
            buyer,
            "POST",
            f"/v1/licences/{licence}/links",
            {"valid_seconds": seconds},
            status=422,
            code="link.validity",
        )

    house.now_us = ends_us - 1
    assert (await house.call(None, "GET", answer.json()["link"])).status_code == 200
    house.now_us = ends_us
    await house.problem(buyer, "POST", f"/v1/licences/{licence}/links", {}, status=409, code="licence.term")
    await house.problem(None, "GET", answer.json()["link"], status=403, code="link.expired")

    second, licence = await house.sell_again(asset)
    answer = await house.call(second, "POST", f"/v1/licences/{licence}/links", {})

    async def revoke(tx: Any, act: Any) -> Any:
        row = await tx.session.get(Licence, licence)
        row.state = "revoked"
        return Record("licence_revoked", {"licence": licence, "state": "revoked"})

    clock = Caller("clock", "clock", frozenset({"clock"}))
    await house.act(revoke, delivery.MakeLink(licence, 1), clock)
    await house.problem(None, "GET", answer.json()["link"], status=409, code="licence.revoked")


@pytest.mark.anyio
async def test_a_file_that_was_changed_on_the_disk_is_not_delivered(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    buyer, licence = await house.sell(supplier, asset)
    link = (await house.call(buyer, "POST", f"/v1/licences/{licence}/links", {})).json()["link"]
    digest = hashlib.sha256((patients.folder / "product.parquet").read_bytes()).hexdigest()
    house.vault.product(digest).write_bytes(b"something else")
    await house.problem(None, "GET", link, status=503, code="vault.changed")
