"""Guides a party in: what it still has to do before it can act in its roles, step by step. Reads only."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from exchange.acts import Caller
from exchange.database import driver
from exchange.errors import NotFound
from exchange.parties.relations import holders_of
from exchange.parties.states import TRADERS
from exchange.rulebook import Rulebook
from exchange.tables import Party
from ledger.book import balance

_STANDS = """
    SELECT
        ARRAY(SELECT DISTINCT kind FROM party_document WHERE party = :party AND state = 'accepted'
              AND (expires_us IS NULL OR expires_us > :now)) AS documents,
        (SELECT count(DISTINCT p.id) FROM person p JOIN api_key k ON k.person = p.id WHERE p.party = :party
         AND p.state = 'active' AND p.deputy_of IS NULL AND k.revoked_us IS NULL) AS people,
        EXISTS (SELECT FROM signing_key WHERE party = :party AND revoked_us IS NULL) AS signs,
        EXISTS (SELECT FROM operating_agreement WHERE operator = :party AND starts_us <= :now AND ends_us > :now) AS agreed
"""


async def onboarding(session: AsyncSession, caller: Caller, now_us: int, rules: Rulebook) -> dict[str, Any]:
    """The steps of the caller's party in its roles: which are done, and which of the others it cannot act without.

    `documents` names the kinds that are missing; `second_person` serves the four eyes of a department's release.
    """
    party = await session.get(Party, caller.party)
    if party is None:
        raise NotFound("party.unknown", "no such party", field="party")
    roles = set(party.roles)
    stands = (await session.execute(text(_STANDS), {"party": party.id, "now": now_us})).one()
    missing = sorted(set(rules.words("parties.documents_required")) - set(stands.documents))
    steps = []

    def step(name: str, *, done: bool, needed: bool, missing: list[str] | None = None) -> None:
        steps.append({"step": name, "done": done, "needed": needed, "missing": missing or []})

    if TRADERS & roles or "service_provider" in roles:
        step("documents", done=not missing, needed=party.state == "applicant", missing=missing)
    step("second_person", done=stands.people > 1, needed="supplier" in roles)
    if "operator" in roles:
        declared_ppm = sum(row.share_ppm for row in await holders_of(session, party.id, now_us))
        step(
            "holders", done=declared_ppm == 1_000_000, needed=not rules.allows("parties.undeclared_rest_paid")
        )
        step("agreement", done=stands.agreed, needed=True)
    if "buyer" in roles and party.account is not None:
        money = await balance(await driver(session), party.account)
        step("money", done=money is not None and money.available > 0, needed=True)
    if "service_provider" in roles:
        step("signing_key", done=stands.signs, needed=True)
    ready = party.state == "active" and all(each["done"] or not each["needed"] for each in steps)
    return {"party": party.id, "roles": sorted(roles), "state": party.state, "ready": ready, "steps": steps}
