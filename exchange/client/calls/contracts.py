"""Contracts: read, drawn up again here, and signed with a key that never leaves this machine."""

from __future__ import annotations

import orjson
from nacl.signing import SigningKey

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, v1
from exchange.client.contracts import require_same_terms, require_same_text, verify_contract
from exchange.client.errors import ClientError
from exchange.client.wire import Steps
from exchange.contracts import contract_statement, terms_statement
from exchange.messages.contracts import (
    ContractDocument,
    ContractSignatureMessage,
    ContractView,
    FormView,
    TermsView,
)
from exchange.messages.views import MeView
from exchange.signing import key_id_of


class Contracts(Asking):
    """The contracts of a market's trades."""

    def contract_forms(self) -> Steps[list[FormView]]:
        """The four contracts as data: clauses in both languages, and the blanks that a seller fills."""
        return self._read_all("/v1/contracts", FormView)

    def listing_contract(self, listing: str) -> Steps[TermsView]:
        """A listing's standing terms: what whoever buys will sign. Unproven where text and digest are not one."""
        terms = yield from self._read(v1("listings", listing, "contract"), TermsView)
        require_same_terms(terms)
        return terms

    def sign_terms(self, listing: str, *, identifier: str | None = None) -> Steps[Done]:
        """Sign your listing's standing terms, drawn up again here: each purchase then needs only the buyer's signature."""
        terms = yield from self.listing_contract(listing)
        key = self._own_key()
        statement = terms_statement((yield from self._origin()), listing, terms.digest)
        return (
            yield from self._write(
                v1("listings", listing, "contract", "signature"),
                _signed(key, terms.digest, statement),
                identifier,
                {"listing": listing, "digest": terms.digest},
            )
        )

    def contract(self, trade: str) -> Steps[ContractView]:
        """The contract of your trade: clauses, policy, who has signed. Unproven where text and digest are not one."""
        contract = yield from self._read(v1("trades", trade, "contract"), ContractView)
        require_same_text(contract)
        return contract

    def sign_contract(self, trade: str, *, identifier: str | None = None) -> Steps[Done]:
        """Sign the contract of your trade, drawn up again here, with this client's signing key.

        Delivery begins when both sides have signed; `outcome["state"]` is "signed" then. A signing key comes with the client
        (`signing_key`) or is made by `add_signing_key`.
        """
        contract = yield from self.contract(trade)
        key = self._own_key()
        side = "buyer" if (yield from self._party()) == contract.values["buyer"] else "seller"
        statement = contract_statement(
            (yield from self._origin()), "buyer" if side == "buyer" else "seller", contract.digest
        )
        return (
            yield from self._write(
                v1("trades", trade, "contract", "signature"),
                _signed(key, contract.digest, statement),
                identifier,
                {"trade": trade, "digest": contract.digest, "side": side},
            )
        )

    def contract_document(self, trade: str) -> Steps[ContractDocument]:
        """A contract as a file to keep, verified: whoever has it and the log's key verifies it offline."""
        path = v1("trades", trade, "contract", "document")
        document = yield from self._read(path, ContractDocument)
        log = yield from self._log()
        verify_contract(orjson.loads(document.model_dump_json()), [log.verifier])
        return document

    def _own_key(self) -> SigningKey:
        if self._signing_key is None:
            raise ClientError(
                "there is no signing key here: call add_signing_key once and keep what it returns, or pass signing_key="
            )
        return SigningKey(self._signing_key)

    def _origin(self) -> Steps[str]:
        """The name of the log that this client trusts: what is signed, is signed for this market."""
        return (yield from self._log()).verifier.name

    def _party(self) -> Steps[str]:
        return (yield from self._read("/v1/me", MeView)).id


def _signed(key: SigningKey, digest: str, statement: bytes) -> ContractSignatureMessage:
    return ContractSignatureMessage(
        digest=digest, key=key_id_of(bytes(key.verify_key)), signature=key.sign(statement).signature.hex()
    )
