"""Who sees what: registered assets are everybody's to find, the others their own department's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.acts import Caller
from exchange.catalogue import may_see, may_see_inside
from exchange.registration.path import STATES
from exchange.tables import Asset

parties = st.sampled_from(["supplier", "operator", "other"])


@given(
    state=st.sampled_from(STATES),
    party=st.none() | parties,
    roles=st.frozensets(st.sampled_from(["supplier", "buyer", "operator", "regulator", "administrator"])),
    operated=st.booleans(),
)
def test_before_registration_an_asset_is_its_departments_its_operators_and_the_regulators(
    state: str, party: str | None, roles: frozenset[str], operated: bool
) -> None:
    asset = Asset(
        id="ast-1",
        supplier="supplier",
        operator="operator" if operated else None,
        title="t",
        summary="",
        kind="health",
        state=state,
        evidence={},
        log_index=0,
    )
    caller = None if party is None else Caller("person", party, roles)
    inner = caller is not None and (
        "regulator" in roles or party == "supplier" or (operated and party == "operator")
    )
    assert may_see_inside(asset, caller) == inner
    assert may_see(asset, caller) == (inner or state == "registered")


@pytest.mark.anyio
async def test_search_narrows_by_every_member_and_never_shows_what_is_hidden(
    house: Any, patients: Any, weather: Any
) -> None:
    supplier = await house.party("supplier", people=2)
    other = await house.party("supplier", people=2)
    operator, regulator = (await house.party("operator"))[0], (await house.party("regulator"))[0]
    public = await house.walk(supplier, patients, title="Hospital 100% visits", summary="beds_and rooms")
    hidden = await house.walk(
        other, weather, steps=3, title="天气观测", kind="meteorology", operator=operator.party
    )

    async def search(caller: Caller | None, **params: str) -> set[str]:
        found: set[str] = set()
        query = "&".join(f"{name}={value}" for name, value in params.items())
        page = (await house.call(caller, "GET", f"/v1/assets?{query}")).json()
        found |= {row["id"] for row in page["assets"]}
        return found

    assert await search(None) == await search(supplier[0]) == {public}
    assert await search(other[0]) == await search(operator) == await search(regulator) == {public, hidden}
    assert await search(None, supplier=other[0].party) == set()
    assert await search(regulator, supplier=other[0].party) == {hidden}
    assert await search(regulator, kind="meteorology") == {hidden}
    assert await search(regulator, state="registered") == {public}
    assert await search(regulator, theme="medical_care") == {public}
    assert await search(regulator, text="天气") == {hidden}
    assert await search(None, text="hospital") == await search(None, text="ROOMS") == {public}
    # The signs of LIKE mean themselves.
    assert await search(None, text="100%25 v") == await search(None, text="beds_and") == {public}
    assert await search(None, text="100_") == await search(None, text="%25%25") == set()
    code = (await house.call(None, "GET", f"/v1/assets/{public}")).json()["asset"]["code"]
    assert await search(None, text=code) == {public}

    wrong = await house.http.get("/v1/assets", headers={"Authorization": "Bearer nobody's"})
    assert wrong.status_code == 401


@pytest.mark.anyio
async def test_pages_follow_one_another_without_gap_or_repeat(house: Any, patients: Any) -> None:
    supplier = await house.party("supplier", people=2)
    assets = {await house.walk(supplier, patients, steps=0) for _ in range(7)}
    seen: list[str] = []
    after = None
    for _ in range(4):
        page = (
            await house.call(supplier[0], "GET", "/v1/assets?limit=3" + (f"&after={after}" if after else ""))
        ).json()
        seen += [row["id"] for row in page["assets"]]
        after = page["after"]
        if after is None:
            break
    assert after is None
    assert len(seen) == 7
    assert set(seen) == assets
    for limit in ("0", "101"):
        await house.problem(None, "GET", f"/v1/assets?limit={limit}", status=400, code="request.form")
