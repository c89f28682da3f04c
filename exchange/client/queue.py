"""A department's queue: what it would send, kept as files until the exchange has answered, so that nothing is sent twice.

A folder of one person's. Each item is a request with the identifier that its sender made (a file of its own, synced to the
disk before `put` returns), and may name what an earlier item is still to be answered, such as the asset that it declares.
Folders that are copied and merged, sent again after a crash, or sent from two shells, come to one effect an item: the
exchange answers an identifier once, and then the same.

    00000001-3f….json     an item        answers/3f….json   what the exchange answered, with its receipt
    files/5a…             a product      tried/3f…          it was sent: without an answer its outcome is unknown
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, assert_never, cast, get_args

import orjson
from pydantic import BaseModel, ValidationError

from exchange.client.answers import Done
from exchange.client.calls import Calls
from exchange.client.errors import ExchangeProblem, Refused, Unknown, Unreachable
from exchange.client.exchange import Exchange
from exchange.errors import Conflict, Malformed, Unprocessable
from exchange.messages.assets import (
    AssessmentMessage,
    AssetMessage,
    AuthorizationMessage,
    ReleaseMessage,
    ThemeMessage,
)
from ledger.entries import receipt_to_json

FORMAT: Final = "department-queue@1"

QueuedAct = Literal["declare", "assess", "approve", "release", "theme", "register"]

State = Literal["waiting", "unknown", "done", "refused"]
"""Not sent; sent without an answer, which sending again settles; answered; refused on the record."""

FORMS: Final[Mapping[QueuedAct, type[BaseModel] | None]] = {
    "declare": AssetMessage,
    "assess": AssessmentMessage,
    "approve": AuthorizationMessage,
    "release": ReleaseMessage,
    "theme": ThemeMessage,
    "register": None,
}
"""What an item may say, by its act; nothing else is ever sent."""


@dataclass(frozen=True, slots=True)
class Told:
    """A member that an earlier item's answer will say."""

    of: str
    member: str


Reference = str | Told
"""An identifier of the exchange, or where it will come from."""


@dataclass(frozen=True, slots=True)
class Item:
    """A request that waits, in the order of its `place`."""

    place: int
    identifier: str
    act: QueuedAct
    message: Mapping[str, Any]
    asset: Reference | None
    assessment: Reference | None

    def references(self) -> Iterator[Told]:
        """What has to be answered first."""
        for reference in (self.asset, self.assessment):
            if isinstance(reference, Told):
                yield reference


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of sending: the items by what they came to, and why the rest still waits."""

    done: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # item: code, on the record
    problems: dict[str, ExchangeProblem] = field(default_factory=dict)  # nothing took effect: the item waits
    held: dict[str, str] = field(default_factory=dict)  # item: the one that it waits for
    cut_off: str | None = None  # why there was no answer; sending again goes on


class Queue:
    """The queue in a folder, which is made where it is not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("", "answers", "files", "tried"):
            (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)

    # putting in

    def declare(self, message: AssetMessage) -> str:
        """Queue a declaration; returns its identifier, by which later items name the asset."""
        return self._put("declare", message)

    def assess(self, asset: Reference, message: AssessmentMessage) -> str:
        """Queue a risk assessment. It is the scan's report, which holds no value of the raw table."""
        return self._put("assess", message, asset=asset)

    def approve(self, asset: Reference, assessment: Reference, *, returned_for: str | None = None) -> str:
        """Queue an approval of an assessment, or with a reason the return of the file."""
        said: dict[str, Any] = {} if returned_for is None else {"decision": "return", "reason": returned_for}
        message = AuthorizationMessage(
            assessment="told" if isinstance(assessment, Told) else assessment, **said
        )
        return self._put("approve", message, asset=asset, assessment=assessment)

    def release(self, product: Path, certificate: Mapping[str, Any]) -> str:
        """Queue a product with its certificate, once the one bears the other out.

        The product is measured here as the exchange will measure it: a raw table, or any other file than the one that the
        certificate was made for, does not come into the queue. Unprocessable says what differs.
        """
        bound = certificate.get("authorization")
        if not isinstance(bound, Mapping) or not {"id", "asset"} <= bound.keys():
            raise _not_crossing("it names no authorization", "authorization")
        _require_borne_out(product, certificate)
        digest = self._keep_file(product)
        if digest != certificate.get("product_digest"):
            raise _not_crossing("the product is not the file that was measured", "product_digest")
        message = ReleaseMessage(
            authorization=bound["id"], product_digest=digest, certificate=dict(certificate)
        )
        return self._put("release", message, asset=str(bound["asset"]))

    def theme(self, asset: Reference, theme: str) -> str:
        """Queue the theme of a released product."""
        return self._put("theme", ThemeMessage(theme=theme), asset=asset)

    def register(self, asset: Reference) -> str:
        """Queue the application for the registration, with all three rights."""
        return self._put("register", None, asset=asset)

    def drop(self, identifier: str) -> None:
        """Take back an item that was never sent. Conflict where it was: only sending it again settles what came of it."""
        item = self.item(identifier)
        with self._locked():
            if self.state(item) != "waiting":
                raise Conflict(
                    "queue.sent",
                    f"{identifier} was sent",
                    field="item",
                    rule="an item that was sent may have taken effect",
                    remedy="send the queue again, which settles it",
                )
            self._path(item).unlink()
            _sync_folder(self.folder)

    def _put(
        self,
        act: QueuedAct,
        message: BaseModel | None,
        *,
        asset: Reference | None = None,
        assessment: Reference | None = None,
    ) -> str:
        with self._locked():
            known = {item.identifier for item in self.items()}
            for reference in (asset, assessment):
                if isinstance(reference, Told) and reference.of not in known:
                    raise _unknown(reference.of)
            identifier = Calls.fresh_identifier()
            place = max((item.place for item in self.items()), default=0) + 1
            item = Item(
                place,
                identifier,
                act,
                {} if message is None else message.model_dump(mode="json"),
                asset,
                assessment,
            )
            _write(self._path(item), _to_json(item))
            return identifier

    def _keep_file(self, path: Path) -> str:
        """Copy a file in under its digest."""
        partial = self.folder / "files" / f".{os.getpid()}.partial"
        digest = hashlib.sha256()
        with path.open("rb") as source, partial.open("wb") as copy:
            while piece := source.read(1 << 20):
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
        partial.replace(self.folder / "files" / digest.hexdigest())
        _sync_folder(self.folder / "files")
        return digest.hexdigest()

    # looking

    def items(self) -> list[Item]:
        """Every item, answered or not, in the order in which it is sent."""
        found = []
        for path in self.folder.glob("[0-9]*-*.json"):
            found.append(_from_json(path))
        return sorted(found, key=lambda item: (item.place, item.identifier))

    def item(self, identifier: str) -> Item:
        """One of them; Malformed where there is none."""
        for item in self.items():
            if item.identifier == identifier:
                return item
        raise _unknown(identifier)

    def answer(self, identifier: str) -> dict[str, Any] | None:
        """What the exchange answered an item: `index`, `outcome` and `receipt`; None so far."""
        try:
            found: dict[str, Any] = orjson.loads(
                (self.folder / "answers" / f"{identifier}.json").read_bytes()
            )
        except FileNotFoundError:
            return None
        return found

    def state(self, item: Item) -> State:
        """Where an item stands."""
        answer = self.answer(item.identifier)
        if answer is not None:
            return "refused" if answer["outcome"]["state"] == "refused" else "done"
        return "unknown" if (self.folder / "tried" / item.identifier).exists() else "waiting"

    def told(self, reference: Reference) -> str | None:
        """What a reference is by now; None while its item has no answer."""
        if isinstance(reference, str):
            return reference
        answer = self.answer(reference.of)
        if answer is None or answer["outcome"]["state"] == "refused":
            return None
        return str(answer["outcome"][reference.member])

    # sending

    def send(self, market: Exchange, seen: Callable[[Item, State], None] = lambda item, state: None) -> Sent:
        """Send what has no answer, in order, and keep each answer before the next is sent.

        The steps of an asset wait for one another, and what rests on a refused item stays. Another shell that sends this
        queue is waited for. Conflict where the queue is another person's.
        """
        sent = Sent()
        with self._locked(".sending"):
            waiting: dict[Reference, str] = {}  # asset: its first item without an answer
            try:
                self._require_owner(market)
                for item in self.items():
                    about = self._asset_of(item)
                    refers = next((one.of for one in item.references() if self.told(one) is None), None)
                    before = refers or (None if about is None else waiting.get(about))
                    if self.answer(item.identifier) is not None:
                        continue
                    if before is None:
                        self._send_one(market, item, sent, seen)
                    else:
                        sent.held[item.identifier] = before
                    if about is not None and self.answer(item.identifier) is None:
                        waiting.setdefault(about, item.identifier)
            except (Unknown, Unreachable) as error:
                return replace(sent, cut_off=str(error))
        return sent

    def _send_one(
        self, market: Exchange, item: Item, sent: Sent, seen: Callable[[Item, State], None]
    ) -> None:
        if item.act == "release":
            self._require_file(item)
        tried = self.folder / "tried" / item.identifier
        with self._locked():
            if not self._path(item).exists():
                return  # it was dropped since
            _write(tried, b"")
        try:
            done = self._perform(market, item)
            sent.done.append(item.identifier)
        except Refused as refused:
            done = refused.done
            sent.refused[item.identifier] = refused.code
        except ExchangeProblem as problem:
            tried.unlink()
            sent.problems[item.identifier] = problem
            return
        answer = {"index": str(done.index), "outcome": done.outcome, "receipt": receipt_to_json(done.receipt)}
        _write(self.folder / "answers" / f"{item.identifier}.json", orjson.dumps(answer))
        seen(item, self.state(item))

    def _asset_of(self, item: Item) -> Reference | None:
        """The asset that an item is about, by its name where that is known."""
        about = Told(item.identifier, "asset") if item.act == "declare" else item.asset
        return None if about is None else self.told(about) or about

    def _perform(self, market: Exchange, item: Item) -> Done:
        name, said = item.identifier, item.message
        asset = "" if item.asset is None else self.told(item.asset) or ""
        match item.act:
            case "declare":
                return market.declare_asset(**said, identifier=name)
            case "assess":
                return market.file_risk_assessment(asset, AssessmentMessage(**said), identifier=name)
            case "approve":
                assessment = self.told(item.assessment or said["assessment"]) or ""
                if said["decision"] == "return":
                    return market.return_file(asset, assessment, said["reason"], identifier=name)
                return market.authorize(asset, assessment, identifier=name)
            case "release":
                return self._release(market, item, asset)
            case "theme":
                return market.assign_theme(asset, said["theme"], identifier=name)
            case "register":
                return market.apply(asset, identifier=name)
            case _:
                assert_never(item.act)

    def _release(self, market: Exchange, item: Item, asset: str) -> Done:
        """Let the product cross, unless it did."""
        said = item.message
        if market.lookup(item.identifier) is None:
            market.upload(self.folder / "files" / said["product_digest"])
        return market.release(
            asset,
            said["authorization"],
            said["product_digest"],
            said["certificate"],
            identifier=item.identifier,
        )

    def _require_file(self, item: Item) -> None:
        """The bytes are those that were put in, or they stay."""
        digest = item.message["product_digest"]
        product = self.folder / "files" / digest
        if not product.is_file() or _digest_of(product) != digest:
            raise _not_crossing("the file in the queue is missing, or not the one that was put in", "files")

    def _require_owner(self, market: Exchange) -> None:
        """Bind the queue to the first person that sends it: another one's key would sign what this one wrote."""
        person = market.me().person
        path = self.folder / "person"
        if not path.exists():
            _write(path, person.encode())
        elif path.read_text() != person:
            raise Conflict(
                "queue.person",
                f"this queue is of {path.read_text()}, the key is of {person}",
                field="--key-file",
                rule="a queue is one person's: whoever approves keeps another one",
                remedy="send it with that person's key, or use a folder of your own",
            )

    def _path(self, item: Item) -> Path:
        return self.folder / f"{item.place:08}-{item.identifier}.json"

    @contextmanager
    def _locked(self, name: str = ".lock") -> Iterator[None]:
        """One shell at a time: at the folder, or at sending, during which items can be put in."""
        with (self.folder / name).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _require_borne_out(product: Path, certificate: Mapping[str, Any]) -> None:
    """Refuse a product that its certificate does not bear out, by measuring it."""
    from exchange.desensitization import department

    wrong = [check for check in department.verify(certificate, product) if check.outcome == "differs"]
    if wrong:
        members = ", ".join(dict.fromkeys(check.member for check in wrong))
        raise _not_crossing(f"the file does not bear the certificate out: {members}", wrong[0].member)


def _not_crossing(detail: str, field: str) -> Unprocessable:
    return Unprocessable(
        "queue.not_certified",
        detail,
        field=field,
        rule="only a product that its certificate bears out leaves the department",
        remedy="queue product.parquet and certificate.json as one run of `exchange desensitize apply` wrote them",
    )


def _unknown(identifier: str) -> Malformed:
    return Malformed(
        "queue.item",
        f"no item {identifier!r} in this queue",
        field="item",
        rule="an item is named by its identifier",
        remedy="`exchange desensitize queue list` shows them",
    )


def _to_json(item: Item) -> bytes:
    def said(reference: Reference | None) -> Any:
        return {"of": reference.of, "member": reference.member} if isinstance(reference, Told) else reference

    return orjson.dumps(
        {
            "format": FORMAT,
            "act": item.act,
            "identifier": item.identifier,
            "asset": said(item.asset),
            "assessment": said(item.assessment),
            "message": dict(item.message),
        },
        option=orjson.OPT_INDENT_2,
    )


def _from_json(path: Path) -> Item:
    def reference(said: Any) -> Reference | None:
        return Told(said["of"], said["member"]) if isinstance(said, dict) else said

    try:
        place, _, identifier = path.stem.partition("-")
        said = orjson.loads(path.read_bytes())
        if (
            said["format"] != FORMAT
            or said["identifier"] != identifier
            or said["act"] not in get_args(QueuedAct)
        ):
            raise ValueError(said["format"])
        act = cast(QueuedAct, said["act"])
        form = FORMS[act]
        message = {} if form is None else form.model_validate(said["message"]).model_dump(mode="json")
        return Item(
            int(place), identifier, act, message, reference(said["asset"]), reference(said["assessment"])
        )
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise Malformed(
            "queue.file",
            f"{path.name} is no item of a queue: {str(error).partition(chr(10))[0]}",
            field=path.name,
            rule=f"a file of format {FORMAT}, as it was written",
            remedy="put the file back as it was, or take it out of the folder",
        ) from error


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, data: bytes) -> None:
    """A file that is there whole or not at all, also after a power cut."""
    partial = path.with_name(f".{path.name}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
