"""Routes of an asset's path: declare, assess, authorize, upload, release, theme, appraise; and the catalogue."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from exchange import appraisal, authorization, catalogue, registration, releases, valuation
from exchange.api.delivery import vault_of
from exchange.api.doorway import (
    CallerDep,
    GateDep,
    KeyDep,
    Named,
    PagesDep,
    ReaderDep,
    perform,
)
from exchange.desensitization.grade import Declared, Impact
from exchange.errors import TooLarge
from exchange.messages.assets import (
    AppraisalMessage,
    AssessmentMessage,
    AssetMessage,
    AssetPage,
    AuthorizationDocument,
    AuthorizationMessage,
    AuthorizationView,
    DossierView,
    ReleaseMessage,
    SampleView,
    TaxonomyView,
    TermView,
    ThemeMessage,
    UploadView,
)
from exchange.messages.outcomes import (
    Answer,
    AssetAppraised,
    AssetDeclared,
    ProductReleased,
    ReleaseAuthorized,
    RiskAssessed,
    ThemeAssigned,
)
from exchange.releases import measuring
from exchange.taxonomy import KINDS, THEMES
from exchange.vault import FILE_LIMIT_BYTES
from ledger.entries import receipt_to_json

router = APIRouter(prefix="/v1", tags=["assets"])

Facet = Annotated[
    str | None, Query(max_length=64, description="only assets with this value, as `facets` names it")
]


@router.get("/taxonomy")
async def taxonomy() -> TaxonomyView:
    """The kinds of public data, and the themes."""
    return TaxonomyView(
        kinds=[TermView(id=id, zh=kind.zh, en=kind.en) for id, kind in KINDS.items()],
        themes=[TermView(id=id, zh=theme.zh, en=theme.en) for id, theme in THEMES.items()],
    )


@router.get("/assets")
async def assets(
    gate: GateDep,
    reader: ReaderDep,
    pages: PagesDep,
    text: Annotated[str | None, Query(max_length=200, description="words in Chinese or English")] = None,
    kind: Facet = None,
    theme: Facet = None,
    base_library: Facet = None,
    grade: Facet = None,
    opening: Facet = None,
    price: Facet = None,
    freshness: Facet = None,
    state: Facet = None,
    supplier: Facet = None,
    after: Annotated[
        str | None,
        Query(
            pattern=catalogue.CURSOR,
            description="cursor: as the page before links to",
            examples=["0.15.1023.ast-5f0c3a9e7d21b846"],
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=catalogue.PAGE_LIMIT)] = 20,
) -> AssetPage:
    """Search what you may see: registered assets without a key, your own ones at every step with one.

    Best first, with counts by facet, each under the filters of all the others.
    """
    search = catalogue.Search(
        text=text,
        state=state,
        kind=kind,
        theme=theme,
        grade=grade,
        opening=opening,
        price=price,
        freshness=freshness,
        base_library=base_library,
        supplier=supplier,
        after=None if after is None else catalogue.Place.parse(after),
        limit=limit,
    )
    found = await gate.read(catalogue.search_assets, search, reader)
    pages.link(found["assets"], limit, lambda row: row["place"])
    places = [row.pop("place") for row in found["assets"]]
    return AssetPage.model_validate({**found, "after": places[-1] if len(places) == limit else None})


@router.get("/assets/{asset}")
async def asset(asset: Named, gate: GateDep, reader: ReaderDep) -> DossierView:
    """An asset with what stands behind it; the inner papers only for its department, operator and the regulator."""
    return DossierView.model_validate(await gate.read(catalogue.dossier, asset, reader))


@router.get("/assets/{asset}/sample")
async def sample(asset: Named, request: Request, gate: GateDep, reader: ReaderDep) -> SampleView:
    """The data dictionary of a released product and its first ten rows; no rows of what is closed or above general."""
    shown, open_to_readers = await gate.read(catalogue.dictionary, asset, reader)
    vault, digest = vault_of(request), shown["product_digest"]
    rows = await asyncio.to_thread(catalogue.sample, vault, digest) if open_to_readers else []
    return SampleView.model_validate({**shown, "rows": rows})


@router.post("/assets", status_code=201, response_model=Answer[AssetDeclared])
async def declare(message: AssetMessage, gate: GateDep, caller: CallerDep, key: KeyDep) -> Response:
    """Declare what your department has (supplier)."""
    act = registration.DeclareAsset(
        message.title,
        message.summary,
        message.kind,
        message.operator,
        message.opening,
        message.opening_reason,
        tuple(message.purposes),
        message.qualified,
        message.update_days,
    )
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
    """Approve the newest assessment at the next level, as a further person, or return the file (supplier, governing body)."""
    act = authorization.Authorize(asset, message.assessment, message.decision, message.reason)
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
    act = await releases.brought(
        gate,
        vault,
        measuring(request.app.state),
        caller,
        key.key,
        asset=asset,
        authorization=message.authorization,
        product_digest=message.product_digest,
        certificate=message.certificate,
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
    act = await valuation.asked(
        gate, vault_of(request), measuring(request.app.state), caller, asset=asset, message=message
    )
    return await perform(gate, appraisal.appraise, act, caller, key)
