"""What an asset was made of: parents are registered, editions stand in one line, and the highest grade is inherited."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from exchange.acts import Caller
from tests.exchange.conftest import House

pytestmark = pytest.mark.anyio

GRAVE = [{"harmed": "public_interest", "degree": "serious", "reason": "a leak would stop the wards"}]


async def refused(house: House, caller: Caller, asset: str, parent: str, relation: str) -> tuple[int, str]:
    """Status and code of a declaration that leaves no entry."""
    size = await house.log_size()
    said = {"parent": parent, "relation": relation}
    response = await house.call(caller, "POST", f"/v1/assets/{asset}/parents", said)
    assert await house.log_size() == size
    return response.status_code, response.json()["code"]


async def test_S5_a_derived_asset_shows_its_parents_and_inherits_the_highest_grade(
    house: House, patients: Any
) -> None:
    health, city = await house.party("supplier", people=2), await house.party("supplier", people=2)
    grave = copy.copy(patients)
    grave.filing = lambda **changed: patients.filing(impacts=GRAVE, **changed)
    low, high = await house.walk(health, patients), await house.walk(health, grave)
    begun = await house.walk(health, patients, steps=4)
    derived = await house.walk(city, patients, steps=0)
    own = city[0]
    for parent, relation, answer in (
        (begun, "derived", (404, "asset.unknown")),  # on its way: not there for others
        (low, "edition", (403, "lineage.edition")),
        (derived, "derived", (409, "lineage.parent")),
    ):
        assert await refused(house, own, derived, parent, relation) == answer
    assert await refused(house, health[0], derived, low, "derived") == (404, "asset.unknown")
    for parent in (low, high):
        await house.done(own, f"/v1/assets/{derived}/parents", {"parent": parent, "relation": "derived"})
    assert await refused(house, own, derived, low, "derived") == (409, "lineage.declared")
    # The assessor says no more than general; two parents, one of them important, make it important.
    assessed = await house.done(own, f"/v1/assets/{derived}/assessments", patients.filing())
    assert assessed["grade"] == "important"
    assert await refused(house, own, derived, high, "derived") == (409, "lineage.late")
    shown = (await house.call(own, "GET", f"/v1/assets/{derived}/lineage")).json()
    assert [(kin["asset"], kin["grade"]) for kin in shown["parents"]] == [
        (low, "general"),
        (high, "important"),
    ]
    # Of what is on its way, those who may not see it are told nothing.
    for who, children in ((None, []), (health[0], []), (own, [derived])):
        below = (await house.call(who, "GET", f"/v1/assets/{high}/lineage")).json()["children"]
        assert [kin["asset"] for kin in below] == children


async def test_editions_follow_each_other_in_one_line(house: House, patients: Any) -> None:
    owners = await house.party("supplier", people=2)
    own, editions = owners[0], [await house.walk(owners, patients)]
    for _ in range(2):
        following = await house.walk(owners, patients, steps=0)
        said = {"parent": editions[-1], "relation": "edition"}
        await house.done(own, f"/v1/assets/{following}/parents", said)
        shown = (await house.call(None, "GET", f"/v1/assets/{editions[0]}/lineage")).json()
        assert shown["newest"] == editions[-1]  # the next one is on its way
        await house.walk(owners, patients, begun=following)
        editions.append(following)
    shown = (await house.call(None, "GET", f"/v1/assets/{editions[0]}/lineage")).json()
    assert shown["newest"] == editions[-1]
    branch = await house.walk(owners, patients, steps=0)
    assert await refused(house, own, branch, editions[0], "edition") == (409, "lineage.edition_taken")
    other_kind = await house.walk(owners, patients, steps=0, kind="transport")
    assert await refused(house, own, other_kind, editions[-1], "edition") == (403, "lineage.edition")
