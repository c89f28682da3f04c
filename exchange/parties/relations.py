"""Declares shareholdings by date and other relations, and answers who may not bid, approve or appraise, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange.acts import Act, Caller, Record, Transaction, plain
from exchange.errors import Forbidden, NotFound, Unprocessable
from exchange.parties.names import check_own_name
from exchange.parties.related import KINDS, Bounds, Edge, Path, Relations, in_words, to_json
from exchange.rulebook import Rulebook, in_force
from exchange.tables import Asset, Party, Person, Relation, Shareholding, SigningKey

DATED_WITHIN_US = 100 * 366 * 86_400_000_000


@dataclass(frozen=True, slots=True)
class Holder:
    """A part of a party: `share_ppm` millionths, `party` where the holder is known here, and whether the state owns it."""

    name: str
    share_ppm: int
    party: str | None = None
    state_owned: bool = False
    account: str | None = None
    """The account that an earlier declaration gave it, where its dividends go on; one that is known here keeps its own."""


def check_holders(holders: Sequence[Holder]) -> None:
    """Refuse parts that are not parts, or pass 100 %; a rest may stay undeclared, but then nothing is paid out."""
    for n, holder in enumerate(holders):
        check_own_name(f"holders[{n}].name", holder.name)
    known = [holder.party for holder in holders if holder.party is not None]
    total = sum(h.share_ppm for h in holders)
    if any(h.share_ppm <= 0 for h in holders) or total > 1_000_000 or len(known) != len(set(known)):
        raise Unprocessable(
            "party.shares",
            f"shares sum to {total} of 1000000",
            field="holders",
            rule="each share above nothing, together at most 100 % (1000000 ppm), each holder once",
            remedy="declare each holder once with its share",
        )


@dataclass(frozen=True, slots=True)
class DeclareHolders(Act):
    """Say who holds a party from a moment on; what was declared before stays for the time before."""

    party: str
    since_us: int
    holders: tuple[Holder, ...]


async def declare_holders(tx: Transaction, act: DeclareHolders) -> Record:
    """Keep the holders of a party, whole, by the date from which they hold it (the party itself, or an administrator).

    What is paid out goes by the holders of its own day. A holder keeps the account that it was given first. A party itself
    declares what was undeclared; to lower or end a holder's part, and so a relation that bars it, takes an administrator.
    """
    if act.party != tx.caller.party:
        tx.caller.require("administrator", duties=("business", "security"))
    party = await tx.find(Party, act.party, "party")
    check_holders(act.holders)
    if not act.holders or not 0 <= act.since_us <= tx.now_us + DATED_WITHIN_US:
        raise Unprocessable(
            "holders.since",
            f"{len(act.holders)} holders since {act.since_us}",
            field="since_us" if act.holders else "holders",
            rule="one or more holders, from a moment on",
            remedy="name every holder, and since when",
        )
    if "administrator" not in tx.caller.roles:
        await _require_kept(tx, act)
    return Record(
        "holders_declared",
        {
            "holders": await keep_holders(tx, party.id, act.since_us, act.holders),
            "party": party.id,
            "since_us": str(act.since_us),
            "state": "declared",
        },
        readers=(party.id, *sorted({h.party for h in act.holders if h.party is not None} - {party.id})),
    )


async def _require_kept(tx: Transaction, act: DeclareHolders) -> None:
    """Refuse a party's own word that a holder has less of it than was declared."""
    said = {holder.party or holder.account: holder.share_ppm for holder in act.holders}
    for row in await holders_of(tx.session, act.party, act.since_us):
        if said.get(row.holder_party or row.account, 0) < row.share_ppm:
            raise Forbidden(
                "holders.released",
                f"{row.holder_party or row.account} was declared to hold {row.share_ppm / 10_000:g} %",
                field="holders",
                rule="a party itself adds what was undeclared; an administrator lowers or ends a holder's part",
                remedy="send an administrator the document that shows the change",
            )


async def keep_holders(
    tx: Transaction, party: str, since_us: int, holders: Sequence[Holder]
) -> list[dict[str, Any]]:
    """Keep a declaration's rows, and give what its entry says of them."""
    query = select(Shareholding).where(col(Shareholding.party) == party)
    rows = list((await tx.session.execute(query)).scalars())
    accounts = {row.holder_party: row.account for row in rows if row.holder_party is not None}
    nameless = {row.account for row in rows if row.holder_party is None}
    said = []
    for position, holder in enumerate(holders):
        if holder.party is not None:
            if holder.party == party:
                raise Unprocessable(
                    "party.shares",
                    f"{party} would hold itself",
                    field=f"holders[{position}].party",
                    rule="a party's own shares are no holder's",
                    remedy="declare the shares of the others",
                )
            await tx.find(Party, holder.party, "party")
        account = accounts.get(holder.party) if holder.party is not None else holder.account
        continued = account is not None
        if holder.party is None and account is not None and account not in nameless:
            raise NotFound(
                "account.unknown",
                f"{account!r} is no account of an earlier holder of {party}",
                field=f"holders[{position}].account",
                remedy="leave it out: the holder gets one",
            )
        if account is None:
            account = await tx.open_account("dividend", overdraft="debits_must_not_exceed_credits")
        await tx.insert(
            Shareholding(
                party=party,
                declared=tx.index,
                position=position,
                since_us=since_us,
                holder=holder.name,
                holder_party=holder.party,
                state_owned=holder.state_owned,
                account=account,
                share_ppm=holder.share_ppm,
            )
        )
        said.append(
            {
                "account": account,
                "continued": continued,
                "name": tx.seal(holder.name),
                "party": holder.party,
                "share_ppm": str(holder.share_ppm),
                "state_owned": holder.state_owned,
            }
        )
    return said


_IN_FORCE = """
    SELECT s.party, s.holder_party, s.holder, s.account, s.share_ppm, s.state_owned, s.since_us
    FROM shareholding s
    JOIN (SELECT DISTINCT ON (party) party, declared FROM shareholding WHERE since_us <= :now
          AND (CAST(:party AS text) IS NULL OR party = :party)
          ORDER BY party, since_us DESC, declared DESC) d ON d.party = s.party AND d.declared = s.declared
    ORDER BY s.party, s.position
"""


async def holders_of(session: AsyncSession, party: str, now_us: int) -> list[Any]:
    """The holders of a party at a moment, in the order in which they were declared."""
    return list((await session.execute(text(_IN_FORCE), {"now": now_us, "party": party})).all())


async def relations(session: AsyncSession, now_us: int, rules: Rulebook) -> Relations:
    """All relations that stand at a moment."""
    held = await session.execute(text(_IN_FORCE), {"now": now_us, "party": None})
    edges = [
        Edge(row.holder_party, row.party, "holds", row.share_ppm)
        for row in held
        if row.holder_party is not None
    ]
    declared = await session.execute(select(Relation).where(col(Relation.stands).is_(True)))
    edges += [Edge(row.subject, row.object, row.relation, 0) for row in declared.scalars()]  # type: ignore[arg-type]  # a CHECK holds it to the kinds
    deputies = await session.execute(
        select(Person.id, Person.deputy_of).where(col(Person.deputy_of).is_not(None))
    )
    edges += [Edge(person, stood_for, "deputy") for person, stood_for in deputies if stood_for is not None]
    bounds = Bounds(
        rules.value("related.share_at_least_ppm"),
        rules.value("related.control_at_least_ppm"),
        rules.value("related.steps_at_most"),
    )
    return Relations(edges, bounds)


@dataclass(frozen=True, slots=True)
class DeclareRelation(Act):
    """Say that one controls, runs, is or is of the kin of another, or no longer; `evidence` is a document's SHA-256."""

    subject: str
    object: str
    relation: str
    stands: bool
    evidence: str | None = None


async def declare_relation(tx: Transaction, act: DeclareRelation) -> Record:
    """Keep a relation between parties and persons (administrator, regulator); whoever acts from now on is judged by it."""
    tx.caller.require("administrator", "regulator", duties=("business", "security"))
    known = {name for name in (act.subject, act.object) if await _is_known(tx.session, name)}
    for member, name in (("subject", act.subject), ("object", act.object)):
        if name not in known:
            raise NotFound(
                "relation.unknown",
                f"no party or person {name!r}",
                field=member,
                remedy="check the identifier",
            )
    of_persons = act.relation in ("same", "kin")
    if (
        act.relation not in KINDS
        or act.subject == act.object
        or (of_persons and not (act.subject.startswith("per-") and act.object.startswith("per-")))
    ):
        raise Unprocessable(
            "relation.kind",
            f"{act.subject} {act.relation} {act.object}",
            field="relation",
            rule="a party or person controls or runs another; a person is the same as, or of the kin of, another person",
            remedy="name the two and how they are related",
        )
    row = await tx.session.get(Relation, (act.subject, act.object, act.relation))
    if row is None:
        await tx.insert(
            Relation(
                subject=act.subject,
                object=act.object,
                relation=act.relation,
                stands=act.stands,
                evidence=act.evidence,
                log_index=tx.index,
            )
        )
    else:
        row.stands, row.evidence, row.log_index = act.stands, act.evidence, tx.index
    return Record(
        "relation_declared",
        {
            "evidence": act.evidence,
            "object": act.object,
            "relation": act.relation,
            "state": "stands" if act.stands else "ended",
            "subject": act.subject,
        },
    )


async def _is_known(session: AsyncSession, name: str) -> bool:
    return await session.get(Party, name) is not None or await session.get(Person, name) is not None


@dataclass(frozen=True, slots=True)
class Conflicted:
    """Why somebody may not act on an asset: to whom related, in what office that one stands, and by which way."""

    to: str
    office: str
    path: Path = field(default=())

    def why(self, act: str, alias: Mapping[str, str] | None = None) -> str:
        """The reason in a line; `alias` says whose name is not told, and what stands for it."""
        if not self.path:
            return f"{self.office} does not {act}"
        return f"who is related to {self.office} does not {act}: {in_words(self.path, alias)}"

    def way(self, alias: Mapping[str, str] | None = None) -> list[dict[str, str]]:
        """The path as a problem states it."""
        return to_json(self.path, alias)


REMEDY = "none while the relation stands; where it does not, have the register of relations corrected"


async def conflict(
    tx: Transaction, asset: Asset, who: Iterable[str], *, bids: bool = False
) -> Conflicted | None:
    """Whether one of `who` is, or is related to, whoever has an interest in an asset; the first that is met.

    For bids and purchases these are the seller, its operator, an appraiser of it, and the venue; for approval and
    appraisal the operator, and for appraisal the department that is to be valued.
    """
    return await conflict_at(tx.session, tx.now_us, await in_force(tx), asset, who, bids=bids)


_STANDS = """
    SELECT ARRAY(SELECT DISTINCT k.party FROM appraisal a
            JOIN signing_key k ON k.public = decode(a.report #>> '{signature,public_key}', 'hex')
            WHERE a.asset = :asset ORDER BY k.party) AS appraisers,
        ARRAY(SELECT id FROM party WHERE roles @> '{administrator}' ORDER BY id) AS venues,
        EXISTS (SELECT FROM shareholding WHERE holder_party = ANY(:who))
        OR EXISTS (SELECT FROM shareholding WHERE party = ANY(:who) AND holder_party IS NOT NULL)
        OR EXISTS (SELECT FROM relation WHERE subject = ANY(:who) OR object = ANY(:who))
        OR EXISTS (SELECT FROM person WHERE deputy_of IS NOT NULL AND (id = ANY(:who) OR deputy_of = ANY(:who)))
        AS declared
"""
"""Who appraised an asset, who is the venue, and whether anything at all is declared of somebody: of most nothing is, and the
register need not be read."""


async def conflict_at(
    session: AsyncSession, now_us: int, rules: Rulebook, asset: Asset, who: Iterable[str], *, bids: bool
) -> Conflicted | None:
    """The same for a reader."""
    names = list(who)
    stands = (await session.execute(text(_STANDS), {"asset": asset.id, "who": names})).one()
    roots = [(asset.operator, "the operator of the data")] if asset.operator is not None else []
    if bids:
        roots.insert(0, (asset.supplier, "the seller of the data"))
        roots += [(party, "an appraiser of the data") for party in stands.appraisers]
        roots += [(party, "the venue") for party in stands.venues]
    found = await relations(session, now_us, rules) if stands.declared else None
    for name in names:
        for root, office in roots:
            way = () if name == root else None if found is None else found.path(root, name)
            if way is not None:
                return Conflicted(root, office, way)
    return None


async def signer(session: AsyncSession, public_key: str) -> str | None:
    """The party one of whose signing keys this is, as hex; None where none of them is."""
    query = select(SigningKey.party).where(col(SigningKey.public) == bytes.fromhex(public_key))
    return (await session.execute(query)).scalar()


async def conflicts(
    session: AsyncSession, caller: Caller, asset: str, who: str, now_us: int, rules: Rulebook
) -> dict[str, Any]:
    """Whether a party or person may bid for an asset, approve or appraise it, with the path that is the reason."""
    caller.require("administrator", "regulator")
    row = await session.get(Asset, asset)
    if row is None or not await _is_known(session, who):
        raise NotFound(
            "asset.unknown", f"no asset {asset!r} or party {who!r}", field="asset", remedy="check both"
        )
    answers: dict[str, Any] = {"asset": asset, "party": who}
    appraised = await conflict_at(session, now_us, rules, row, [who], bids=False)
    if appraised is None:
        way = (await relations(session, now_us, rules)).path(row.supplier, who)
        appraised = None if way is None else Conflicted(row.supplier, "the department that is valued", way)
    for act, rule, found in (
        ("bid", "auction.related_may_bid", await conflict_at(session, now_us, rules, row, [who], bids=True)),
        (
            "approve",
            "release.related_may_authorize",
            await conflict_at(session, now_us, rules, row, [who], bids=False),
        ),
        ("appraise", "appraisal.related_may_appraise", appraised),
    ):
        answers[act] = {"may": found is None or rules.allows(rule)} | (
            {} if found is None else {"to": found.to, "office": found.office, "path": to_json(found.path)}
        )
    return answers


async def register(session: AsyncSession, caller: Caller, party: str, now_us: int) -> dict[str, Any]:
    """Who holds a party now, and the relations declared of it; for itself, administrators and regulators."""
    known = await session.get(Party, party)
    if known is None or (
        party != caller.party and not caller.roles.intersection(("administrator", "regulator"))
    ):
        raise NotFound("party.unknown", f"no party {party!r}", field="party", remedy="check the identifier")
    rows = await holders_of(session, party, now_us)
    declared = await session.execute(
        select(Relation).where((col(Relation.subject) == party) | (col(Relation.object) == party))
    )
    return {
        "party": party,
        "declared_ppm": str(sum(row.share_ppm for row in rows)),
        "holders": [
            plain(
                {
                    "account": row.account,
                    "name": row.holder,
                    "party": row.holder_party,
                    "share_ppm": row.share_ppm,
                    "since_us": row.since_us,
                    "state_owned": row.state_owned,
                }
            )
            for row in rows
        ],
        "relations": [
            plain(
                {
                    "evidence": row.evidence,
                    "log_index": row.log_index,
                    "object": row.object,
                    "relation": row.relation,
                    "stands": row.stands,
                    "subject": row.subject,
                }
            )
            for row in declared.scalars()
        ],
    }
