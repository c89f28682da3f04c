"""What a trade says in words: the four contracts as data, their digests, what is signed, and the licence as a policy.

Pure, and without a server, so that buyer, seller and any stranger draw up the same contract from the same values:

    contract = draw_up("provision", values)     # complete, or refused naming the blank
    contract.digest                             # Merkle root over head, clauses and policy
    contract_statement(origin, "buyer", contract.digest)   # what the buyer signs with its own key
"""

from __future__ import annotations

from exchange.contracts.policy import ANY, Broken, Use, permit, policy_of
from exchange.contracts.statements import contract_statement, stands, terms_statement
from exchange.contracts.templates import (
    DEFAULT,
    TEMPLATES,
    UNLIMITED,
    Contract,
    clause_hash,
    complete,
    draw_up,
    standing_terms,
    template,
)

__all__ = [
    "ANY",
    "DEFAULT",
    "TEMPLATES",
    "UNLIMITED",
    "Broken",
    "Contract",
    "Use",
    "clause_hash",
    "complete",
    "contract_statement",
    "draw_up",
    "permit",
    "policy_of",
    "standing_terms",
    "stands",
    "template",
    "terms_statement",
]
