"""Routes of the sealed tender: publication, clarifications, envelopes, the opening by the holders, and what it came to."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from exchange import proposals, tenders
from exchange.api.delivery import vault_of
from exchange.api.doorway import AfterIndex, CallerDep, GateDep, KeyDep, Limit, Named, PagesDep, perform
from exchange.listings import Offer
from exchange.messages.assets import UploadView
from exchange.messages.outcomes import Answer
from exchange.messages.statute import WhyMessage
from exchange.messages.tenders import (
    AnswerMessage,
    AssessorsMessage,
    AssessorsNamed,
    EnvelopeMessage,
    EnvelopeSealed,
    EnvelopeWithdrawn,
    HandedView,
    HolderKeyMessage,
    HolderKeyPublished,
    HolderKeyView,
    JoinMessage,
    MarksMessage,
    ProposalFiled,
    ProtestDecided,
    ProtestDecisionMessage,
    ProtestMessage,
    QuestionMessage,
    SealedView,
    SharesMessage,
    SharesVerified,
    SignsView,
    TenderAnswered,
    TenderAsked,
    TenderCancelled,
    TenderDetail,
    TendererAdmitted,
    TendererView,
    TenderExplanationView,
    TenderHalted,
    TenderMarked,
    TenderMessage,
    TenderProtested,
    TenderPublished,
    TenderResumed,
    TenderView,
)
from pricing.auctions import Criterion

router = APIRouter(prefix="/v1", tags=["tenders"])

PROPOSAL: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the file",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get("/holder-keys", response_model=list[HolderKeyView])
async def holder_keys(gate: GateDep) -> list[dict[str, Any]]:
    """The public keys of the parties that open tenders together."""
    return await gate.read(tenders.holder_keys)


@router.post("/holder-keys", status_code=201, response_model=Answer[HolderKeyPublished])
async def publish_holder_key(
    body: HolderKeyMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Publish the public half of your party's key; the private half stays on your machine."""
    return await perform(gate, tenders.publish_holder_key, tenders.PublishHolderKey(body.public), caller, key)


@router.get("/tenders", response_model=list[TenderView])
async def all_tenders(
    gate: GateDep, pages: PagesDep, after: AfterIndex = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """All tenders, newest first."""
    rows = await gate.read(tenders.tenders, after, limit)
    pages.link(rows, limit, lambda row: row["log_index"])
    return rows


@router.post("/tenders", status_code=201, response_model=Answer[TenderPublished])
async def publish_tender(body: TenderMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Tender one grant by a published rule, to be opened by so many of its holders (supplier)."""
    offer, rule = body.offer, body.rule
    act = tenders.PublishTender(
        body.asset,
        Offer(offer.grant, offer.licences, offer.term_days, offer.price_fen, offer.ceiling_fen, offer.reason),
        tenders.ScoringRule(
            rule.price_weight_ppm,
            tuple(Criterion(one.name, one.weight_ppm, one.most_points) for one in rule.criteria),
            rule.floor_fen,
            rule.drop_extremes,
        ),
        tuple(body.holders),
        body.threshold,
        body.deposit_fen,
        body.deadline_us,
        body.opens_us,
        body.terms,
        tuple(body.qualification),
        body.again_of,
    )
    return await perform(gate, tenders.publish_tender, act, caller, key)


@router.get("/tenders/{tender}", response_model=TenderDetail)
async def one_tender(tender: Named, gate: GateDep) -> dict[str, Any]:
    """One tender: its terms and clarifications, the course of its opening, marks, award and protests."""
    return await gate.read(tenders.tender, tender)


@router.post("/tenders/{tender}/halt", status_code=201, response_model=Answer[TenderHalted])
async def halt_tender(
    tender: Named, body: WhyMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Halt a tender before its deadline: nobody joins or bids, its clock stands still (administrator, regulator)."""
    return await perform(gate, tenders.halt_tender, tenders.HaltTender(tender, body.reason), caller, key)


@router.post("/tenders/{tender}/resumption", status_code=201, response_model=Answer[TenderResumed])
async def resume_tender(tender: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Let a halted tender go on; its deadline moves by the time that it stood still, or further (administrator, regulator)."""
    return await perform(gate, tenders.resume_tender, tenders.ResumeTender(tender), caller, key)


@router.post("/tenders/{tender}/cancellation", status_code=201, response_model=Answer[TenderCancelled])
async def cancel_tender(
    tender: Named, body: WhyMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Call a tender off before its deadline: every deposit goes back (its supplier, the regulator)."""
    return await perform(gate, tenders.cancel_tender, tenders.CancelTender(tender, body.reason), caller, key)


@router.post("/tenders/{tender}/questions", status_code=201, response_model=Answer[TenderAsked])
async def ask_tender(
    tender: Named, body: QuestionMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Ask what a tender's terms mean; the answer is for everybody, your name for nobody."""
    return await perform(gate, tenders.ask_tender, tenders.AskTender(tender, body.question), caller, key)


@router.post(
    "/tenders/{tender}/questions/{question}/answer",
    status_code=201,
    response_model=Answer[TenderAnswered],
)
async def answer_tender(
    tender: Named, question: Named, body: AnswerMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Answer a question, for everybody to read (its supplier)."""
    act = tenders.AnswerTender(tender, question, body.answer)
    return await perform(gate, tenders.answer_tender, act, caller, key)


@router.post("/tenders/{tender}/tenderers", status_code=201, response_model=Answer[TendererAdmitted])
async def join_tender(
    tender: Named, body: JoinMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Have your deposit held and get a random code for this tender (buyer)."""
    act = tenders.JoinTender(tender, body.drafter, body.agent, body.manager, body.account, body.purpose)
    return await perform(gate, tenders.join_tender, act, caller, key)


@router.get("/tenders/{tender}/tenderer", response_model=TendererView)
async def own_tenderer(tender: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """Your own place on a tender that you joined: your code, your deposit, your envelopes."""
    return await gate.read(tenders.tenderer, caller, tender)


@router.post("/tenders/{tender}/envelopes", status_code=201, response_model=Answer[EnvelopeSealed])
async def hand_in(
    tender: Named, body: EnvelopeMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Hand in a bid that was sealed on your machine, in the place of the one before. A late one is refused on the record."""
    return await perform(
        gate, tenders.hand_in, tenders.HandIn(tender, body.sealed, body.proposal), caller, key
    )


@router.post(
    "/tenders/{tender}/envelopes/withdrawal", status_code=201, response_model=Answer[EnvelopeWithdrawn]
)
async def withdraw_envelope(tender: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Take your envelope back before the deadline."""
    return await perform(gate, tenders.withdraw, tenders.Withdraw(tender), caller, key)


@router.put("/tenders/{tender}/proposal", status_code=201)
async def upload_proposal(tender: Named, request: Request, gate: GateDep, caller: CallerDep) -> UploadView:
    """Send the proposal whose SHA-256 you sealed, as the raw request body, while the bids are being marked (its bidder).

    Another file than was sealed is refused. It waits, for nobody to see, until you hand it in.
    """
    vault = vault_of(request)
    digest, size = await proposals.taken_in(gate, vault, caller, tender, request.stream())
    return UploadView(sha256=digest, size_bytes=size)


@router.post("/tenders/{tender}/proposal", status_code=201, response_model=Answer[ProposalFiled])
async def hand_in_proposal(
    tender: Named, request: Request, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Hand in the proposal that you sent: from here on those who mark it read it (its bidder)."""
    vault = vault_of(request)
    act = await proposals.brought(gate, vault, caller, key.key, tender)
    response = await perform(gate, tenders.hand_in_proposal, act, caller, key)
    await asyncio.to_thread(vault.discard, caller.party, act.proposal)
    return response


@router.get("/tenders/{tender}/proposals/{code}", response_class=Response, responses=PROPOSAL)
async def proposal(
    tender: Named, code: Named, request: Request, gate: GateDep, caller: CallerDep
) -> Response:
    """The proposal of a bidder, as it was sealed (that bidder, the department that tenders, its assessors, the regulator)."""
    digest = await gate.read(tenders.proposal_of, caller, tender, code)
    content = await asyncio.to_thread(proposals.read, vault_of(request), digest)
    return Response(content, media_type="application/octet-stream", headers=proposals.head(code, digest))


@router.get("/tenders/{tender}/sealed", response_model=SealedView)
async def sealed_tender(tender: Named, gate: GateDep) -> dict[str, Any]:
    """The sealed bids with their committee, once the deadline is over: what holders and strangers open it from."""
    return await gate.read(tenders.sealed, tender)


@router.get("/tenders/{tender}/shares", response_model=list[HandedView])
async def tender_shares(tender: Named, gate: GateDep) -> list[dict[str, Any]]:
    """What each holder handed in at the opening, good and refused, with what was forged."""
    await gate.read(tenders.tender, tender)
    return await gate.read(tenders.shares, tender)


@router.post("/tenders/{tender}/shares", status_code=201, response_model=Answer[SharesVerified])
async def hand_shares(
    tender: Named, body: SharesMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Hand in your shares of every envelope (holders). Each is verified; a forged one is refused on the record, and named."""
    act = tenders.HandShares(tender, dict(body.submissions))
    return await perform(gate, tenders.hand_shares, act, caller, key)


@router.post("/tenders/{tender}/assessors", status_code=201, response_model=Answer[AssessorsNamed])
async def appoint_assessors(
    tender: Named, body: AssessorsMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Name the persons who mark the bids (its supplier). One who is related to a bidder or the seller's side is refused, with the way."""
    act = tenders.AppointAssessors(tender, tuple(body.people))
    return await perform(gate, tenders.appoint_assessors, act, caller, key)


@router.post("/tenders/{tender}/marks", status_code=201, response_model=Answer[TenderMarked])
async def mark_tender(
    tender: Named, body: MarksMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Mark every valid bid (an assessor who was named). Once all marks are in, the published rule decides."""
    act = tenders.MarkTender(tender, {code: dict(of) for code, of in body.marks.items()})
    return await perform(gate, tenders.mark_tender, act, caller, key)


@router.post("/tenders/{tender}/protests", status_code=201, response_model=Answer[TenderProtested])
async def file_protest(
    tender: Named, body: ProtestMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Protest against an award while the time for it runs (a bidder); it holds the settlement."""
    act = tenders.FileProtest(tender, body.reason)
    return await perform(gate, tenders.file_protest, act, caller, key)


@router.post(
    "/tenders/{tender}/protests/{protest}/decision",
    status_code=201,
    response_model=Answer[ProtestDecided],
)
async def decide_protest(
    tender: Named,
    protest: Named,
    body: ProtestDecisionMessage,
    gate: GateDep,
    caller: CallerDep,
    key: KeyDep,
) -> Response:
    """Uphold a protest, so that the bids are marked anew or the tender is undone, or dismiss it (regulator)."""
    act = tenders.DecideProtest(tender, protest, body.decision, body.answer, body.remedy)
    return await perform(gate, tenders.decide_protest, act, caller, key)


@router.get("/tenders/{tender}/explanation", response_model=TenderExplanationView)
async def tender_explanation(tender: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """Why your party won or lost a tender, from the opened bids and the marks alone, in Chinese and English."""
    return await gate.read(tenders.explanation, caller, tender)


@router.get("/tenders/{tender}/signs", response_model=SignsView)
async def tender_signs(tender: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """Signs of a rigged tender, as the screens found them at the opening (regulator)."""
    return await gate.read(tenders.signs, caller, tender)
