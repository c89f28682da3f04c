"""Routes of the register: applications and what registrars decide of them, public notices, certificates, revocations."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from exchange.api.doorway import (
    AfterName,
    CallerDep,
    GateDep,
    KeyDep,
    Limit,
    Named,
    Once,
    PagesDep,
    ReaderDep,
    perform,
    visitor,
)
from exchange.messages.assets import CertificateView
from exchange.messages.outcomes import Answer
from exchange.messages.registration import (
    AcceptanceMessage,
    ApplicationDetail,
    ApplicationMessage,
    ApplicationView,
    CertificateDetail,
    CertificateDocument,
    CommentMessage,
    ComplianceAssessed,
    ComplianceEngaged,
    ComplianceMessage,
    ComplianceView,
    CounterMessage,
    EngagementMessage,
    NoticeCommented,
    NoticeDetail,
    NoticeView,
    ObjectionDecided,
    ObjectionDecisionMessage,
    ObjectionFiled,
    ObjectionMessage,
    RegistrationAccepted,
    RegistrationApplied,
    RegistrationReviewed,
    RegistrationRevoked,
    RegistrationWithdrawn,
    ReviewMessage,
    RevocationMessage,
    WithdrawalOfApplicationMessage,
)
from exchange.registration import applications, compliance, effects, objections, register
from ledger.entries import receipt_to_json

router = APIRouter(prefix="/v1", tags=["registration"])


def _counter(said: CounterMessage | None) -> applications.Counter | None:
    return None if said is None else applications.Counter(said.party, said.person, said.scan)


@router.post("/assets/{asset}/applications", status_code=201, response_model=Answer[RegistrationApplied])
async def apply(
    asset: Named, body: ApplicationMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Apply for an act of registration; a registrar's clerk enters a paper form the same way, with `counter`."""
    act = applications.Apply(
        asset,
        body.act,
        tuple(body.rights),
        body.grant,
        body.to,
        body.exclusive,
        body.ends_us,
        body.title,
        body.summary,
        body.reason,
        _counter(body.counter),
    )
    return await perform(gate, applications.apply, act, caller, key)


@router.get("/applications", response_model=list[ApplicationView])
async def all_applications(
    gate: GateDep,
    caller: CallerDep,
    pages: PagesDep,
    state: Annotated[str | None, Query(pattern="^[a-z]{1,20}$")] = None,
    asset: str | None = None,
    after: AfterName = None,
    limit: Limit = 100,
) -> list[dict[str, Any]]:
    """Applications by identifier: your party's; all of them for a registrar or regulator."""
    rows = await gate.read(
        lambda session, now_us: register.applications(
            session, caller, now_us, state=state, asset=asset, after=after, limit=limit
        ),
        await gate.now_us(),
    )
    pages.link(rows, limit, lambda row: row["id"])
    return rows


@router.get("/applications/{application}", response_model=ApplicationDetail)
async def one_application(application: Named, gate: GateDep, caller: CallerDep) -> dict[str, Any]:
    """One application with the objections to it, for whom it concerns."""
    return await gate.read(register.application, application, caller, await gate.now_us())


@router.post(
    "/applications/{application}/acceptance", status_code=201, response_model=Answer[RegistrationAccepted]
)
async def accept(
    application: Named, body: AcceptanceMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Take an application in, or return it with what is missing (registrar)."""
    act = applications.Accept(application, body.decision, body.reason)
    return await perform(gate, applications.accept, act, caller, key)


@router.post(
    "/applications/{application}/review", status_code=201, response_model=Answer[RegistrationReviewed]
)
async def review(
    application: Named, body: ReviewMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Review an accepted application, as another person than who accepted it: pass, return or reject it (registrar)."""
    act = applications.Review(application, body.decision, body.reason)
    return await perform(gate, applications.review, act, caller, key)


@router.post(
    "/applications/{application}/withdrawal", status_code=201, response_model=Answer[RegistrationWithdrawn]
)
async def withdraw_application(
    application: Named, body: WithdrawalOfApplicationMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Take your application back before it takes effect."""
    act = applications.Withdraw(application, body.reason)
    return await perform(gate, applications.withdraw, act, caller, key)


@router.get("/notices", response_model=list[NoticeView])
async def notices(
    gate: GateDep, pages: PagesDep, after: AfterName = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """The public notices that run, or wait for the decision of an objection, for everybody."""
    rows = await gate.read(register.notices, after, limit)
    pages.link(rows, limit, lambda row: row["application"])
    return rows


@router.get("/notices/{application}", response_model=NoticeDetail)
async def notice(application: Named, gate: GateDep) -> dict[str, Any]:
    """One public notice, with comments and how its objections stand, for everybody."""
    return await gate.read(register.notice, application)


@router.post("/notices/{application}/comments", status_code=201, response_model=Answer[NoticeCommented])
async def comment(
    application: Named, body: CommentMessage, request: Request, gate: GateDep, reader: ReaderDep, key: KeyDep
) -> Response:
    """Comment on a public notice while it runs. Needs no key; with one your party stands beside it.

    Without a key the identifier under which it is kept is made of the comment itself.
    """
    act = objections.Comment(application, body.text)
    if reader is not None:
        return await perform(gate, objections.comment, act, reader, key)
    visitor(request)
    # Visitors share one name, so the identifier is made of what was said: the same said twice is said once.
    said = Once(objections.visitors_identifier(application, body.text), key.until_us)
    return await perform(gate, objections.comment, act, objections.PUBLIC, said)


@router.post("/notices/{application}/objections", status_code=201, response_model=Answer[ObjectionFiled])
async def file_objection(
    application: Named, body: ObjectionMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Object to what a notice announces, as a party, with the reason; the act waits until that is decided."""
    act = objections.FileObjection(application, body.reason, _counter(body.counter))
    return await perform(gate, objections.file_objection, act, caller, key)


@router.post("/objections/{objection}/decision", status_code=201, response_model=Answer[ObjectionDecided])
async def decide_objection(
    objection: Named, body: ObjectionDecisionMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Uphold or dismiss an objection, as another person than who let the application pass (registrar)."""
    act = objections.DecideObjection(objection, body.decision, body.answer)
    return await perform(gate, objections.decide_objection, act, caller, key)


@router.post("/assets/{asset}/revocation", status_code=201, response_model=Answer[RegistrationRevoked])
async def revoke_registration(
    asset: Named, body: RevocationMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Take a registration back, on one of the rulebook's grounds (registrar, regulator)."""
    act = effects.Revoke(asset, body.ground, body.reason)
    return await perform(gate, effects.revoke, act, caller, key)


@router.post(
    "/assets/{asset}/compliance-engagements", status_code=201, response_model=Answer[ComplianceEngaged]
)
async def engage_provider(
    asset: Named, body: EngagementMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Engage an independent service provider to assess your asset's compliance (supplier)."""
    act = compliance.EngageProvider(asset, body.provider)
    return await perform(gate, compliance.engage_provider, act, caller, key)


@router.post("/compliance/{engagement}/report", status_code=201, response_model=Answer[ComplianceAssessed])
async def file_compliance(
    engagement: Named, body: ComplianceMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """File what you found as the provider that was engaged; your report's digest alone is sent (service provider)."""
    act = compliance.FileCompliance(
        engagement, body.conclusion, body.report_digest, body.summary, body.ends_us
    )
    return await perform(gate, compliance.file_compliance, act, caller, key)


@router.get("/compliance", response_model=list[ComplianceView])
async def all_compliance(gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """Engagements and assessments that concern your party; all of them for a registrar or regulator."""
    return await gate.read(compliance.compliance_of, caller)


@router.get("/certificates", response_model=list[CertificateView])
async def certificates(gate: GateDep, caller: CallerDep) -> list[dict[str, Any]]:
    """The certificates of your party's assets, the first to end first."""
    return await gate.read(register.certificates_of, caller)


@router.get("/certificates/{code}")
async def certificate(code: Named, gate: GateDep) -> CertificateDetail:
    """A registration certificate by its public code, for everybody; its evidence can be compared with the log's tiles."""
    return CertificateDetail.model_validate(await gate.read(register.certificate, code))


@router.get("/certificates/{code}/document")
async def certificate_document(code: Named, gate: GateDep) -> CertificateDocument:
    """The certificate as a file to keep and to verify without the exchange: `exchange registration verify FILE`."""
    view = await gate.read(register.certificate, code)
    index = view["registered_index"]
    return CertificateDocument.model_validate(
        {
            "certificate": view,
            "receipt": receipt_to_json(await gate.receipt(index)),
            "openings": await gate.read(register.openings, index),
        }
    )
