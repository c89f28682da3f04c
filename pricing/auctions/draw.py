"""A draw that nobody could steer: the regulator's nonce, committed before, mixed with the nonces of all who take part.

At listing the regulator publishes a commitment, SHA-256 of a 32-byte nonce. Whoever bids adds a nonce of the own to
the bid. After the close the regulator reveals: the seed is a hash of its nonce and of everybody's, and each name gets
its place by a hash under the seed. The regulator fixed its nonce before it knew theirs; bidders chose theirs without
knowing its. Who would have to steer the draw is the regulator together with the last bidder; that is not promised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from pricing.canonical import canonical
from pricing.errors import AuctionError

_NONCE_BYTES = 32


def commit_nonce(nonce: bytes, lot: str) -> bytes:
    """What the regulator publishes at listing; `nonce` are 32 bytes of its own random source, kept until the close."""
    _require_nonce(nonce, "nonce")
    return sha256(canonical(["draw@1", lot]) + nonce).digest()


def draw_seed(commitment: bytes, nonce: bytes, lot: str, nonces: Mapping[str, bytes]) -> bytes:
    """The seed of a lot's draw; `nonces` are those of the bids, by code. The same in any order of them.

    AuctionError where the revealed nonce is not the committed one.
    """
    if commit_nonce(nonce, lot) != commitment:
        raise AuctionError(
            field="nonce",
            rule="must be the nonce that was committed to at listing",
            remedy="reveal that one; another one proves that the draw was to be steered",
        )
    for code, own in nonces.items():
        _require_nonce(own, f"nonces[{code}]")
    return sha256(
        canonical(["seed@1", lot, {code: own.hex() for code, own in nonces.items()}]) + nonce
    ).digest()


def draw_order(seed: bytes, names: Sequence[str]) -> list[int]:
    """The positions of `names` in the order drawn. Names are unique; each order is as likely as any other."""
    if len(set(names)) != len(names):
        raise AuctionError(field="names", rule="no name is drawn twice", remedy="name each once")
    return sorted(range(len(names)), key=lambda n: sha256(seed + names[n].encode()).digest())


def _require_nonce(nonce: bytes, field: str) -> None:
    if not isinstance(nonce, bytes) or len(nonce) != _NONCE_BYTES:
        raise AuctionError(
            field=field,
            rule=f"must be {_NONCE_BYTES} bytes from the system's random source",
            remedy=f"pass secrets.token_bytes({_NONCE_BYTES})",
        )
