"""What is signed of a contract: a few lines that name the market, who signs as what, and the digest.

Signed by the party's own Ed25519 key, whose public half is registered in the log; the exchange never has the private one.
"""

from __future__ import annotations

from typing import Literal

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

Side = Literal["seller", "buyer"]


def contract_statement(origin: str, side: Side, digest: str) -> bytes:
    """What a side signs of one contract, in the market whose log is `origin`."""
    return f"exchange-contract@1\n{origin}\n{side}\n{digest}\n".encode()


def terms_statement(origin: str, listing: str, digest: str) -> bytes:
    """What a seller signs beforehand: these standing terms hold with whoever buys under this listing."""
    return f"exchange-contract-terms@1\n{origin}\n{listing}\n{digest}\n".encode()


def stands(statement: bytes, signature: bytes, public: bytes) -> bool:
    """Whether `signature` is one of the key `public` over the statement."""
    try:
        VerifyKey(public).verify(statement, signature)
    except (BadSignatureError, ValueError):
        return False
    return True
