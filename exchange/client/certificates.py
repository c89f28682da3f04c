"""A registration certificate judged without the exchange: the file that `certificate_document` gives, and the log's key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exchange.client.errors import Unproven
from ledger.checkpoint import Checkpoint, Verifier
from ledger.entries import commitment, parse_body, receipt_from_json, verify_receipt
from ledger.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Certified:
    """What a certificate's log entry says, proven: given at `index` of the log that `checkpoint` states.

    `title` and `holder` are None where they were erased. Whether the registration still stands a file cannot prove: ask
    the exchange, or look for an entry that ended it.
    """

    code: str
    asset: str
    index: int
    time_us: int
    title: str | None
    holder: str | None
    kind: str
    theme: str
    grade: str
    rights: tuple[Mapping[str, Any], ...]
    starts_us: int
    ends_us: int
    evidence: Mapping[str, Mapping[str, str]]
    steps: Mapping[str, Mapping[str, str]]
    checkpoint: Checkpoint


def verify_certificate(document: Mapping[str, Any], verifiers: Sequence[Verifier]) -> Certified:
    """Judge a certificate's document offline; Unproven names the member that does not hold.

    Holds: one of `verifiers` signed a log that has the entry; the entry gave this code to this asset; what the document
    shows in the clear of title, holder, grade, kind, theme, rights and evidence is what the entry says or commits to.
    """
    try:
        shown, opened = document["certificate"], document["openings"]
        receipt = receipt_from_json(document["receipt"])
        checkpoint = verify_receipt(receipt, verifiers)
        body = parse_body(receipt.body if receipt.whole is None else receipt.whole)
        act = body["act"]
        if body["kind"] != "asset_registered" or act["state"] != "registered":
            raise Unproven("the receipt is of an entry that gives no code", field="receipt")
        same = ("code", "asset", "kind", "theme", "grade", "evidence", "steps")
        for member in same:
            if act[member] != shown[member]:
                raise Unproven(f"the entry says {act[member]!r}", field=f"certificate.{member}")
        if act["starts_us"] != shown["starts_us"]:
            raise Unproven(f"the entry says {act['starts_us']}", field="certificate.starts_us")
        return Certified(
            code=act["code"],
            asset=act["asset"],
            index=receipt.index,
            time_us=int(body["time"]),
            title=_opened(act["title"], opened, "title"),
            holder=_opened(act["holder"], opened, "holder"),
            kind=act["kind"],
            theme=act["theme"],
            grade=act["grade"],
            rights=tuple(act["rights"]),
            starts_us=int(act["starts_us"]),
            ends_us=int(act["ends_us"]),
            evidence=act["evidence"],
            steps=act["steps"],
            checkpoint=checkpoint,
        )
    except LedgerError as error:
        raise Unproven(str(error), field=f"receipt.{error.field}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unproven(f"no certificate's document: {error!r}", field="document") from error


def _opened(sealed: str, openings: Mapping[str, Any], member: str) -> str | None:
    opening = openings[sealed]
    if opening["text"] is None or opening["salt"] is None:
        return None
    if commitment(bytes.fromhex(opening["salt"]), opening["text"]) != sealed:
        raise Unproven(f"the entry commits to another {member}", field=f"openings.{member}")
    text: str = opening["text"]
    return text
