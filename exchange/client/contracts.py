"""A contract judged without the exchange: the file that `contract_document` gives, and the log's key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from exchange.client.errors import Unproven
from exchange.contracts import contract_statement, draw_up, standing_terms, stands, template, terms_statement
from exchange.contracts.statements import Side
from exchange.contracts.templates import tree
from exchange.errors import ExchangeError
from exchange.messages.contracts import ContractView, TermsView
from exchange.signing import key_id_of
from ledger.checkpoint import Checkpoint, Verifier
from ledger.entries import Receipt, commitment, parse_body, receipt_from_json, verify_receipt
from ledger.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Signature:
    """A side's signature as its log entry has it, proven; `beforehand` where the seller signed its standing terms."""

    side: Side
    party: str
    key: str
    index: int
    time_us: int
    beforehand: bool


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a contract's document proves: drawn up at entry `index` of the log that `checkpoint` states, and who signed it.

    Names are None where they were erased. Whether the trade was undone since, a file cannot prove.
    """

    trade: str
    template: str
    digest: str
    index: int
    time_us: int
    seller: str
    buyer: str
    seller_name: str | None
    buyer_name: str | None
    signatures: tuple[Signature, ...]
    checkpoint: Checkpoint

    @property
    def signed(self) -> bool:
        """Whether both sides have signed."""
        return len(self.signatures) == 2


def verify_contract(document: Mapping[str, Any], verifiers: Sequence[Verifier]) -> Agreed:
    """Judge a contract's document offline; Unproven names the member that does not hold.

    Holds: clauses and policy hash to the digest, and are what the form says where this version knows the form; one of
    `verifiers` signed a log whose entry settled this trade under this digest, between these parties, on these terms; each
    signature that is shown stands in the log, by the party whose side it is, over this digest or over the standing terms that
    the contract keeps to.
    """
    try:
        shown = document["contract"]
        values = shown["values"]
        require_same_text(ContractView.model_validate(shown))
        receipt = receipt_from_json(document["drawn"])
        checkpoint = verify_receipt(receipt, verifiers)
        body = _said(receipt)
        voucher = body["act"]["voucher"]
        if voucher["contract"]["digest"] != shown["digest"]:
            raise Unproven(f"the entry says {voucher['contract']['digest']}", field="contract.digest")
        for member in ("trade", "listing", "asset", "buyer", "seller", "buyer_name", "seller_name", "licence",
                       "licences", "price_fen", "term_days", "grant"):  # fmt: skip
            if voucher[member] != values[member]:
                raise Unproven(f"the entry says {voucher[member]!r}", field=f"contract.values.{member}")
        signatures = tuple(
            _signature(side, document[side], shown, receipt, verifiers)
            for side in cast(tuple[Side, ...], ("seller", "buyer"))
            if document[side] is not None
        )
        return Agreed(
            trade=values["trade"],
            template=shown["template"],
            digest=shown["digest"],
            index=receipt.index,
            time_us=int(body["time"]),
            seller=values["seller"],
            buyer=values["buyer"],
            seller_name=_opened(values["seller_name"], shown["openings"], "seller_name"),
            buyer_name=_opened(values["buyer_name"], shown["openings"], "buyer_name"),
            signatures=signatures,
            checkpoint=checkpoint,
        )
    except LedgerError as error:
        raise Unproven(str(error), field=f"receipt.{error.field}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unproven(f"no contract's document: {error!r}", field="document") from error


def require_same_text(contract: ContractView) -> None:
    """Unproven where a contract's clauses and policy do not hash to its digest, or are not what its form says."""
    clauses = tuple(clause.model_dump() for clause in contract.clauses)
    _require(
        contract.template,
        contract.template_digest,
        contract.values,
        clauses,
        contract.policy,
        contract.digest,
    )
    if contract.trade != contract.values.get("trade"):
        raise Unproven("this is another trade's", field="contract.trade")


def require_same_terms(terms: TermsView) -> None:
    """The same of standing terms."""
    clauses = tuple(clause.model_dump() for clause in terms.clauses)
    _require(terms.template, terms.template_digest, terms.values, clauses, None, terms.digest)
    if terms.listing != terms.values.get("listing"):
        raise Unproven("this is another listing's", field="listing")


def _require(
    name: str,
    template_digest: str,
    values: Mapping[str, str],
    clauses: tuple[Mapping[str, str], ...],
    policy: Mapping[str, Any] | None,
    digest: str,
) -> None:
    head = {"template": name, "template_digest": template_digest, "values": dict(values)}
    if tree(head, clauses, policy) != digest:
        raise Unproven("clauses and policy do not hash to the digest", field="contract.digest")
    try:
        if template(name).digest != template_digest:
            return  # another version of the form: its clauses stand as they were signed
        again = draw_up(name, values) if policy is not None else standing_terms(name, values)
    except ExchangeError as error:
        raise Unproven(error.detail, field=error.field or "contract") from error
    if again.digest != digest:
        raise Unproven("the clauses are not what the form says of these values", field="contract.clauses")


def _signature(
    side: Side,
    shown: Mapping[str, Any],
    contract: Mapping[str, Any],
    drawn: Receipt,
    verifiers: Sequence[Verifier],
) -> Signature:
    receipt = receipt_from_json(shown)
    origin = verify_receipt(receipt, verifiers).origin
    body = _said(receipt)
    act, party = body["act"], contract["values"][side]
    beforehand = body["kind"] == "contract_terms_signed" and side == "seller"
    if beforehand:
        values = contract["values"]
        digest = standing_terms(contract["template"], values).digest
        statement = terms_statement(origin, values["listing"], digest)
        right = act["listing"] == values["listing"] and receipt.index < drawn.index
    else:
        digest = contract["digest"]
        statement = contract_statement(origin, side, digest)
        right = (body["kind"], act["trade"], act["side"]) == (
            "contract_signed",
            contract["values"]["trade"],
            side,
        )
    if not right or body["party"] != party or act["digest"] != digest:
        raise Unproven(f"the entry is no signature of {party} under this contract", field=side)
    public = bytes.fromhex(act["public"])
    if key_id_of(public) != act["key"] or not stands(statement, bytes.fromhex(act["signature"]), public):
        raise Unproven(f"key {act['key']} did not sign this digest", field=f"{side}.signature")
    return Signature(side, party, act["key"], receipt.index, int(body["time"]), beforehand)


def _said(receipt: Receipt) -> dict[str, Any]:
    return parse_body(receipt.body if receipt.whole is None else receipt.whole)


def _opened(sealed: str, openings: Mapping[str, Any], member: str) -> str | None:
    opening = openings[sealed]
    if opening["text"] is None or opening["salt"] is None:
        return None
    if commitment(bytes.fromhex(opening["salt"]), opening["text"]) != sealed:
        raise Unproven(f"the contract commits to another {member}", field=f"openings.{member}")
    text: str = opening["text"]
    return text
