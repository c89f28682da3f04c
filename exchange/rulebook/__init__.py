"""Room: the rules of this market, version by version: which was in force when, and how one becomes the next.

The first version stands in the log's first entry, each later one in the entry that signs it, whole: whoever holds the log
judges a decision under the rules of its own day. A change is proposed, signed by a second person (where it touches the
venue's own rules: by the governing body) and takes effect at its date; what was decided before stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Transaction, plain, refusal
from exchange.errors import Conflict, Forbidden, Misconfigured, NotFound, Unprocessable
from exchange.rulebook.book import (
    GATES,
    OWN,
    PRESETS,
    Rule,
    Rulebook,
    differences,
    load,
    parse,
    require_consistent,
)
from exchange.rulebook.days import Calendar, Deadline, day_of
from exchange.tables import Market, RulebookProposal, RulebookVersion

__all__ = [
    "GATES", "OWN", "PRESETS", "Calendar", "Deadline", "Rule", "Rulebook", "at", "day_of", "decide_rule_change",
    "differences", "in_force", "load", "parse", "propose_rule_change", "require_consistent",
]  # fmt: skip

REASON_CHARACTERS = 2000
EFFECTIVE_WITHIN_US = 10 * 366 * 86_400_000_000
"""A change takes effect within ten years, or its date is a slip."""

_PARSED: dict[str, Rulebook] = {}
"""Versions that this process has read, by digest: nothing else decides what they say."""


async def in_force(tx: Transaction) -> Rulebook:
    """The rules under which this act is decided; the entry says which version they are."""
    rules = await at(tx.session, tx.now_us)
    tx.rulebook = rules.digest
    return rules


async def at(session: AsyncSession, now_us: int) -> Rulebook:
    """The rules in force at a moment; a market whose log holds none goes by its profile as it ships."""
    query = (
        select(RulebookVersion.digest, RulebookVersion.log_index)
        .where(col(RulebookVersion.effective_us) <= now_us)
        .order_by(col(RulebookVersion.log_index).desc())
        .limit(1)
    )
    return await _read(session, (await session.execute(query)).first())


VERSIONS = (
    "SELECT m.profile, v.effective_us, v.digest, v.document FROM market m LEFT JOIN rulebook_version v ON true"
    " WHERE m.id = 1 ORDER BY v.log_index"
)
"""What `of_versions` reads."""


def of_versions(rows: Sequence[Sequence[Any]], now_us: int) -> Rulebook:
    """As `at`, for a room that has asked for VERSIONS before it knew the moment."""
    for profile, effective_us, digest, document in reversed(rows):
        if digest is None:
            return load(profile)
        if effective_us <= now_us:
            return _parsed(digest, document)
    raise NotFound("market.missing", "the database holds no market", remedy="run `exchange init`")


def _parsed(digest: str, document: Mapping[str, Any]) -> Rulebook:
    if digest not in _PARSED:
        rules = Rulebook.from_document(document)
        if rules.digest != digest:
            raise RuntimeError(f"the rulebook {digest} is not the one that was logged")
        _PARSED[digest] = rules
    return _PARSED[digest]


async def newest(session: AsyncSession) -> Rulebook:
    """The last version that was signed, in force or to come."""
    query = select(RulebookVersion.digest, RulebookVersion.log_index).order_by(
        col(RulebookVersion.log_index).desc()
    )
    return await _read(session, (await session.execute(query.limit(1))).first())


async def _read(session: AsyncSession, row: Any) -> Rulebook:
    if row is None:
        market = await session.get(Market, 1)
        if market is None:
            raise NotFound("market.missing", "the database holds no market", remedy="run `exchange init`")
        return load(market.profile)
    if row.digest not in _PARSED:
        version = await session.get(RulebookVersion, row.log_index)
        assert version is not None
        return _parsed(row.digest, version.document)
    return _PARSED[row.digest]


async def begin(tx: Transaction, said: Mapping[str, Any]) -> None:
    """Put the first version in force, with the log's first entry; `said` is its digest, version and whole document."""
    if "document" not in said:
        return
    rules = Rulebook.from_document(said["document"])
    require_consistent(rules)
    if rules.digest != said["digest"]:
        raise Unprocessable(
            "rulebook.digest",
            f"the document hashes to {rules.digest}",
            field="rulebook",
            rule="the digest is the SHA-256 of the document's canonical form (RFC 8785)",
            remedy="state the digest of the document that you send",
        )
    await _keep(tx, rules, tx.now_us)


async def _keep(tx: Transaction, rules: Rulebook, effective_us: int) -> None:
    await tx.insert(
        RulebookVersion(
            log_index=tx.index,
            digest=rules.digest,
            version=rules.version,
            document=rules.document(),
            effective_us=effective_us,
        )
    )


@dataclass(frozen=True, slots=True)
class ProposeRuleChange(Act):
    """Other figures in the place of some, from a date on; `calendar` is a whole new one, as a document states it."""

    rules: Mapping[str, Mapping[str, Any]]
    calendar: Mapping[str, Any] | None
    effective_us: int
    reason: str


async def propose_rule_change(tx: Transaction, act: ProposeRuleChange) -> Record:
    """Put a change before whoever may sign it. It is one to the last version that was signed, and stale with a later one.

    Unprocessable where a rule is not known, is of another kind, changes nothing or contradicts another.
    """
    tx.caller.require("administrator", "governing_body", "regulator", duties=("business", "system"))
    await in_force(tx)
    if not act.reason.strip() or len(act.reason) > REASON_CHARACTERS:
        raise Unprocessable(
            "rulebook.reason",
            f"{len(act.reason)} characters",
            field="reason",
            rule=f"1 to {REASON_CHARACTERS} characters",
            remedy="say why the rules have to change",
        )
    base = await newest(tx.session)
    result = change(base, act.rules, act.calendar)
    _require_to_come(act.effective_us, tx.now_us)
    identifier = tx.identifier("rlc")
    await tx.insert(
        RulebookProposal(
            id=identifier,
            proposer=tx.caller.person,
            base=base.digest,
            digest=result.digest,
            version=result.version,
            rules=_changed_rules(base, result),
            calendar=None if act.calendar is None else result.calendar.to_json(),
            effective_us=act.effective_us,
            reason=act.reason,
            state="proposed",
            log_index=tx.index,
        )
    )
    return Record(
        "rule_change_proposed",
        {
            "base": base.reference(),
            "calendar": None if act.calendar is None else result.calendar.to_json(),
            "effective_us": str(act.effective_us),
            "id": identifier,
            "reason": tx.seal(act.reason),
            "result": result.reference(),
            "rules": _changed_rules(base, result),
            "state": "proposed",
        },
    )


def change(
    base: Rulebook, rules: Mapping[str, Mapping[str, Any]], calendar: Mapping[str, Any] | None
) -> Rulebook:
    """The version that a change makes of another. Pure; Unprocessable, naming the rule, where there is none."""
    try:
        named = [Rule.from_json(name, said) for name, said in rules.items()]
        return base.changed(named, None if calendar is None else Calendar.from_json(calendar))
    except Misconfigured as refused:
        raise Unprocessable(
            "rulebook.change", refused.detail, field=refused.field, rule=refused.rule, remedy=refused.remedy
        ) from refused


def _changed_rules(base: Rulebook, result: Rulebook) -> dict[str, Any]:
    return {each.name: each.new.to_json() for each in differences(base, result) if each.new is not None}


def _require_to_come(effective_us: int, now_us: int) -> None:
    if not now_us < effective_us <= now_us + EFFECTIVE_WITHIN_US:
        raise Unprocessable(
            "rulebook.effective",
            f"{effective_us} is not to come, or more than ten years off",
            field="effective_us",
            rule="a change takes effect after it is signed, so that everybody can know it before",
            remedy="propose it with a later date",
        )


@dataclass(frozen=True, slots=True)
class DecideRuleChange(Act):
    """Sign a proposed change, by the digest of the version that it makes, or reject it with a reason."""

    proposal: str
    digest_of: str
    decision: Literal["sign", "reject"]
    reason: str = ""


async def decide_rule_change(tx: Transaction, act: DecideRuleChange) -> Record:
    """A second person's signature makes the change the next version; who proposed it is refused on the record.

    Conflict where another change was signed since, or its date has come unsigned: it is to be proposed again.
    """
    tx.caller.require("administrator", "governing_body", "regulator", duties=("business", "system"))
    rules = await in_force(tx)
    proposal = await tx.find(RulebookProposal, act.proposal, "proposal")
    base = await newest(tx.session)
    touches_own = _touches_own(base, proposal)
    if (
        act.decision == "sign"
        and touches_own
        and rules.allows("parties.governing_body_signs_own_rules")
        and "governing_body" not in tx.caller.roles
    ):
        raise Forbidden(
            "rulebook.governing_body",
            "the change touches the venue's own rules",
            field="proposal",
            rule=f"the governing body signs changes of the venue's own rules ({rules.cite('rulebook.governing_body')})",
            remedy="let a person of the governing body sign it",
        )
    if proposal.state != "proposed":
        raise Conflict(
            "rulebook.decided",
            f"the change is {proposal.state}",
            field="proposal",
            rule="a change is decided once",
            remedy="propose it again",
        )
    if act.digest_of != proposal.digest:
        raise Conflict(
            "rulebook.another",
            f"the change makes {proposal.digest}",
            field="digest",
            rule="a signature is bound to the digest of the version that it puts in force",
            remedy="read the proposal again, and sign what it says",
        )
    said = {"digest": proposal.digest, "proposal": proposal.id, "version": proposal.version}
    if act.decision == "reject":
        proposal.state = "rejected"
        return Record(
            "rule_change_decided", {**said, "reason_given": tx.seal(act.reason), "state": "rejected"}
        )
    if proposal.base != base.digest:
        raise Conflict(
            "rulebook.stale",
            f"{base.version} was signed since this was proposed",
            field="proposal",
            rule="a change is signed for the version that it was proposed to",
            remedy="propose it again",
        )
    _require_to_come(proposal.effective_us, tx.now_us)
    if proposal.proposer == tx.caller.person and not rules.allows("parties.proposer_may_sign"):
        return refusal(
            "rule_change_decided",
            {**said, "reason_given": tx.seal(act.reason)},
            Unprocessable(
                "rulebook.four_eyes",
                "who signs the change proposed it",
                field="proposal",
                rule=f"four eyes: a second person signs ({rules.cite('rulebook.four_eyes')})",
                remedy="let another person sign it",
            ),
        )
    result = change(base, proposal.rules, proposal.calendar)
    assert result.digest == proposal.digest
    previous = await _last_effective_us(tx.session)
    if proposal.effective_us < previous:
        raise Conflict(
            "rulebook.order",
            f"{base.version} takes effect at {previous}",
            field="effective_us",
            rule="versions take effect in the order in which they are signed",
            remedy="propose it with a date that is not before",
        )
    await _keep(tx, result, proposal.effective_us)
    proposal.state = "signed"
    return Record(
        "rule_change_decided",
        {
            **said,
            "document": result.document(),
            "effective_us": str(proposal.effective_us),
            "reason_given": tx.seal(act.reason),
            "state": "signed",
        },
    )


def _touches_own(base: Rulebook, proposal: RulebookProposal) -> bool:
    """Whether a rule that is, or would be, the venue's own is among those that change."""
    return any(said["source"] == OWN or base[name].own for name, said in proposal.rules.items())


async def _last_effective_us(session: AsyncSession) -> int:
    query = select(RulebookVersion.effective_us).order_by(col(RulebookVersion.log_index).desc()).limit(1)
    return (await session.execute(query)).scalar() or 0


def view(rules: Rulebook) -> dict[str, Any]:
    """A version as everybody may read it: its document, whose canonical form hashes to the digest."""
    return {
        **rules.reference(),
        "document": rules.document(),
        "gates": {k: list(v) for k, v in GATES.items()},
    }


async def version(session: AsyncSession, digest: str) -> dict[str, Any]:
    """One version of this market by its digest; NotFound where it had none of that digest."""
    query = select(RulebookVersion.digest, RulebookVersion.log_index).where(
        col(RulebookVersion.digest) == digest
    )
    row = (await session.execute(query.order_by(col(RulebookVersion.log_index)).limit(1))).first()
    shipped = None if row is not None else await newest(session)
    if row is None and (shipped is None or shipped.digest != digest):
        raise NotFound(
            "rulebook.unknown",
            f"no version {digest!r}",
            field="version",
            remedy="GET /v1/rulebook/versions lists them by digest",
        )
    return view(shipped if shipped is not None else await _read(session, row))


async def versions(session: AsyncSession) -> list[dict[str, Any]]:
    """Every version of this market, newest first: its entry in the log, and since when it is in force."""
    query = select(
        RulebookVersion.log_index,
        RulebookVersion.digest,
        RulebookVersion.version,
        RulebookVersion.effective_us,
    ).order_by(col(RulebookVersion.log_index).desc())
    return [
        {name: plain(getattr(row, name)) for name in ("digest", "effective_us", "log_index", "version")}
        for row in await session.execute(query)
    ]


async def proposals(session: AsyncSession, caller: Caller) -> list[dict[str, Any]]:
    """The proposed changes, newest first, for whoever may sign one."""
    caller.require("administrator", "governing_body", "regulator")
    query = select(RulebookProposal).order_by(col(RulebookProposal.log_index).desc())
    return [_proposal_view(row) for row in (await session.execute(query)).scalars()]


async def proposal(session: AsyncSession, identifier: str, caller: Caller) -> dict[str, Any]:
    """One of them; NotFound where there is none."""
    caller.require("administrator", "governing_body", "regulator")
    row = await session.get(RulebookProposal, identifier)
    if row is None:
        raise NotFound(
            "proposal.unknown", f"no proposal {identifier!r}", field="proposal", remedy="check the identifier"
        )
    return _proposal_view(row)


def _proposal_view(row: RulebookProposal) -> dict[str, Any]:
    return {
        name: plain(getattr(row, name))
        for name in (
            "id", "proposer", "base", "digest", "version", "rules", "calendar", "effective_us", "reason", "state",
            "log_index",
        )
    }  # fmt: skip


def history(opened: Sequence[tuple[int, Rulebook]], now_us: int) -> Rulebook:
    """Of versions with the moments from which they are in force, in the order of the log, the one at `now_us`. Pure."""
    return next(rules for effective_us, rules in reversed(opened) if effective_us <= now_us)
