"""What every call stands on: requests sent and judged, receipts and checkpoints verified."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from exchange.client.answers import Done
from exchange.client.errors import Refused, Unknown, Unproven, Unreachable
from exchange.client.history import History, remembered_vkey
from exchange.client.wire import AGAIN, NoAnswer, Patience, Rest, Steps, Wire, expect, problem_in
from exchange.messages.views import MarketView
from exchange.signing import BODY_LIMIT, signed_headers
from ledger.checkpoint import Checkpoint, Verifier
from ledger.entries import Receipt, receipt_from_json, verify_receipt
from ledger.errors import LedgerError, ProofError
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.policy import Policy

M = TypeVar("M")


class Asking:
    """One exchange, seen with one key: how each call asks, and what it believes of the answer."""

    def __init__(
        self,
        url: str,
        key: str | None,
        vkey: str | None,
        policy: Policy | None,
        timeout_s: float,
        remember: Path | None,
        signing_key: bytes | None,
    ) -> None:
        self.wire = Wire(url, key, timeout_s)
        self._remember = remember
        self._lock = Lock()
        self._history: History | None = None
        self._codes: dict[str, str] = {}
        self._policy = policy
        self._signing_key = signing_key
        if vkey is None and policy is not None and len(policy.logs) == 1:
            vkey = policy.logs[0].verifier.vkey
        known = remembered_vkey(remember)
        if vkey is not None and known is not None and vkey != known:
            raise Unproven(f"{remember} was filled under another key, {known}", field="vkey")
        if vkey is not None or known is not None:
            self._history = self._believe(vkey or known or "")

    @property
    def url(self) -> str:
        """Where the exchange is."""
        return self.wire.url

    def vkey(self) -> Steps[str]:
        """The key that this client verifies with; asks for it where none was given (trust on first use)."""
        return (yield from self._log()).verifier.vkey

    def market(self) -> Steps[MarketView]:
        """What market this is. Unproven where it names another key than the one this client trusts."""
        view = yield from self._read("/v1/market", MarketView)
        if self._history is not None and view.vkey != self._history.verifier.vkey:
            raise (
                yield from self._history.unproven(f"the exchange now names the key {view.vkey}", field="vkey")
            )
        return view

    def _text(self, path: str, params: Mapping[str, str] | None = None) -> Steps[str]:
        try:
            response = yield from self.wire.ask("GET", path, params=params)
            return expect(response, 200).text
        except NoAnswer as error:
            raise Unreachable(str(error)) from error

    @staticmethod
    def fresh_identifier() -> str:
        """An identifier for one request: 128 bits of chance."""
        return secrets.token_hex(16)

    def _save(self, target: str, params: Mapping[str, str], path: Path) -> Steps[None]:
        """Fetch a document to `path`, which appears only once all of it has come."""
        fresh = path.with_name(path.name + ".part")
        patience = Patience(self.wire.timeout_s)
        while True:
            try:
                response = yield from self.wire.once(
                    "GET",
                    self.url + target,
                    {**self.wire.authorization(), "Accept-Encoding": "identity"},
                    params=params,
                    sink=lambda came: filling(fresh, "wb") if came.status_code == 200 else None,
                )
                if response.status_code not in AGAIN:
                    expect(response, 200)
                    os.replace(fresh, path)
                    return
                yield self._rest(patience, problem_in(response)["detail"], response.headers)
            except httpx.TransportError as error:
                yield self._rest(patience, str(error), cause=error)

    def _put(self, target: str, path: Path) -> Steps[None]:
        """Send a file as the whole body; sending it again is safe."""
        patience = Patience(self.wire.timeout_s)
        while True:
            try:
                response = yield from self.wire.once(
                    "PUT", self.url + target, self.wire.authorization(), content=path
                )
                if response.status_code not in AGAIN:
                    expect(response, 200, 201)
                    return
                yield self._rest(patience, problem_in(response)["detail"], response.headers)
            except httpx.TransportError as error:
                yield self._rest(patience, str(error), cause=error)

    def _read_all(self, path: str, form: type[M], params: Mapping[str, str] | None = None) -> Steps[list[M]]:
        """A whole list, page by page, as each links to the next."""
        rows: list[M] = []
        while True:
            response = yield from self._got(path, params)
            rows += self._as(response, path, list[form])  # type: ignore[valid-type]  # a type that was handed in
            following = response.links.get("next", {}).get("url")
            if following is None:
                return rows
            params = dict(httpx.URL(following).params)

    def _read(self, path: str, form: type[M], params: Mapping[str, str] | None = None) -> Steps[M]:
        return self._as((yield from self._got(path, params)), path, form)

    def _got(self, path: str, params: Mapping[str, str] | None) -> Steps[httpx.Response]:
        try:
            return expect((yield from self.wire.ask("GET", path, params=params)), 200)
        except NoAnswer as error:
            raise Unreachable(str(error)) from error

    @staticmethod
    def _as(response: httpx.Response, path: str, form: type[M]) -> M:
        try:
            return TypeAdapter(form).validate_json(response.content, extra="ignore")
        except ValidationError as error:
            raise Unproven(f"{path} answered in another form: {error}", field="answer") from error

    def _write(
        self,
        path: str,
        message: BaseModel | None,
        identifier: str | None,
        about: Mapping[str, str] | None = None,
        answer: dict[str, Any] | None = None,
    ) -> Steps[Done]:
        """Send a write until it is answered, and verify the answer; `about` is what the entry must say.

        The whole answer is left in `answer`, for the members that stand beside the receipt.
        """
        identifier = identifier or self.fresh_identifier()
        headers = {"Idempotency-Key": identifier}
        content = None
        if message is not None:
            headers["Content-Type"] = "application/json"
            content = message.model_dump_json().encode()
        try:
            response = yield from self.wire.ask(
                "POST", path, content=content, headers=headers, sign=self._sign
            )
            if response.status_code >= 500:
                raise NoAnswer(f"the exchange failed: {problem_in(response)['detail']}")
            said = problem_in(response) if response.status_code == 422 else {}
            if response.status_code != 422 or "receipt" not in said:
                expect(response, 201)
                said = json_object(response)
            done = yield from self._verified(
                said, identifier, about or {}, repeated=response.headers.get("Idempotency-Replayed") == "true"
            )
        except NoAnswer as error:
            raise Unknown(identifier, str(error)) from error
        if (done.reason is None) != (response.status_code == 201):
            raise Unproven(f"answered {response.status_code} for {done.outcome.get('state')}", field="status")
        if done.reason is not None:
            raise Refused({"title": said.get("title", ""), **done.reason}, done)
        if answer is not None:
            answer.update(said)
        return done

    def _sign(self, path: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
        """The headers that sign a write, where it can be signed and there is a key for it."""
        if self._signing_key is None or len(content) > BODY_LIMIT or not content.isascii():
            return {}
        return signed_headers(self._signing_key, "POST", path, headers, content, int(time.time()))

    def _verified(
        self, answer: Mapping[str, Any], identifier: str, about: Mapping[str, str], *, repeated: bool
    ) -> Steps[Done]:
        receipt, checkpoint = yield from self._proven(answer.get("receipt"))
        body = receipt.said()
        outcome = answer.get("outcome")
        if not isinstance(outcome, dict) or body.get("act") != outcome:
            raise Unproven("the entry says something else than the answer", field="outcome")
        if body.get("key") != identifier:
            raise Unproven(
                f"the entry is of the identifier {body.get('key')!r}, not {identifier!r}", field="key"
            )
        for name, value in about.items():
            if outcome.get(name) != value:
                raise Unproven(
                    f"asked with {name} {value!r}, the entry says {outcome.get(name)!r}", field=name
                )
        return Done(identifier, outcome, receipt, checkpoint, repeated)

    def _proven(self, answer: Any) -> Steps[tuple[Receipt, Checkpoint]]:
        if not isinstance(answer, dict):
            raise Unproven("there is none", field="receipt")
        history = yield from self._log()
        try:
            receipt = receipt_from_json(answer)
            verify_receipt(receipt, [history.verifier])
        except LedgerError as error:
            raise (yield from history.unproven(str(error), field=f"receipt.{error.field}")) from error
        return receipt, (yield from history.admit(receipt.checkpoint))

    def _leaf(self, index: int) -> Steps[tuple[bytes, Checkpoint]]:
        answer = yield from self._read(v1("log", str(index)), dict[str, Any])
        try:
            history = yield from self._log()
            checkpoint = yield from history.admit(str(answer.get("checkpoint")))
            leaf = unbase64(answer.get("leaf"))
            proof = [unbase64(sibling) for sibling in answer.get("proof", ())]
            verify_inclusion(index, checkpoint.size, leaf_hash(leaf), proof, checkpoint.root)
        except LedgerError as error:
            raise Unproven(str(error), field=error.field) from error
        except NoAnswer as error:
            raise Unreachable(str(error)) from error
        return leaf, checkpoint

    def _log(self) -> Steps[History]:
        """The history that answers are held to; on first use the key is the one that the exchange names."""
        if self._history is None:
            vkey = (yield from self.market()).vkey
            with self._lock:
                if self._history is None:
                    self._history = self._believe(vkey)
        return self._history

    def _believe(self, vkey: str) -> History:
        try:
            verifier = Verifier.parse(vkey)
        except LedgerError as error:
            raise Unproven(str(error), field="vkey") from error
        return History(verifier, self._consistency, self._remember, self._ended)

    def _ended(self) -> Steps[str | None]:
        """The note with which the log before this one ended, as the exchange shows it."""
        try:
            response = yield from self.wire.ask("GET", "/v1/log/ended")
        except NoAnswer:
            return None
        return response.text if response.status_code == 200 else None

    def _consistency(self, old: int, new: int) -> Steps[list[bytes]]:
        response = yield from self.wire.ask(
            "GET", "/v1/consistency", params={"old": str(old), "new": str(new)}
        )
        if response.status_code not in (200, 400, 404):  # says nothing of the log
            raise NoAnswer(problem_in(response)["detail"])
        proof = json_object(expect(response, 200)).get("proof")
        if not isinstance(proof, list):
            raise ProofError(
                "no proof", field="proof", rule="an array of hashes", remedy="do not trust this log"
            )
        return [unbase64(sibling) for sibling in proof]

    def _rest(
        self,
        patience: Patience,
        why: str,
        headers: httpx.Headers | None = None,
        cause: BaseException | None = None,
    ) -> Rest:
        try:
            return patience.rest(why, headers, cause)
        except NoAnswer as error:
            raise Unreachable(str(error)) from error


def v1(*parts: str) -> str:
    """A path of the API; what stands in for an identifier cannot reach another route."""
    return "/v1/" + "/".join(quote(part, safe=":") for part in parts)


def named(what: str, message: BaseModel) -> str:
    """The identifier of a request that is the same whenever the same is meant."""
    return hashlib.sha256(f"{what} {message.model_dump_json()}".encode()).hexdigest()[:48]


def asked(**values: int | str | None) -> dict[str, str]:
    """The parameters of a question; what is None is not asked for."""
    return {name: str(value) for name, value in values.items() if value is not None}


def json_object(response: httpx.Response) -> dict[str, Any]:
    try:
        said = response.json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Unproven(f"answered {response.status_code} with no JSON object", field="answer")
    return said


def unbase64(text: object) -> bytes:
    try:
        return b64decode(str(text), validate=True)
    except ValueError as error:
        raise ProofError(
            f"{text!r}", field="proof", rule="standard base64", remedy="do not trust this log"
        ) from error


@contextmanager
def filling(
    path: Path, mode: Literal["ab", "wb"], progress: Callable[[], None] = lambda: None
) -> Iterator[Callable[[bytes], object]]:
    """A file to fill piece by piece; `progress` is told of each."""
    with path.open(mode) as file:

        def take(piece: bytes) -> None:
            file.write(piece)
            progress()

        yield take


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
