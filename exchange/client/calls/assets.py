"""An asset's path from declaration to catalogue, its lineage and corrections."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, cast

import httpx

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, asked, digest_of, v1
from exchange.client.carriers import Found, Walk
from exchange.client.wire import AGAIN, Patience, Steps, expect, problem_in
from exchange.desensitization.grade import Opening
from exchange.messages.assets import (
    AppraisalMessage,
    AssessmentMessage,
    AssetMessage,
    AssetPage,
    AssetView,
    AuthorizationMessage,
    AuthorizationView,
    CorrectionAnswerMessage,
    CorrectionMendingMessage,
    CorrectionMessage,
    CorrectionView,
    DossierView,
    LineageMessage,
    LineageView,
    ListView,
    ReleaseMessage,
    SampleView,
    SliceMessage,
    SliceView,
    ThemeMessage,
)


class Facets(TypedDict, total=False):
    """What a search of the catalogue may be narrowed by, as the counts of a page name the values."""

    state: str
    kind: str
    theme: str
    base_library: str
    grade: str
    opening: str
    price: str
    freshness: str
    supplier: str


class Assets(Asking):
    """An asset's path from declaration to catalogue, its lineage and corrections."""

    def declare_asset(
        self,
        title: str,
        kind: str,
        *,
        summary: str = "",
        operator: str | None = None,
        opening: Opening | None = None,
        opening_reason: str = "",
        purposes: Sequence[str] = (),
        qualified: bool = False,
        update_days: int | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Say that the calling department has something; `outcome["asset"]` names it from now on.

        `opening` is how far it is to be opened (None: as the market's model has it), wider than that with `opening_reason`;
        `purposes` and `qualified` are the condition on which it is. `update_days` promises new data every so many days:
        later, the catalogue says that the asset is stale.
        """
        message = AssetMessage(
            title=title,
            summary=summary,
            kind=kind,
            operator=operator,
            opening=opening,
            opening_reason=opening_reason,
            purposes=list(purposes),
            qualified=qualified,
            update_days=update_days,
        )
        return self._write("/v1/assets", message, identifier)

    def send_list(self, path: Path, *, piece_bytes: int = 1 << 20) -> Steps[str]:
        """Send a list of assets piece by piece, going on where a cut left it, and return its name, a SHA-256 in hex."""
        data = path.read_bytes()
        name = hashlib.sha256(data).hexdigest()
        patience = Patience(self.wire.timeout_s)
        while True:
            have = (yield from self._read(v1("lists", name), ListView)).offset
            if have >= len(data):
                return name
            target = f"{self.url}{v1('lists', name)}?offset={have}"
            piece = data[have : have + piece_bytes]
            try:
                response = yield from self.wire.once("PUT", target, self.wire.authorization(), content=piece)
                if response.status_code not in (*AGAIN, 409):  # 409: another one sent it meanwhile
                    expect(response, 200, 201)
                    patience.renew()
                    continue
                yield self._rest(patience, problem_in(response)["detail"], response.headers)
            except httpx.TransportError as error:
                yield self._rest(patience, str(error), cause=error)

    def declare_list(self, name: str, first: int = 1, count: int = 1_000) -> Steps[SliceView]:
        """Declare at most a thousand rows of a list that was sent, from row `first` on, and hear which failed and why.

        Sending it again is safe: each row takes effect once, under its own `id`.
        """
        target = self.url + v1("lists", name, "declarations")
        body = SliceMessage(first=first, count=count).model_dump_json().encode()
        patience = Patience(self.wire.timeout_s)
        headers = {**self.wire.authorization(), "Content-Type": "application/json"}
        while True:
            try:
                response = yield from self.wire.once("POST", target, headers, content=body)
                if response.status_code not in AGAIN:
                    expect(response, 200)
                    return self._as(response, target, SliceView)
                yield self._rest(patience, problem_in(response)["detail"], response.headers)
            except httpx.TransportError as error:
                yield self._rest(patience, str(error), cause=error)

    def file_risk_assessment(
        self, asset: str, assessment: AssessmentMessage, *, identifier: str | None = None
    ) -> Steps[Done]:
        """File what `exchange desensitize scan` found. What may never cross raises Refused."""
        about = {"asset": asset, "raw_digest": assessment.raw_digest}
        return self._write(v1("assets", asset, "assessments"), assessment, identifier, about)

    def authorize(self, asset: str, assessment: str, *, identifier: str | None = None) -> Steps[Done]:
        """Approve the newest assessment at the next level; the last level's `outcome["authorization"]` is the leave to release.

        Whoever filed it, or approved a level before, is Refused.
        """
        message = AuthorizationMessage(assessment=assessment)
        about = {"asset": asset, "assessment": assessment, "decision": "approve"}
        return self._write(v1("assets", asset, "authorizations"), message, identifier, about)

    def return_file(
        self, asset: str, assessment: str, reason: str, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Refuse to approve the newest assessment: the asset is only declared again, for the reason that is given."""
        message = AuthorizationMessage(assessment=assessment, decision="return", reason=reason)
        about = {"asset": asset, "assessment": assessment, "decision": "return"}
        return self._write(v1("assets", asset, "authorizations"), message, identifier, about)

    def authorization(self, asset: str, authorization: str) -> Steps[AuthorizationView]:
        """An authorization, as `exchange desensitize apply` binds itself to it."""
        return self._read(v1("assets", asset, "authorizations", authorization), AuthorizationView)

    def authorization_document(self, asset: str, authorization: str) -> Steps[dict[str, Any]]:
        """What `exchange desensitize apply --authorization FILE` takes: the authorization with its proven receipt."""
        path = v1("assets", asset, "authorizations", authorization, "document")
        document = yield from self._read(path, dict[str, Any])
        yield from self._proven(document.get("receipt"))
        return document

    def upload(self, path: Path) -> Steps[str]:
        """Send a desensitized file to wait for its release; returns its SHA-256 in hex. Sending it again is safe."""
        digest = digest_of(path)
        yield from self._put(v1("uploads", digest), path)
        return digest

    def release(
        self,
        asset: str,
        authorization: str,
        product_digest: str,
        certificate: Mapping[str, Any],
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Release an uploaded file. The exchange measures it again; what fails raises Refused with its reasons."""
        message = ReleaseMessage(
            authorization=authorization, product_digest=product_digest, certificate=dict(certificate)
        )
        about = {"asset": asset, "product_digest": product_digest}
        return self._write(v1("assets", asset, "releases"), message, identifier, about)

    def assign_theme(self, asset: str, theme: str, *, identifier: str | None = None) -> Steps[Done]:
        """Put the released product under a theme."""
        about = {"asset": asset, "theme": theme}
        return self._write(v1("assets", asset, "theme"), ThemeMessage(theme=theme), identifier, about)

    def appraise(
        self, asset: str, appraisal: AppraisalMessage, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Have the exchange value a registered asset; the report names the reason and source of every figure."""
        return self._write(v1("assets", asset, "appraisals"), appraisal, identifier, {"asset": asset})

    def assets(self, text: str | None = None, **facets: Unpack[Facets]) -> Walk[AssetView]:
        """Search the catalogue by words in Chinese or English and by facets, best first, page by page as you read on."""
        after: str | None = None
        while True:
            page = yield from self.catalogue(text, after=after, **facets)
            yield from map(Found, page.assets)
            if page.after is None:
                return
            after = page.after

    def catalogue(
        self, text: str | None = None, *, limit: int = 20, after: str | None = None, **facets: Unpack[Facets]
    ) -> Steps[AssetPage]:
        """One page of the catalogue, with how many assets there are in all and by facet; `after` is of the page before."""
        wanted = cast("dict[str, str | None]", facets)
        return self._read("/v1/assets", AssetPage, asked(text=text, limit=limit, after=after, **wanted))

    def asset(self, asset: str) -> Steps[DossierView]:
        """An asset with what stands behind it, as far as the caller may see."""
        return self._read(v1("assets", asset), DossierView)

    def sample(self, asset: str) -> Steps[SampleView]:
        """What columns the released product of an asset has, and its first rows where these may be shown."""
        return self._read(v1("assets", asset, "sample"), SampleView)

    def declare_lineage(
        self,
        asset: str,
        parent: str,
        relation: Literal["edition", "derived"],
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Say what your asset was derived from, or whose next edition it is, before its risk assessment (supplier)."""
        message = LineageMessage(parent=parent, relation=relation)
        about = {"asset": asset, "parent": parent, "relation": relation}
        return self._write(v1("assets", asset, "parents"), message, identifier, about)

    def lineage(self, asset: str) -> Steps[LineageView]:
        """An asset's parents, what was made of it, and its newest edition."""
        return self._read(v1("assets", asset, "lineage"), LineageView)

    def ask_correction(
        self,
        licence: str,
        text: str,
        *,
        column: str | None = None,
        evidence: str | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Say what is wrong in what you licensed; `outcome["due_us"]` is until when the department answers."""
        message = CorrectionMessage(text=text, column=column, evidence=evidence)
        return self._write(v1("licences", licence, "corrections"), message, identifier, {"licence": licence})

    def answer_correction(
        self,
        correction: str,
        decision: Literal["accept", "refuse"],
        answer: str,
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Accept a correction of your data, or refuse it with the reason (supplier)."""
        message = CorrectionAnswerMessage(decision=decision, answer=answer)
        about = {"correction": correction}
        return self._write(v1("corrections", correction, "answer"), message, identifier, about)

    def mend_correction(self, correction: str, asset: str, *, identifier: str | None = None) -> Steps[Done]:
        """Name the registered asset that has right what a buyer found wrong (supplier)."""
        message = CorrectionMendingMessage(asset=asset)
        about = {"correction": correction}
        return self._write(v1("corrections", correction, "mending"), message, identifier, about)

    def corrections(self) -> Steps[list[CorrectionView]]:
        """Corrections that you asked for, and those of your data, oldest first; all of them for a regulator."""
        return self._read_all("/v1/corrections", CorrectionView)
