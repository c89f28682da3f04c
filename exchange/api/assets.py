"""Routes of an asset's path: declare, assess, authorize, upload, release, theme, register, appraise; and the catalogue."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.security import HTTPAuthorizationCredentials

from exchange import appraisal, authorization, catalogue, registration
from exchange.acts import Caller
from exchange.api.delivery import vault_of
from exchange.api.doorway import (
    AfterName,
    CallerDep,
    GateDep,
    KeyDep,
    Named,
    PagesDep,
    bearer,
    caller_of,
    known_of,
    perform,
)
from exchange.desensitization.child import measure_in_child
from exchange.desensitization.errors import TableTooLarge, UnreadableTable
from exchange.desensitization.grade import Declared, Impact
from exchange.desensitization.limits import Limits
from exchange.desensitization.source import read_table
from exchange.errors import TooLarge
from exchange.messages.assets import (
    AppraisalMessage,
    AssessmentMessage,
    AssetMessage,
    AssetPage,
    AuthorizationDocument,
    AuthorizationMessage,
    AuthorizationView,
    CertificateView,
    DossierView,
    ReleaseMessage,
    TaxonomyView,
    TermView,
    ThemeMessage,
    UploadView,
)
from exchange.messages.outcomes import (
    Answer,
    AssetAppraised,
    AssetDeclared,
    AssetRegistered,
    ProductReleased,
    ReleaseAuthorized,
    RiskAssessed,
    ThemeAssigned,
)
from exchange.registration.judgement import NOT_MEASURED, judge_release
from exchange.vault import FILE_LIMIT_BYTES
from ledger.entries import receipt_to_json
from pricing.appraisal import Report
from pricing.errors import PricingError

router = APIRouter(prefix="/v1", tags=["assets"])

MEASUREMENTS_AT_ONCE = 2
"""Children that read arriving tables at a time: each may take gibibytes and a core."""


async def reader_of(
    request: Request, bearing: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> Caller | None:
    """Who reads: nobody in particular without a key, and a wrong key is refused."""
    return None if bearing is None else await caller_of(request, await known_of(request, bearing))


ReaderDep = Annotated[Caller | None, Depends(reader_of)]


def measuring(request: Request) -> asyncio.Semaphore:
    """The turnstile before the measuring children, one for the application."""
    state = request.app.state
    if not hasattr(state, "measuring"):
        state.measuring = asyncio.Semaphore(MEASUREMENTS_AT_ONCE)
    turnstile: asyncio.Semaphore = state.measuring
    return turnstile


@router.get("/taxonomy")
async def taxonomy() -> TaxonomyView:
    """The kinds of public data, and the themes."""
    return TaxonomyView(
        kinds=[TermView(id=id, zh=kind.zh, en=kind.en) for id, kind in registration.KINDS.items()],
        themes=[TermView(id=id, zh=theme.zh, en=theme.en) for id, theme in registration.THEMES.items()],
    )


@router.get("/assets")
async def assets(
    gate: GateDep,
    reader: ReaderDep,
    pages: PagesDep,
    text: Annotated[str | None, Query(max_length=200)] = None,
    kind: str | None = None,
    theme: str | None = None,
    state: str | None = None,
    supplier: str | None = None,
    after: AfterName = None,
    limit: Annotated[int, Query(ge=1, le=catalogue.PAGE_LIMIT)] = 20,
) -> AssetPage:
    """Search what you may see: registered assets without a key, your own ones at every step with one."""
    search = catalogue.Search(text, kind, theme, state, supplier, after, limit)
    rows = await gate.read(catalogue.search_assets, search, reader)
    pages.link(rows, limit, lambda row: row["id"])
    return AssetPage.model_validate({"assets": rows, "after": rows[-1]["id"] if len(rows) == limit else None})


@router.get("/assets/{asset}")
async def asset(asset: Named, gate: GateDep, reader: ReaderDep) -> DossierView:
    """An asset with what stands behind it; the inner papers only for its department, operator and the regulator."""
    return DossierView.model_validate(await gate.read(catalogue.dossier, asset, reader))


@router.get("/certificates/{code}")
async def certificate(code: Named, gate: GateDep) -> CertificateView:
    """A registration certificate by its public code; its evidence can be compared with the log's tiles."""
    return CertificateView.model_validate(await gate.read(catalogue.certificate, code))


@router.post("/assets", status_code=201, response_model=Answer[AssetDeclared])
async def declare(message: AssetMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Declare what your department has (supplier)."""
    act = registration.DeclareAsset(message.title, message.summary, message.kind, message.operator)
    return await perform(gate, registration.declare_asset, act, caller, key)


@router.post("/assets/{asset}/assessments", status_code=201, response_model=Answer[RiskAssessed])
async def assess(
    asset: Named, message: AssessmentMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """File the risk assessment of `exchange desensitize scan` (supplier). What may never cross is refused on the record."""
    act = await asyncio.to_thread(
        authorization.assessment,
        asset=asset,
        raw_digest=message.raw_digest,
        policy_digest=message.policy_digest,
        policy=message.policy,
        report=message.report,
        impacts=[Impact(impact.harmed, impact.degree, impact.reason) for impact in message.impacts],
        declared=Declared(
            message.declared.state_secret,
            message.declared.trade_secret,
            message.declared.privacy_consented,
        ),
        exempt_from_k=message.exempt_from_k,
    )
    return await perform(gate, authorization.file_risk_assessment, act, caller, key)


@router.post("/assets/{asset}/authorizations", status_code=201, response_model=Answer[ReleaseAuthorized])
async def authorize(
    asset: Named, message: AuthorizationMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Authorize the newest assessment, as another person than its assessor (supplier)."""
    act = authorization.Authorize(asset, message.assessment)
    return await perform(gate, authorization.authorize, act, caller, key)


@router.get("/assets/{asset}/authorizations/{authorization}")
async def authorization_view(
    asset: Named, authorization: Named, gate: GateDep, caller: CallerDep
) -> AuthorizationView:
    """One authorization, for its department, its operator and the regulator."""
    view = await gate.read(registration.authorization_view, asset, authorization, caller)
    return AuthorizationView.model_validate(view)


@router.get("/assets/{asset}/authorizations/{authorization}/document")
async def authorization_document(
    asset: Named, authorization: Named, gate: GateDep, caller: CallerDep
) -> AuthorizationDocument:
    """The file that `exchange desensitize apply --authorization FILE` takes: the authorization and its receipt."""
    view = await gate.read(registration.authorization_view, asset, authorization, caller)
    receipt = receipt_to_json(await gate.receipt(view["log_index"]))
    return AuthorizationDocument.model_validate({"authorization": view, "receipt": receipt})


@router.put("/uploads/{sha256}", status_code=201)
async def upload(sha256: str, request: Request, caller: CallerDep) -> UploadView:
    """Send a desensitized file as the raw request body, named by its SHA-256 (supplier).

    It waits for your release, for nobody else to see; the log knows nothing of it yet.
    """
    caller.require("supplier")
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > FILE_LIMIT_BYTES:
        raise TooLarge(
            "upload.too_large",
            f"{announced} bytes",
            field="Content-Length",
            rule=f"a file has at most {FILE_LIMIT_BYTES} bytes",
            remedy="split the table, for example by month",
        )
    size = await vault_of(request).receive(caller.party, sha256, request.stream())
    return UploadView(sha256=sha256, size_bytes=size)


@router.post("/assets/{asset}/releases", status_code=201, response_model=Answer[ProductReleased])
async def release(
    asset: Named, message: ReleaseMessage, request: Request, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Release the uploaded file under its authorization (supplier).

    The exchange reads the table in a process of its own, measures it and judges it against the authorized
    policy. Accepted or refused, the answer is on the record; a refused file is deleted.
    """
    vault = vault_of(request)
    staged = vault.staged(caller.party, message.product_digest)
    found = NOT_MEASURED
    if staged is not None and await gate.look_up(caller.party, key.key) is None:
        authorized = await gate.read(registration.releasable, asset, message.authorization, caller)
        try:
            async with measuring(request):
                measurement = await asyncio.to_thread(measure_in_child, staged, authorized.policy)
        except (UnreadableTable, TableTooLarge):
            await asyncio.to_thread(vault.discard, caller.party, message.product_digest)
            raise
        found = judge_release(measurement, authorized, message.product_digest, message.certificate)
        if not found.failures:
            # Before the act: an accepted product is never without its file.
            await asyncio.to_thread(vault.keep, caller.party, message.product_digest)
    act = registration.ReleaseProduct(
        asset,
        message.authorization,
        message.product_digest,
        message.certificate,
        registration.document_digest(message.certificate),
        found.measurement,
        found.failures,
    )
    response = await perform(gate, registration.release_product, act, caller, key)
    await asyncio.to_thread(vault.discard, caller.party, message.product_digest)
    return response


@router.post("/assets/{asset}/theme", status_code=201, response_model=Answer[ThemeAssigned])
async def assign_theme(
    asset: Named, message: ThemeMessage, gate: GateDep, caller: CallerDep, key: KeyDep
) -> Response:
    """Put the released product under a theme (supplier)."""
    act = registration.AssignTheme(asset, message.theme)
    return await perform(gate, registration.assign_theme, act, caller, key)


@router.post("/assets/{asset}/registration", status_code=201, response_model=Answer[AssetRegistered])
async def register(asset: Named, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Register the asset: it gets its public code and its certificate (supplier)."""
    return await perform(gate, registration.register, registration.Register(asset), caller, key)


@router.post("/assets/{asset}/appraisals", status_code=201, response_model=Answer[AssetAppraised])
async def appraise(
    asset: Named,
    message: AppraisalMessage,
    request: Request,
    gate: GateDep,
    caller: CallerDep,
    key: KeyDep,
) -> Response:
    """Have a registered asset appraised (supplier, operator).

    The quality is counted from the released file; the report states every input and step. An appraiser's signature
    is verified, and excess earnings that another asset counts are refused.
    """
    name, product_digest = await gate.read(appraisal.subject, asset, caller)
    now_us = await gate.now_us()
    async with measuring(request):
        product = vault_of(request).product(product_digest)
        report = await asyncio.to_thread(_report, message, name, product, now_us)
    act = appraisal.Appraise(
        asset,
        product_digest,
        hashlib.sha256(message.model_dump_json().encode()).hexdigest(),
        report.canonical.decode(),
        report.digest,
    )
    return await perform(gate, appraisal.appraise, act, caller, key)


def _report(message: AppraisalMessage, name: str, product: Path, now_us: int) -> Report:
    """Count the quality of the kept file, and compute the value from it and from what the caller states."""
    try:
        quality, indicators = message.quality.measured(read_table(product, Limits()), now_us)
        inputs, signature = message.inputs(name, quality, indicators), message.signed()
    except PricingError as refused:
        raise appraisal.refused_by_pricing(refused) from refused
    return appraisal.report_on(inputs, signature)
