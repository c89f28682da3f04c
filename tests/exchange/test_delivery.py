"""A licensed file reaches whoever holds a link of ours that has not expired, and the log knows it first."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.contracts import Use, policy_of
from exchange.delivery import Standing, check_link, require_permitted, sign_link
from exchange.errors import Conflict, Forbidden
from exchange.rulebook.days import DAY_US

KEY = b"k" * 32
STARTS_US, ENDS_US = 1_790_000_000_000_000, 1_790_000_010_000_000
VALUES = {
    "asset": "ast-1", "seller": "org-1", "buyer": "org-2", "licence": "lic-1", "grant": "licence",
    "starts_us": str(STARTS_US), "ends_us": str(ENDS_US), "purposes": "research,education", "regions": "CN,HK",
    "calls_at_most": "3", "bytes_at_most": "1000", "sublicence": "forbidden", "deletion_days": "15",
}  # fmt: skip


def standing(**changed: Any) -> Standing:
    """A licence in force under a signed contract, three calls and a thousand bytes of it."""
    return replace(Standing("active", "signed", "active", policy_of(VALUES)), **changed)


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
    for now in (STARTS_US, ENDS_US - 1):
        require_permitted(standing(), Use(now))
    for now in (STARTS_US - 1, ENDS_US):
        with pytest.raises(Conflict) as refused:
            require_permitted(standing(), Use(now))
        assert refused.value.code == "licence.term"


@pytest.mark.parametrize(
    ("changed", "use", "code"),
    [
        ({"licence": "suspended"}, {}, "licence.suspended"),
        ({"licence": "revoked"}, {}, "licence.revoked"),
        ({"licence": "annulled", "contract": "ended"}, {}, "licence.annulled"),
        ({"contract": "drawn"}, {}, "contract.unsigned"),
        ({"contract": None}, {}, "contract.unsigned"),
        ({"buyer": "suspended"}, {}, "licence.buyer_suspended"),
        ({}, {"calls": 4}, "licence.quota"),
        ({}, {"bytes": 1001}, "licence.quota"),
        ({}, {"purpose": "industry"}, "licence.purpose"),
        ({}, {"region": "US"}, "licence.region"),
    ],
)
def test_each_way_of_having_no_right_has_its_own_name(
    changed: dict[str, Any], use: dict[str, Any], code: str
) -> None:
    with pytest.raises(Conflict) as refused:
        require_permitted(standing(**changed), Use(STARTS_US, **use))
    assert refused.value.code == code
    assert refused.value.rule
    assert refused.value.remedy


def test_a_use_up_to_every_limit_is_permitted() -> None:
    require_permitted(standing(), Use(STARTS_US, 3, 1000, "research", "CN-GD"))


def test_a_constraint_that_nobody_understands_permits_nothing() -> None:
    policy = policy_of(VALUES)
    policy["permission"][0]["constraint"].append(
        {"leftOperand": "payAmount", "operator": "eq", "rightOperand": ["5"]}
    )
    with pytest.raises(Conflict) as refused:
        require_permitted(replace(standing(), policy=policy), Use(STARTS_US))
    assert refused.value.code == "licence.policy"


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
        f"/v1/deliveries/{licence}?expires={expires}&links=0&signature={sign_link(b'x' * 32, licence, expires)}",
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

    regulator = (await house.party("regulator"))[0]
    order = {"state": "revoked", "reason": "the source withdrew its consent"}
    await house.done(regulator, f"/v1/licences/{licence}/state", order)
    await house.problem(None, "GET", answer.json()["link"], status=409, code="licence.revoked")


@pytest.mark.anyio
async def test_a_file_that_was_changed_on_the_disk_is_not_delivered(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    asset = await house.walk(supplier, patients)
    buyer, licence = await house.sell(supplier, asset)
    link = (await house.call(buyer, "POST", f"/v1/licences/{licence}/links", {})).json()["link"]
    digest = hashlib.sha256((patients.folder / "product.parquet").read_bytes()).hexdigest()
    with house.vault.at_hand(digest) as path:
        path.write_bytes(b"something else")
    await house.problem(None, "GET", link, status=503, code="vault.changed")
