"""Trades, licences and the product itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import httpx

from exchange.client.answers import Done, Link
from exchange.client.calls.asking import Asking, digest_of, filling, v1
from exchange.client.carriers import Found, Walk
from exchange.client.errors import Unproven
from exchange.client.wire import AGAIN, Patience, Steps, expect, problem_in
from exchange.messages.assets import AccessLog, AccessView, DossierView, LicencePage, LicenceView
from exchange.messages.contracts import LicenceStateMessage, LinkMessage
from exchange.messages.views import TradeView


class Delivery(Asking):
    """Trades, licences and the product itself."""

    def trades(self) -> Steps[list[TradeView]]:
        """The party's trades with their vouchers, newest first; all of them for a regulator."""
        return self._read_all("/v1/trades", TradeView)

    def licences(self) -> Walk[LicenceView]:
        """The caller's licences, page by page as you read on."""
        params: dict[str, str] = {}
        while True:
            page = yield from self._read("/v1/licences", LicencePage, params)
            yield from map(Found, page.licences)
            if page.after is None:
                return
            params["after"] = page.after

    def link(
        self,
        licence: str,
        valid_seconds: int = 3600,
        *,
        purpose: str = "",
        region: str = "",
        identifier: str | None = None,
    ) -> Steps[Link]:
        """Make a link to a licensed product that works without a key until it expires.

        `purpose` and `region` (ISO 3166) say what it is for and where, as agreed where they are empty. Conflict with the
        code `contract.unsigned` until both sides have signed the contract (`sign_contract`).
        """
        owned = yield from self._read(v1("licences", licence), LicenceView)
        product_digest = yield from self._product_digest(owned.asset)
        answer: dict[str, Any] = {}
        done = yield from self._write(
            v1("licences", licence, "links"),
            LinkMessage(valid_seconds=valid_seconds, purpose=purpose, region=region),
            identifier,
            {"licence": licence},
            answer,
        )
        if not str(answer.get("link")).startswith("/v1/deliveries/"):
            raise Unproven(f"{answer.get('link')!r} is no link of this exchange", field="link")
        return Link(
            url=self.url + answer["link"],
            licence=licence,
            expires_us=int(done.outcome["expires_us"]),
            product_digest=product_digest,
            done=done,
        )

    def end_links(self, licence: str, *, identifier: str | None = None) -> Steps[Done]:
        """End every link of a licence that was made until now: yours, your buyer's, or (regulator) anybody's."""
        return self._write(v1("licences", licence, "links", "end"), None, identifier, {"licence": licence})

    def set_licence(
        self,
        licence: str,
        state: Literal["active", "suspended", "revoked"],
        reason: str,
        *,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Suspend a licence, let it work again, or revoke it for good (its seller, or a regulator)."""
        message = LicenceStateMessage(state=state, reason=reason)
        about = {"licence": licence, "state": state}
        return self._write(v1("licences", licence, "state"), message, identifier, about)

    def licence_policy(self, licence: str) -> Steps[dict[str, Any]]:
        """A licence as its ODRL 2.2 policy (JSON-LD), which delivery obeys."""
        return self._read(v1("licences", licence, "policy"), dict[str, Any])

    def accesses(self, licence: str) -> Steps[AccessLog]:
        """Who fetched what under a licence: each access by the entry that records it, for its buyer, the department, its
        operator and the regulator. `receipt(log_index)` proves each.
        """
        found: list[AccessView] = []
        params: dict[str, str] = {}
        while True:
            page = yield from self._read(v1("licences", licence, "accesses"), AccessLog, params)
            found += page.accesses
            if not page.accesses:
                return AccessLog(licence=licence, accesses=found)
            params = {"after": str(page.accesses[-1].log_index)}

    def download(self, link: Link, path: Path) -> Steps[None]:
        """Fetch a product to `path`, which appears only once its SHA-256 is the product's (Unproven otherwise).

        What arrived before a lost connection, or before a call that was given up, waits in `path`.part and is
        gone on with.
        """
        return self._fetch(link.url, link.product_digest, path)

    def open_data(self, asset: str, path: Path) -> Steps[None]:
        """Fetch the product of an asset that is open to everybody to `path`, as `download` does; no key is needed."""
        product_digest = yield from self._product_digest(asset)
        yield from self._fetch(self.url + v1("assets", asset, "data"), product_digest, path)

    def _product_digest(self, asset: str) -> Steps[str]:
        product = (yield from self._read(v1("assets", asset), DossierView)).product
        if product is None:
            raise Unproven(f"the catalogue names no product of {asset}", field="product")
        return product.product_digest

    def _fetch(self, url: str, digest: str, path: Path) -> Steps[None]:
        part = path.with_name(path.name + ".part")
        patience = Patience(self.wire.timeout_s)

        def take(response: httpx.Response) -> AbstractContextManager[Callable[[bytes], object]] | None:
            if response.status_code not in (200, 206):
                return None
            return filling(part, "ab" if response.status_code == 206 else "wb", patience.renew)

        while True:
            have = part.stat().st_size if part.exists() else 0
            # The range only counts while the file is still the same one.
            headers = {"Range": f"bytes={have}-", "If-Range": f'"{digest}"'} if have else {}
            headers["Accept-Encoding"] = "identity"
            try:
                response = yield from self.wire.once("GET", url, headers, sink=take)
                if response.status_code not in AGAIN:
                    if response.status_code != 416:  # 416: nothing is left to fetch
                        expect(response, 200, 206)
                    break
                yield self._rest(patience, problem_in(response)["detail"], response.headers)
            except httpx.TransportError as error:
                yield self._rest(patience, str(error), cause=error)
        found = digest_of(part)
        if found != digest:
            part.unlink()
            raise Unproven(f"what arrived hashes to {found}, not to {digest}", field="product")
        os.replace(part, path)
