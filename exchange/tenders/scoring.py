"""The scoring: named independent assessors mark every bid, each mark is logged, and the published rule decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from exchange import rulebook
from exchange.acts import Act, Record, Transaction, plain, refusal
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound, Unprocessable
from exchange.parties.relations import REMEDY, Conflicted, conflict_at, relations
from exchange.rulebook import Rulebook
from exchange.rulebook.days import DAY_US
from exchange.tables import Asset, Listing, Person, Tender, Tenderer, TenderMark
from exchange.tenders.opening import concerned, fail, standing_of
from exchange.tenders.terms import not_now, rules_of
from pricing.auctions import Outcome as PricedOutcome
from pricing.auctions import ScoringRules
from pricing.auctions import Tender as Marked
from pricing.auctions import award as awarded
from pricing.auctions.scoring import Score, scores
from pricing.errors import PricingError

Marks = Mapping[str, Mapping[str, Mapping[str, int]]]
"""Points by assessor, code and criterion."""


@dataclass(frozen=True, slots=True)
class AppointAssessors(Act):
    """Name the persons who mark the bids of a tender."""

    tender: str
    people: tuple[str, ...]


async def appoint_assessors(tx: Transaction, act: AppointAssessors) -> Record:
    """Name the assessors, in the place of those named before while none of them has marked (its supplier).

    They are named once the bidders are known. Refused on the record, with the way that is the reason: who is, or is related to,
    a bidder, the seller, the operator, an appraiser or the venue; a bidder stands there by its code.
    """
    tender, listing = await _own(tx, act.tender)
    rules = await rulebook.in_force(tx)
    if tender.state != "opened" or not tender.rules["criteria"]:
        raise not_now(
            tender, "opened, and marked on more than its price", "assessors mark opened bids", tx.now_us
        )
    if await _marks(tx, tender):
        raise Conflict(
            "assessor.marked",
            "an assessor has marked",
            field="people",
            rule="whoever marks stays named until the award",
            remedy="wait for the other marks",
        )
    check_assessors(act.people, rules)
    said: dict[str, Any] = {
        "assessors": list(act.people),
        "round": str(tender.round),
        "tender": tender.id,
    }
    asset = await tx.find(Asset, listing.asset, "asset")
    try:
        for person in act.people:
            row = await tx.session.get(Person, person)
            if row is None or row.state != "active":
                raise NotFound(
                    "assessor.unknown",
                    f"no person {person!r} who acts here",
                    field="people",
                    remedy="name people of this market's parties",
                )
            await _require_independent(tx, tender, asset, row, rules)
    except ExchangeError as problem:
        return refusal("tender_assessors", said, problem)
    tender.assessors = list(act.people)
    parties = await tx.session.execute(select(Person.party).where(col(Person.id).in_(act.people)))
    return Record(
        "tender_assessors",
        {**said, "state": "named"},
        readers=sorted({*await concerned(tx.session, tender), *parties.scalars()} - {listing.seller}),
    )


def check_assessors(people: Sequence[str], rules: Rulebook) -> None:
    """Refuse too few assessors, or a number in which halves can stand against halves. Pure."""
    least = rules.value("tender.assessors_at_least")
    even = len(people) % 2 == 0 and not rules.allows("tender.assessors_even_allowed")
    if len(set(people)) != len(people) or len(people) < least or even:
        raise Unprocessable(
            "assessor.count",
            f"{len(people)} assessors",
            field="people",
            rule=f"{least} or more, an odd number, each once ({rules.cite('assessor.count')})",
            remedy="name more, or one fewer",
        )


async def _own(tx: Transaction, name: str) -> tuple[Tender, Listing]:
    """A tender of the calling department, and its listing."""
    tender = await tx.find(Tender, name, "tender")
    listing = await tx.find(Listing, tender.listing, "listing")
    if listing.seller != tx.caller.party:
        raise Forbidden(
            "tender.not_yours",
            f"tender {tender.id} is another department's",
            field="tender",
            rule="who tenders names the assessors",
            remedy="none on this tender",
        )
    return tender, listing


async def _require_independent(
    tx: Transaction, tender: Tender, asset: Asset, person: Person, rules: Rulebook
) -> None:
    """Refuse an assessor who has a part in what is tendered, or in a bid."""
    found, codes = await related(tx.session, tx.now_us, tender, asset, person, rules)
    if found is not None and not rules.allows("tender.related_may_assess"):
        raise Forbidden(
            "assessor.related",
            f"{person.id}: {found.why('assess', codes)}",
            field="people",
            rule=f"who is related to a bidder, the seller's side or the venue does not assess ({rules.cite('assessor.related')})",
            remedy=REMEDY,
            path=found.way(codes),
        )


async def related(
    session: AsyncSession, now_us: int, tender: Tender, asset: Asset, person: Person, rules: Rulebook
) -> tuple[Conflicted | None, dict[str, str]]:
    """Which part a person has in what is tendered, or in a bid, None for none; and the codes that stand for the bidders."""
    found = await conflict_at(session, now_us, rules, asset, [person.id, person.party], bids=True)
    rows = await session.execute(
        select(Tenderer.party, Tenderer.code).where(col(Tenderer.tender) == tender.id)
    )
    codes = {row[0]: row[1] for row in rows}
    if found is None:
        register = await relations(session, now_us, rules)
        for party, code in codes.items():
            for name in (person.party, person.id):
                way = () if name == party else register.path(party, name)
                if way is not None and found is None:
                    found = Conflicted(party, f"bidder {code}", way)
    return found, codes


@dataclass(frozen=True, slots=True)
class MarkTender(Act):
    """The calling person's marks of every valid bid: points by code and criterion."""

    tender: str
    marks: dict[str, dict[str, int]]


async def mark_tender(tx: Transaction, act: MarkTender) -> Record:
    """Keep one assessor's marks; nobody else sees them before all are in.

    Forbidden to who was not named; Unprocessable for marks that miss a bid or a criterion or pass its most points. Refused on
    the record where a relation was declared since the assessor was named.
    """
    tender = await tx.find(Tender, act.tender, "tender")
    if tx.caller.person not in tender.assessors:
        raise Forbidden(
            "mark.not_named",
            "you are no assessor of this tender",
            field="tender",
            rule="the assessors whom the supplier named mark its bids, and nobody else",
            remedy="none on this tender",
        )
    if tender.state != "opened":
        raise not_now(tender, "opened", "bids are marked between opening and award", tx.now_us)
    if await tx.session.get(TenderMark, (tender.id, tender.round, tx.caller.person)) is not None:
        raise Conflict(
            "mark.made",
            "your marks are in",
            field="tender",
            rule="each assessor marks once a round",
            remedy="none needed",
        )
    rules = await rulebook.in_force(tx)
    check_marks(tender.opened or [], tender.rules, act.marks)
    said = {
        "assessor": tx.caller.person,
        "marks": plain(act.marks),
        "round": str(tender.round),
        "tender": tender.id,
    }
    listing = await tx.find(Listing, tender.listing, "listing")
    asset = await tx.find(Asset, listing.asset, "asset")
    person = await tx.find(Person, tx.caller.person, "person")
    try:
        await _require_independent(tx, tender, asset, person, rules)
    except ExchangeError as problem:
        return refusal("tender_marked", said, problem)
    await tx.insert(
        TenderMark(
            tender=tender.id,
            round=tender.round,
            assessor=person.id,
            marks=said["marks"],
            time_us=tx.now_us,
            log_index=tx.index,
        )
    )
    return Record("tender_marked", {**said, "state": "marked"})


def check_marks(
    opened: Sequence[Mapping[str, Any]], document: Mapping[str, Any], marks: Mapping[str, Mapping[str, int]]
) -> None:
    """Refuse marks that are not complete, or not of the valid bids alone. Pure."""
    most = {name: int(points) for name, _, points in document["criteria"]}
    codes = {row["code"] for row in opened if row["state"] == "valid"}
    problem = None
    if set(marks) != codes:
        problem = f"marks for {len(set(marks) & codes)} of {len(codes)} bids, and for {len(set(marks) - codes)} others"
    for code in sorted(codes & set(marks)):
        if set(marks[code]) != set(most):
            problem = f"{code} is not marked on {', '.join(most)}, each once"
        elif any(not 0 <= marks[code][name] <= most[name] for name in most):
            problem = f"a mark of {code} is not between 0 and the most points of its criterion"
    if problem is not None:
        raise Unprocessable(
            "mark.incomplete",
            problem,
            field="marks",
            rule="whole points for each criterion of each valid bid, and no others",
            remedy="complete the marks; `exchange tender show` lists bids and criteria",
        )


async def _marks(tx: Transaction, tender: Tender) -> dict[str, dict[str, dict[str, int]]]:
    """What was marked in this round so far."""
    rows = await tx.session.execute(
        select(TenderMark).where(col(TenderMark.tender) == tender.id, col(TenderMark.round) == tender.round)
    )
    return {row.assessor: marks_of(row.marks) for row in rows.scalars()}


def marks_of(said: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, int]]:
    """An assessor's marks from a body. Pure."""
    return {code: {name: int(points) for name, points in of.items()} for code, of in said.items()}


@dataclass(frozen=True, slots=True)
class AwardTender(Act):
    """Award a tender whose marks are all in."""

    tender: str


async def award_tender(tx: Transaction, act: AwardTender) -> Record:
    """Let the published rule decide, and open the time for protests; with too few valid bids the tender has failed.

    Conflict while a mark is missing. The award is not final: it is settled once the time for protests is over.
    """
    tender = await tx.find(Tender, act.tender, "tender")
    marks = await _marks(tx, tender)
    if tender.state != "opened" or not complete(tender.rules, tender.assessors, marks):
        raise Conflict(
            "tender.not_due",
            f"{len(marks)} of {len(tender.assessors)} assessors have marked",
            field="tender",
            rule="the rule decides once all marks are in",
            remedy="wait for them",
        )
    rules = await rulebook.in_force(tx)
    sequence = {one.digest: one.log_index for one in await standing_of(tx.session, tender.id)}
    scoring, book = book_of(tender.rules, tender.assessors, tender.opened or [], sequence, marks)
    outcome = awarded(scoring, book)
    tender.outcome, tender.scores = outcome_json(outcome), scores_json(scores(scoring, book))
    if not outcome.allocation:
        await fail(tx, tender, "too_few_bidders")
    else:
        (winner,) = outcome.allocation
        named = select(Tenderer.party).where(
            col(Tenderer.tender) == tender.id, col(Tenderer.code) == winner.code
        )
        tender.winner = (await tx.session.execute(named)).scalar_one()
        tender.price_fen = winner.price_fen
        tender.state = "awarded"
        tender.protest_until_us, tender.pay_by_us = clocks(tx.now_us, rules)
    return Record(
        "tender_awarded",
        {
            "failure": tender.failure,
            "outcome": tender.outcome,
            "pay_by_us": plain(tender.pay_by_us),
            "protest_until_us": plain(tender.protest_until_us),
            "round": str(tender.round),
            "scores": tender.scores,
            "state": tender.state,
            "tender": tender.id,
        },
        readers=await concerned(tx.session, tender),
    )


def complete(document: Mapping[str, Any], assessors: Sequence[str], marks: Mapping[str, object]) -> bool:
    """Whether everybody has marked who has to; where the price alone counts nobody has. Pure."""
    return set(marks) == set(assessors) and (bool(assessors) or not document["criteria"])


def clocks(now_us: int, rules: Rulebook) -> tuple[int, int]:
    """Until when an award is protested against, and by when it is paid. Pure."""
    until_us = now_us + rules.value("tender.protest_within_days") * DAY_US
    return until_us, until_us + rules.value("tender.paid_within_days") * DAY_US


def book_of(
    document: dict[str, Any],
    assessors: Iterable[str],
    opened: Sequence[Mapping[str, Any]],
    sequence: Mapping[str, int],
    marks: Marks,
) -> tuple[ScoringRules, list[Marked]]:
    """The rule with its assessors and the valid bids with their marks, as pricing takes them. Pure; `sequence` gives by digest
    where in the log each envelope was handed in.
    """
    scoring = rules_of(document, tuple(assessors))
    book = [
        Marked(
            row["code"],
            row["bid_id"],
            int(row["price_fen"]),
            sequence[row["digest"]],
            {assessor: of[row["code"]] for assessor, of in marks.items()},
        )
        for row in opened
        if row["state"] == "valid"
    ]
    return scoring, book


def outcome_json(outcome: PricedOutcome) -> dict[str, Any]:
    """The award as a body states it: pricing's canonical result, whose digest anyone recomputes."""
    return {"digest": outcome.digest, "result": plain(orjson.loads(outcome.canonical))}


def scores_json(found: Sequence[Score]) -> list[dict[str, Any]]:
    """How each valid bid came to its total, as a body states it."""
    return [
        {
            "code": one.code,
            "criteria_ppm": [str(ppm) for ppm in one.criteria_ppm],
            "price_ppm": str(one.price_ppm),
            "total_ppm": str(one.total_ppm),
        }
        for one in found
    ]


def replayed_award(
    document: dict[str, Any],
    assessors: Sequence[str],
    opened: Sequence[Mapping[str, Any]],
    sequence: Mapping[str, int],
    marks: Marks,
) -> tuple[PricedOutcome, list[dict[str, Any]]] | PricingError:
    """Decide an award again, from what the log says alone. Pure."""
    try:
        scoring, book = book_of(document, assessors, opened, sequence, marks)
        return awarded(scoring, book), scores_json(scores(scoring, book))
    except PricingError as error:
        return error
