"""Sealed bids that nobody opens early: everyone writes once, t of n holders open after the close, nobody alone.

The lot names a committee of holders (supplier, regulator, venue, notary). Each makes a key on its own machine and
publishes the public half. A bidder's own program draws one secret scalar s and derives everything else from it:

    s            the secret, from 32 bytes of the bidder's chance
    a₁ … aₜ₋₁    coefficients of f(x) = s + a₁x + … + aₜ₋₁xᵗ⁻¹ modulo the order of the Ed25519 group
    Cⱼ = f(j)B   commitments to s = f(0) and to each share, so that shares can be checked (Feldman, FOCS 1987; given
                 by values of f instead of its coefficients, a share costs its holder one multiplication to check)
    e, E = eB    an ephemeral X25519 key (RFC 7748); holder i gets f(i), encrypted under X25519(e, Hᵢ)
    payload      price and quantity in 16 bytes, encrypted under a key made of s
    proof        a Schnorr proof of knowing s, over all of the above (Fiat-Shamir, RFC 8235 §3)

Every hash begins with the *context*: algorithm, lot, code, bid identifier and committee. So a ciphertext that is
copied under another code, or to another lot, fails its proof at the door. After the close each holder decrypts its
share and publishes it. Any t good shares give s by interpolation; from s *all* is derived again and compared
(Fujisaki-Okamoto, CRYPTO 1999), so that a bid which was dealt badly to any holder is void whoever came to open it,
and a holder whose published share is not what it was sent is named. Where a misdealt bid leaves fewer than t good
shares, a holder proves what it was sent by a `Dispute` (Chaum-Pedersen, CRYPTO 1992), and the bid is void.

Secret until t holders open it: against the operator with its database, keys and memory, and against fewer than t
holders. `docs/sealed-bids.md` is the argument, with what is not promised. The second mode, commit and reveal with
equal deposits, needs no holders and promises less: who does not reveal forfeits, and could choose to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from hashlib import sha256, sha512
from math import comb
from typing import Final, assert_never

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from pricing.canonical import Json, canonical
from pricing.errors import SealError
from pricing.money import MAX_AMOUNT, Language, require_whole

ALGORITHM: Final = "ed25519-feldman-x25519-chacha20poly1305@1"
COMMIT_ALGORITHM: Final = "sha256-commit-reveal@1"
HOLDERS_LIMIT: Final = 16
"""More holders than this add no trust that a lot could use, and cost every bidder an encryption each."""

_P: Final = 2**255 - 19  # RFC 7748 §4.1
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493  # RFC 8032 §5.1
_NONCE: Final = bytes(12)  # every key here is made for one message
_PAYLOAD_BYTES: Final = 16
_SHARE_BYTES: Final = 48
_NO_POINT: Final = (1).to_bytes(32, "little")  # the neutral element


# --- what is sealed, and for whom ---


@dataclass(frozen=True, slots=True)
class Context:
    """Which bid this is: identifiers of lot and bid, and the code that stands for the bidder on this lot."""

    lot: str
    code: str
    bid_id: str

    def __post_init__(self) -> None:
        for name in ("lot", "code", "bid_id"):
            value = getattr(self, name)
            if not isinstance(value, str) or not 1 <= len(value) <= 200 or not value.isprintable():
                raise SealError(
                    field=name,
                    rule="must be printable text of 1 to 200 characters",
                    remedy="take the lot's identifier, your code on it and the identifier of your bid",
                )


@dataclass(frozen=True, slots=True)
class SealedPrice:
    """What a sealed bid says once it is open: `price_fen` a unit, for `quantity` units."""

    price_fen: int
    quantity: int = 1

    def __post_init__(self) -> None:
        require_whole(self.price_fen, "price_fen", least=1, error=SealError)
        require_whole(self.quantity, "quantity", least=1, error=SealError)

    def to_bytes(self) -> bytes:
        """16 bytes whatever it says, so that the ciphertext's length tells nothing."""
        return self.price_fen.to_bytes(8) + self.quantity.to_bytes(8)


@dataclass(frozen=True)
class HolderKey:
    """A holder's private key; it never leaves the holder's machine."""

    scalar: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if (
            not isinstance(self.scalar, bytes)
            or len(self.scalar) != 32
            or _clamped(self.scalar) != self.scalar
        ):
            raise SealError(
                field="key",
                rule="must be 32 bytes as `exchange holder keygen` wrote them",
                remedy="restore the key file from its backup",
            )

    @classmethod
    def from_seed(cls, seed: bytes) -> HolderKey:
        """Make a key of 32 bytes from the system's random source."""
        _require_bytes("seed", seed, 32)
        return cls(_clamped(sha256(b"holder key\n" + seed).digest()))

    @cached_property
    def public(self) -> bytes:
        """The public key to publish: a point of the Ed25519 group, 32 bytes."""
        return _times_base(self.scalar)

    @cached_property
    def exchange_key(self) -> X25519PrivateKey:
        """The same key as X25519 takes it."""
        return X25519PrivateKey.from_private_bytes(self.scalar)


@dataclass(frozen=True)
class Committee:
    """The holders of a lot in their order, and how many of them open it. Fixed before the first bid.

    `holders` are (name, public key); holder i of the sharing is the i-th, counted from 1.
    """

    threshold: int
    holders: tuple[tuple[str, bytes], ...]

    def __post_init__(self) -> None:
        require_whole(self.threshold, "threshold", least=1, error=SealError)
        count = len(self.holders)
        if not 1 <= count <= HOLDERS_LIMIT or self.threshold > count:
            raise SealError(
                field="threshold",
                rule=f"1 to {HOLDERS_LIMIT} holders, and a threshold of at most as many; here {self.threshold} of {count}",
                remedy="name the holders, and how many of them open a bid",
            )
        for position, (name, public) in enumerate(self.holders):
            if not isinstance(name, str) or not 1 <= len(name) <= 200 or not name.isprintable():
                raise SealError(
                    field=f"holders[{position}].name",
                    rule="must be printable text of 1 to 200 characters",
                    remedy="name the holder",
                )
            if not isinstance(public, bytes) or len(public) != 32 or not _is_point(public):
                raise SealError(
                    field=f"holders[{position}].public",
                    rule="must be a point of prime order of the Ed25519 group, 32 bytes",
                    remedy="copy the whole public key as `exchange holder keygen` printed it",
                )
        for name, values in (
            ("name", {name for name, _ in self.holders}),
            ("public", {public for _, public in self.holders}),
        ):
            if len(values) != count:
                raise SealError(
                    field=f"holders.{name}",
                    rule="no two holders are the same",
                    remedy="name each holder once, each with a key of its own",
                )

    def to_json(self) -> dict[str, Json]:
        return {
            "algorithm": ALGORITHM,
            "holders": [{"name": name, "public": public.hex()} for name, public in self.holders],
            "threshold": self.threshold,
        }

    @classmethod
    def from_json(cls, value: object) -> Committee:
        """Read what `to_json` wrote; SealError names the member that is not so."""
        members = _members(value, "committee", ("algorithm", "holders", "threshold"))
        _require_algorithm(members["algorithm"], ALGORITHM)
        if not isinstance(members["holders"], list):
            raise _misread("holders", "a list of holders")
        holders = []
        for position, holder in enumerate(members["holders"]):
            field = f"holders[{position}]"
            one = _members(holder, field, ("name", "public"))
            holders.append(
                (_text(one["name"], f"{field}.name"), _unhex(one["public"], f"{field}.public", 32))
            )
        return cls(_whole(members["threshold"], "threshold"), tuple(holders))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the canonical form."""
        return sha256(canonical(self.to_json())).digest()

    @cached_property
    def exchange_keys(self) -> tuple[X25519PublicKey, ...]:
        """The holders' keys as X25519 takes them (RFC 7748 §4.1, u = (1 + y) / (1 - y))."""
        return tuple(X25519PublicKey.from_public_bytes(_u_of(public)) for _, public in self.holders)


@dataclass(frozen=True, slots=True)
class SealedBid:
    """A bid as it goes to the market; nothing in it tells price or quantity. All members are public."""

    context: Context
    commitments: tuple[bytes, ...]
    """Points f(0)B, f(1)B … f(n)B."""
    ephemeral: bytes
    shares: tuple[bytes, ...]
    payload: bytes
    proof: bytes

    def to_json(self) -> dict[str, Json]:
        return {
            "algorithm": ALGORITHM,
            "bid_id": self.context.bid_id,
            "code": self.context.code,
            "commitments": [point.hex() for point in self.commitments],
            "ephemeral": self.ephemeral.hex(),
            "lot": self.context.lot,
            "payload": self.payload.hex(),
            "proof": self.proof.hex(),
            "shares": [share.hex() for share in self.shares],
        }

    @classmethod
    def from_json(cls, value: object) -> SealedBid:
        """Read what `to_json` wrote; SealError names the member that is not so. Nothing is proven yet."""
        names = (
            "algorithm",
            "bid_id",
            "code",
            "commitments",
            "ephemeral",
            "lot",
            "payload",
            "proof",
            "shares",
        )
        members = _members(value, "sealed bid", names)
        _require_algorithm(members["algorithm"], ALGORITHM)
        return cls(
            Context(*(_text(members[name], name) for name in ("lot", "code", "bid_id"))),
            _points(members["commitments"], "commitments", 32),
            _unhex(members["ephemeral"], "ephemeral", 32),
            _points(members["shares"], "shares", _SHARE_BYTES),
            _unhex(members["payload"], "payload", _PAYLOAD_BYTES + 16),
            _unhex(members["proof"], "proof", 64),
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, in hex: what the market's log names."""
        return sha256(canonical(self.to_json())).hexdigest()


def seal(price: SealedPrice, context: Context, committee: Committee, chance: bytes) -> SealedBid:
    """Seal one bid for a committee. `chance` are 32 fresh bytes of the bidder's system; never use them again."""
    _require_bytes("chance", chance, 32)
    binding = _binding(context, committee)
    secret = _scalar(b"secret", binding, chance)
    dealt = _deal(secret, binding, committee)
    payload = ChaCha20Poly1305(_hash(b"payload key", binding, secret)).encrypt(
        _NONCE, price.to_bytes(), binding
    )
    proof = _prove_secret(secret, binding, dealt.commitments, dealt.ephemeral, dealt.shares, payload)
    return SealedBid(context, dealt.commitments, dealt.ephemeral, dealt.shares, payload, proof)


def check(sealed: SealedBid, context: Context, committee: Committee) -> None:
    """Judge a sealed bid at the door, as the bid `context` of this lot; SealError says why it is not one.

    Guarantee: whoever made it knew its secret and made it for this context. That it opens is known only then.
    """
    for name in ("lot", "code", "bid_id"):
        if getattr(sealed.context, name) != getattr(context, name):
            raise SealError(
                field=name,
                rule=f"the bid was sealed for {name} {getattr(sealed.context, name)!r}",
                remedy="seal a bid of your own for this lot, under your code",
            )
    count = len(committee.holders)
    if len(sealed.commitments) != count + 1 or len(sealed.shares) != count:
        raise SealError(
            field="commitments",
            rule=f"{count + 1} commitments and {count} shares, for a committee of {count}",
            remedy="seal the bid for the committee of this lot",
        )
    for position, point in enumerate(sealed.commitments):
        if not _is_point(point):
            raise SealError(
                field=f"commitments[{position}]",
                rule="must be a point of prime order",
                remedy="seal the bid with the exchange's own client",
            )
    if not _on_one_polynomial(sealed.commitments, committee.threshold):
        raise SealError(
            field="commitments",
            rule=f"must commit to a polynomial that {committee.threshold} shares determine",
            remedy="seal the bid with the exchange's own client",
        )
    if not _is_point(_lifted(sealed.ephemeral)):
        raise SealError(
            field="ephemeral",
            rule="must be the u coordinate of a point of prime order",
            remedy="seal the bid with the exchange's own client",
        )
    if not _proves_secret(sealed, _binding(context, committee)):
        raise SealError(
            field="proof",
            rule="must prove that the bidder knows the secret, for this lot, code, bid and committee",
            remedy="a copied or altered ciphertext is no bid: seal one of your own",
        )


@dataclass(frozen=True, slots=True)
class Ceremony:
    """When a lot's holders open it: from `opens_at_us`, which is the lot's close, to before `ends_at_us`."""

    opens_at_us: int
    ends_at_us: int

    def __post_init__(self) -> None:
        require_whole(self.opens_at_us, "opens_at_us", error=SealError)
        require_whole(self.ends_at_us, "ends_at_us", error=SealError)
        if self.ends_at_us <= self.opens_at_us:
            raise SealError(
                field="ends_at_us",
                rule=f"must be after {self.opens_at_us}, when the ceremony begins",
                remedy="give the holders time to open",
            )

    def judge(self, at_us: int) -> Fault | None:
        """Whether something published at this time of the log counts; if not, why."""
        require_whole(at_us, "at_us", error=SealError)
        if at_us < self.opens_at_us:
            return Fault.EARLY
        return Fault.LATE if at_us >= self.ends_at_us else None


@dataclass(frozen=True, slots=True)
class SealedLot:
    """All that holders and strangers need to open a lot: its committee, its ceremony and its sealed bids, public as
    a whole. Each bid is of this lot, and no two share code and identifier.
    """

    lot: str
    committee: Committee
    ceremony: Ceremony
    bids: tuple[SealedBid, ...]

    def __post_init__(self) -> None:
        seen: set[tuple[str, str]] = set()
        for position, bid in enumerate(self.bids):
            name = (bid.context.code, bid.context.bid_id)
            if bid.context.lot != self.lot or name in seen:
                raise SealError(
                    field=f"bids[{position}]",
                    rule=f"each bid is of lot {self.lot!r}, and no two of one code share an identifier",
                    remedy="take the file as the market wrote it",
                )
            seen.add(name)

    def to_json(self) -> dict[str, Json]:
        return {
            "algorithm": ALGORITHM,
            "bids": [bid.to_json() for bid in self.bids],
            "committee": self.committee.to_json(),
            "ends_at_us": self.ceremony.ends_at_us,
            "lot": self.lot,
            "opens_at_us": self.ceremony.opens_at_us,
        }

    @classmethod
    def from_json(cls, value: object) -> SealedLot:
        """Read what `to_json` wrote; SealError names the member that is not so. Each bid is still to be checked."""
        names = ("algorithm", "bids", "committee", "ends_at_us", "lot", "opens_at_us")
        members = _members(value, "sealed lot", names)
        _require_algorithm(members["algorithm"], ALGORITHM)
        if not isinstance(members["bids"], list):
            raise _misread("bids", "a list of sealed bids")
        return cls(
            _text(members["lot"], "lot"),
            Committee.from_json(members["committee"]),
            Ceremony(
                _whole(members["opens_at_us"], "opens_at_us"), _whole(members["ends_at_us"], "ends_at_us")
            ),
            tuple(SealedBid.from_json(bid) for bid in members["bids"]),
        )


# --- what holders do after the close ---


@dataclass(frozen=True, slots=True)
class Share:
    """Holder `holder` (counted from 1) says what it was sent for one bid: a scalar of 32 bytes."""

    holder: int
    value: bytes

    def to_json(self) -> dict[str, Json]:
        return {
            "algorithm": ALGORITHM,
            "holder": str(self.holder),
            "kind": "share",
            "value": self.value.hex(),
        }


@dataclass(frozen=True, slots=True)
class Dispute:
    """Holder `holder` shows what it was sent for one bid, and proves it: the bidder dealt badly.

    `point` is the secret point that bidder and holder share, `proof` that it is the one (Chaum-Pedersen: the
    logarithm of `point` to the bid's ephemeral key is that of the holder's public key).
    """

    holder: int
    point: bytes
    proof: bytes

    def to_json(self) -> dict[str, Json]:
        return {
            "algorithm": ALGORITHM,
            "holder": str(self.holder),
            "kind": "dispute",
            "point": self.point.hex(),
            "proof": self.proof.hex(),
        }


def submission_from_json(value: object) -> Share | Dispute:
    """Read what a holder published for one bid; SealError names the member that is not so."""
    kind = value.get("kind") if isinstance(value, Mapping) else None
    match kind:
        case "share":
            members = _members(value, "share", ("algorithm", "holder", "kind", "value"))
            _require_algorithm(members["algorithm"], ALGORITHM)
            return Share(_whole(members["holder"], "holder"), _unhex(members["value"], "value", 32))
        case "dispute":
            members = _members(value, "dispute", ("algorithm", "holder", "kind", "point", "proof"))
            _require_algorithm(members["algorithm"], ALGORITHM)
            return Dispute(
                _whole(members["holder"], "holder"),
                _unhex(members["point"], "point", 32),
                _unhex(members["proof"], "proof", 64),
            )
        case _:
            raise _misread("kind", '"share" or "dispute"')


def open_share(sealed: SealedBid, committee: Committee, key: HolderKey) -> Share | Dispute:
    """What a holder publishes for one bid after the close: its share, or the proof that it was sent none.

    SealError where the key is none of the committee's. The bid is taken as `check` let it in.
    """
    holder = _number_of(committee, key)
    binding = _binding(sealed.context, committee)
    shared = key.exchange_key.exchange(X25519PublicKey.from_public_bytes(sealed.ephemeral))
    value = _unsealed(sealed, binding, holder, shared)
    if value is not None and verify_share(sealed, committee, Share(holder, value)):
        return Share(holder, value)
    return _dispute(sealed, binding, holder, key)


def _dispute(sealed: SealedBid, binding: bytes, holder: int, key: HolderKey) -> Dispute:
    """Prove what this holder was sent, so that a misdealt bid is laid at its bidder's door."""
    ephemeral, public = _lifted(sealed.ephemeral), key.public
    point = _times(key.scalar, ephemeral)
    nonce = _scalar(b"dispute nonce", binding, key.scalar + sealed.ephemeral)
    challenge = _dispute_challenge(
        binding, public, ephemeral, point, _times_base(nonce), _times(nonce, ephemeral)
    )
    answer = sodium.crypto_core_ed25519_scalar_add(
        nonce, sodium.crypto_core_ed25519_scalar_mul(challenge, _reduced(key.scalar))
    )
    return Dispute(holder, point, challenge + answer)


def verify_share(sealed: SealedBid, committee: Committee, share: Share) -> bool:
    """Whether a share is the value that the bid committed to for its holder (Feldman's check)."""
    _require_holder(share.holder, committee)
    return _little(share.value) < _ORDER and _times_base(share.value) == sealed.commitments[share.holder]


def verify_dispute(sealed: SealedBid, committee: Committee, claim: Dispute) -> bool:
    """Whether a dispute proves that the bidder sent this holder something else than its share."""
    _require_holder(claim.holder, committee)
    binding = _binding(sealed.context, committee)
    ephemeral, public = _lifted(sealed.ephemeral), committee.holders[claim.holder - 1][1]
    challenge, answer = claim.proof[:32], claim.proof[32:]
    if not _is_point(claim.point) or max(map(_little, (challenge, answer))) >= _ORDER:
        return False
    try:
        nonce_base = sodium.crypto_core_ed25519_sub(_times_base(answer), _times(challenge, public))
        nonce_ephemeral = sodium.crypto_core_ed25519_sub(
            _times(answer, ephemeral), _times(challenge, claim.point)
        )
    except (CryptoError, RuntimeError):  # a neutral element: no honest proof has one
        return False
    if challenge != _dispute_challenge(binding, public, ephemeral, claim.point, nonce_base, nonce_ephemeral):
        return False
    value = _unsealed(sealed, binding, claim.holder, _u_of(claim.point))
    return value is None or not verify_share(sealed, committee, Share(claim.holder, value))


# --- the opening ---


class Fault(StrEnum):
    """What a holder did wrong; the opening goes on without its share."""

    FORGED_SHARE = "forged_share"
    FALSE_DISPUTE = "false_dispute"
    TWICE = "twice"
    LATE = "late"
    EARLY = "early"

    def words(self, language: Language) -> str:
        zh, en = _FAULT_WORDS[self]
        return zh if language == "zh" else en


_FAULT_WORDS: Final[Mapping[Fault, tuple[str, str]]] = {
    Fault.FORGED_SHARE: (
        "公布的份额不是投标人发给它的份额",
        "published a share that is not the one it was sent",
    ),
    Fault.FALSE_DISPUTE: (
        "提出的异议未能证明投标人分发有误",
        "raised a dispute that proves nothing against the bidder",
    ),
    Fault.TWICE: ("对同一报价公布了两份不同的内容", "published two different things for one bid"),
    Fault.LATE: ("在开标期限之后才公布", "published after the ceremony had ended"),
    Fault.EARLY: ("在截止之前公布", "published before the close"),
}


class VoidReason(StrEnum):
    """Why a sealed bid counts for nothing, by its bidder's doing."""

    MISDEALT = "misdealt"
    UNREADABLE = "unreadable"

    def words(self, language: Language) -> str:
        match self:
            case VoidReason.MISDEALT:
                zh, en = (
                    "投标人未按规则向每位持钥人分发份额",
                    "the bidder did not deal a good share to every holder",
                )
            case VoidReason.UNREADABLE:
                zh, en = (
                    "密文打开后不是一个有效报价",
                    "what was sealed is no price and quantity",
                )
            case _:  # pragma: no cover
                assert_never(self)
        return zh if language == "zh" else en


@dataclass(frozen=True, slots=True)
class Opened:
    """The bid is open; `faults` are holders (by number) whose submissions were not good."""

    price: SealedPrice
    faults: tuple[tuple[int, Fault], ...] = ()


@dataclass(frozen=True, slots=True)
class Void:
    """The bid counts for nothing, and its bidder is to blame."""

    reason: VoidReason
    faults: tuple[tuple[int, Fault], ...] = ()


@dataclass(frozen=True, slots=True)
class Unopened:
    """Fewer than the threshold of good shares came; `missing` are the holders who could still bring one."""

    missing: tuple[int, ...]
    faults: tuple[tuple[int, Fault], ...] = ()


Opening = Opened | Void | Unopened


def open_bid(sealed: SealedBid, committee: Committee, submissions: Sequence[Share | Dispute]) -> Opening:
    """Open one bid that `check` let in, from what holders published; the same result in any order of them.

    Every share is verified: with t good ones all shares are derived again and compared; otherwise each is checked
    against the commitments. SealError where a submission names no holder of the committee.
    """
    binding = _binding(sealed.context, committee)
    shares, disputes, faults = _sorted_out(sealed, committee, submissions)
    secret = _secret_from(sealed, committee, shares)
    if secret is None:
        faults |= _forged(sealed, committee, shares)
        good = {holder: value for holder, value in shares.items() if holder not in faults}
        secret = _secret_from(sealed, committee, good)
    if secret is None:
        if disputes:
            return Void(VoidReason.MISDEALT, _listed(faults))
        missing = tuple(
            number
            for number in range(1, len(committee.holders) + 1)
            if number not in shares and number not in faults
        )
        return Unopened(missing, _listed(faults))
    dealt = _deal(secret, binding, committee)
    if (dealt.commitments, dealt.ephemeral, dealt.shares) != (
        sealed.commitments,
        sealed.ephemeral,
        sealed.shares,
    ):
        return Void(VoidReason.MISDEALT, _listed(faults | _forged(sealed, committee, shares)))
    faults |= {
        holder: Fault.FORGED_SHARE for holder, value in shares.items() if value != dealt.values[holder]
    }
    try:
        plain = ChaCha20Poly1305(_hash(b"payload key", binding, secret)).decrypt(
            _NONCE, sealed.payload, binding
        )
        price = SealedPrice(int.from_bytes(plain[:8]), int.from_bytes(plain[8:]))
    except (InvalidTag, SealError):
        return Void(VoidReason.UNREADABLE, _listed(faults))
    return Opened(price, _listed(faults))


def open_in_time(
    sealed: SealedBid,
    committee: Committee,
    ceremony: Ceremony,
    submissions: Sequence[tuple[int, Share | Dispute]],
) -> Opening:
    """Open one bid from what was published, each with the log's time in microseconds; what was not in time is named."""
    in_time: list[Share | Dispute] = []
    outside: dict[int, Fault] = {}
    for at_us, submission in submissions:
        fault = ceremony.judge(at_us)
        if fault is None:
            in_time.append(submission)
        else:
            _require_holder(submission.holder, committee)
            outside[submission.holder] = fault
    opening = open_bid(sealed, committee, in_time)
    faults = _listed({**outside, **dict(opening.faults)})
    match opening:
        case Opened(price):
            return Opened(price, faults)
        case Void(reason):
            return Void(reason, faults)
        case Unopened(missing):
            return Unopened(missing, faults)
        case _:  # pragma: no cover
            assert_never(opening)


# --- commit and reveal ---


def commit(price: SealedPrice, context: Context, salt: bytes) -> bytes:
    """A commitment to a bid, 32 bytes; `salt` are 32 fresh bytes that the bidder keeps until the reveal."""
    _require_bytes("salt", salt, 32)
    lines = [COMMIT_ALGORITHM, context.lot, context.code, context.bid_id]
    return sha256(canonical(lines) + salt + price.to_bytes()).digest()


def reveals(commitment: bytes, price: SealedPrice, context: Context, salt: bytes) -> bool:
    """Whether price and salt are what this bid was committed to."""
    return commit(price, context, salt) == commitment


@dataclass(frozen=True, slots=True)
class Revealed:
    """Commit and reveal at its end: who bid what, by code, and whose deposit is forfeited."""

    bids: tuple[tuple[str, SealedPrice], ...]
    forfeits: tuple[str, ...]
    deposit_fen: int
    """The same for everybody: one that grew with the bid would tell it."""


def end_of_reveals(
    deposit_fen: int,
    commitments: Mapping[Context, bytes],
    revealed: Mapping[Context, tuple[SealedPrice, bytes]],
) -> Revealed:
    """Settle the second mode: a commitment without its true reveal forfeits the deposit.

    SealError where a reveal belongs to no commitment: an unknown bid is refused, not counted.
    """
    require_whole(deposit_fen, "deposit_fen", least=1, error=SealError)
    for context in revealed:
        if context not in commitments:
            raise SealError(
                field="bid_id",
                rule=f"{context.code} never committed to bid {context.bid_id}",
                remedy="reveal what was committed to before the close",
            )
    bids, forfeits = [], []
    for context, commitment in commitments.items():
        found = revealed.get(context)
        if found is not None and reveals(commitment, found[0], context, found[1]):
            bids.append((context.code, found[0]))
        else:
            forfeits.append(context.code)
    return Revealed(tuple(sorted(bids, key=lambda bid: bid[0])), tuple(sorted(forfeits)), deposit_fen)


# --- the dealing ---


@dataclass(frozen=True, slots=True)
class _Dealt:
    commitments: tuple[bytes, ...]
    ephemeral: bytes
    values: tuple[bytes, ...]
    """f(0) … f(n)"""
    shares: tuple[bytes, ...]


def _deal(secret: bytes, binding: bytes, committee: Committee) -> _Dealt:
    """All that follows from the secret: the same for the bidder who seals and for whoever opens."""
    coefficients = [secret] + [
        _scalar(b"coefficient", binding, secret + power.to_bytes(1))
        for power in range(1, committee.threshold)
    ]
    numbers = [_little(coefficient) for coefficient in coefficients]
    values = []
    for at in range(len(committee.holders) + 1):
        value = 0
        for number in reversed(numbers):
            value = (value * at + number) % _ORDER
        values.append(value.to_bytes(32, "little"))
    commitments = tuple(map(_times_base, values))
    key = X25519PrivateKey.from_private_bytes(_clamped(_hash(b"ephemeral key", binding, secret)))
    ephemeral = key.public_key().public_bytes_raw()
    bound = binding + b"".join(commitments)
    shares = [
        ChaCha20Poly1305(_share_key(bound, holder, ephemeral, key.exchange(public))).encrypt(
            _NONCE, values[holder], None
        )
        for holder, public in enumerate(committee.exchange_keys, 1)
    ]
    return _Dealt(commitments, ephemeral, tuple(values), tuple(shares))


def _unsealed(sealed: SealedBid, binding: bytes, holder: int, shared: bytes) -> bytes | None:
    """What this holder was sent, or None where it is no scalar under this key."""
    bound = binding + b"".join(sealed.commitments)
    cipher = ChaCha20Poly1305(_share_key(bound, holder, sealed.ephemeral, shared))
    try:
        value = cipher.decrypt(_NONCE, sealed.shares[holder - 1], None)
    except InvalidTag:
        return None
    return value if _little(value) < _ORDER else None


def _share_key(bound: bytes, holder: int, ephemeral: bytes, shared: bytes) -> bytes:
    return _hash(b"share key", bound, holder.to_bytes(1) + ephemeral + shared)


def _secret_from(sealed: SealedBid, committee: Committee, shares: Mapping[int, bytes]) -> bytes | None:
    """The secret behind the first t shares, where they lie on the committed polynomial (Lagrange at 0)."""
    if len(shares) < committee.threshold:
        return None
    chosen = sorted(shares)[: committee.threshold]
    secret = 0
    for holder in chosen:
        above = below = 1
        for other in chosen:
            if other != holder:
                above = above * other % _ORDER
                below = below * (other - holder) % _ORDER
        secret += _little(shares[holder]) * above * pow(below, -1, _ORDER)
    found = (secret % _ORDER).to_bytes(32, "little")
    return found if secret % _ORDER and _times_base(found) == sealed.commitments[0] else None


def _sorted_out(
    sealed: SealedBid, committee: Committee, submissions: Sequence[Share | Dispute]
) -> tuple[dict[int, bytes], set[int], dict[int, Fault]]:
    """Shares, proven disputes and faults by holder; who published two different things has no share."""
    shares: dict[int, bytes] = {}
    disputes: set[int] = set()
    faults: dict[int, Fault] = {}
    seen: dict[int, set[Share | Dispute]] = {}
    for submission in submissions:
        _require_holder(submission.holder, committee)
        seen.setdefault(submission.holder, set()).add(submission)
    for holder, published in sorted(seen.items()):
        claims = [one for one in published if isinstance(one, Dispute)]
        if any(verify_dispute(sealed, committee, claim) for claim in claims):
            disputes.add(holder)  # proven, whatever else was published
        elif len(published) > 1:
            faults[holder] = Fault.TWICE
        elif claims:
            faults[holder] = Fault.FALSE_DISPUTE
        else:
            shares[holder] = next(one.value for one in published if isinstance(one, Share))
    return shares, disputes, faults


def _forged(sealed: SealedBid, committee: Committee, shares: Mapping[int, bytes]) -> dict[int, Fault]:
    """Who published a share off the committed polynomial: whoever was sent such a one would have disputed it."""
    return {
        holder: Fault.FORGED_SHARE
        for holder, value in shares.items()
        if not verify_share(sealed, committee, Share(holder, value))
    }


def _listed(faults: Mapping[int, Fault]) -> tuple[tuple[int, Fault], ...]:
    return tuple(sorted(faults.items()))


# --- proofs ---


def _prove_secret(
    secret: bytes,
    binding: bytes,
    commitments: Sequence[bytes],
    ephemeral: bytes,
    shares: Sequence[bytes],
    payload: bytes,
) -> bytes:
    said = b"".join((*commitments, ephemeral, *shares, payload))
    nonce = _scalar(b"proof nonce", binding, secret + said)
    point = _times_base(nonce)
    challenge = _scalar(b"proof", binding, said + point)
    return point + sodium.crypto_core_ed25519_scalar_add(
        nonce, sodium.crypto_core_ed25519_scalar_mul(challenge, secret)
    )


def _proves_secret(sealed: SealedBid, binding: bytes) -> bool:
    said = b"".join((*sealed.commitments, sealed.ephemeral, *sealed.shares, sealed.payload))
    point, answer = sealed.proof[:32], sealed.proof[32:]
    if _little(answer) >= _ORDER or not _is_point(point):
        return False
    challenge = _scalar(b"proof", binding, said + point)
    try:
        right = sodium.crypto_core_ed25519_add(point, _times(challenge, sealed.commitments[0]))
        return _times_base(answer) == right
    except (CryptoError, RuntimeError):  # pragma: no cover  # a neutral element, which no hash leads to
        return False


def _dispute_challenge(binding: bytes, *points: bytes) -> bytes:
    return _scalar(b"dispute", binding, b"".join(points))


# --- the group ---


def _binding(context: Context, committee: Committee) -> bytes:
    """What every hash of a sealed bid begins with."""
    lines = [ALGORITHM, context.lot, context.code, context.bid_id]
    return sha256(canonical(lines) + committee.digest).digest()


def _hash(purpose: bytes, binding: bytes, said: bytes) -> bytes:
    return sha256(purpose + b"\n" + binding + said).digest()


def _scalar(purpose: bytes, binding: bytes, said: bytes) -> bytes:
    """A scalar without bias: 64 bytes of SHA-512 reduced by the order."""
    return sodium.crypto_core_ed25519_scalar_reduce(sha512(purpose + b"\n" + binding + said).digest())


def _reduced(scalar: bytes) -> bytes:
    return sodium.crypto_core_ed25519_scalar_reduce(scalar + bytes(32))


def _little(scalar: bytes) -> int:
    return int.from_bytes(scalar, "little")


def _clamped(scalar: bytes) -> bytes:
    """RFC 7748 §5, so that X25519 and the Ed25519 group multiply by the same number."""
    number = bytearray(scalar)
    number[0] &= 248
    number[31] = number[31] & 127 | 64
    return bytes(number)


def _times_base(scalar: bytes) -> bytes:
    """scalar·B; of zero the neutral element, which libsodium refuses to give."""
    return sodium.crypto_scalarmult_ed25519_base_noclamp(scalar) if any(scalar) else _NO_POINT


def _times(scalar: bytes, point: bytes) -> bytes:
    return sodium.crypto_scalarmult_ed25519_noclamp(scalar, point)


def _small_times(number: int, point: bytes) -> bytes:
    """number·point, number at least 1, by doubling and adding: for a small one a fraction of a general product."""
    product = point
    for bit in bin(number)[3:]:
        product = sodium.crypto_core_ed25519_add(product, product)
        if bit == "1":
            product = sodium.crypto_core_ed25519_add(product, point)
    return product


def _on_one_polynomial(points: Sequence[bytes], threshold: int) -> bool:
    """Whether the points at 0, 1, 2 … are values of one polynomial of a degree below the threshold.

    That is so where all differences of that order vanish: sums of every second point, times binomials, agree.
    """
    for first in range(len(points) - threshold):
        sides: list[bytes | None] = [None, None]
        for step in range(threshold + 1):
            term = _small_times(comb(threshold, step), points[first + step])
            side = sides[step % 2]
            sides[step % 2] = term if side is None else sodium.crypto_core_ed25519_add(side, term)
        if sides[0] != sides[1]:
            return False
    return True


def _is_point(point: bytes) -> bool:
    """Whether these bytes are the canonical form of a point of prime order, not the neutral element."""
    return bool(sodium.crypto_core_ed25519_is_valid_point(point))


def _u_of(point: bytes) -> bytes:
    """The Montgomery u coordinate of an Edwards point (RFC 7748 §4.1)."""
    y = _little(point) & ((1 << 255) - 1)
    return ((1 + y) * pow(1 - y, -1, _P) % _P).to_bytes(32, "little")


def _lifted(u: bytes) -> bytes:
    """An Edwards point with this u coordinate, of its two the one with the even x; its form, not its validity."""
    number = _little(u)
    if number >= _P or (number + 1) % _P == 0:
        return bytes(32)  # no point of prime order has y = 0
    return ((number - 1) * pow(number + 1, -1, _P) % _P).to_bytes(32, "little")


# --- reading ---


def _number_of(committee: Committee, key: HolderKey) -> int:
    public = key.public
    for number, (_, known) in enumerate(committee.holders, 1):
        if known == public:
            return number
    raise SealError(
        field="key",
        rule="is no key of this lot's committee",
        remedy="use the key whose public half the lot names",
    )


def _require_holder(number: int, committee: Committee) -> None:
    if type(number) is not int or not 1 <= number <= len(committee.holders):
        raise SealError(
            field="holder",
            rule=f"a holder's number from 1 to {len(committee.holders)}, not {number!r}",
            remedy="give what a holder of this lot published",
        )


def _require_bytes(field: str, value: bytes, length: int) -> None:
    if not isinstance(value, bytes) or len(value) != length:
        raise SealError(
            field=field,
            rule=f"must be {length} bytes from the system's random source",
            remedy=f"pass secrets.token_bytes({length})",
        )


def _require_algorithm(value: object, known: str) -> None:
    if value != known:
        raise SealError(
            field="algorithm",
            rule=f"is {str(value)[:80]!r}, this code knows {known!r}",
            remedy="use the version of the exchange that made it, or a newer one",
        )


def _misread(field: str, rule: str) -> SealError:
    return SealError(field=field, rule=f"must be {rule}", remedy="take it as its maker wrote it")


def _members(value: object, what: str, names: Sequence[str]) -> Mapping[str, object]:
    if not isinstance(value, Mapping) or set(value) != set(names):
        raise _misread(what, f"an object with {', '.join(names)} and nothing else")
    return value


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        raise _misread(field, "text")
    return value


def _whole(value: object, field: str) -> int:
    """A number as the canonical form writes it: a decimal string, or an integer before it was written."""
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdecimal()
        and len(value) < 20
        and str(int(value)) == value
    ):
        value = int(value)
    if type(value) is not int or not 0 <= value <= MAX_AMOUNT:
        raise _misread(field, "a whole number")
    return value


def _unhex(value: object, field: str, length: int) -> bytes:
    if isinstance(value, str) and len(value) == 2 * length and value == value.lower() and value.isascii():
        try:
            return bytes.fromhex(value)
        except ValueError:
            pass
    raise _misread(field, f"{length} bytes in lower-case hex")


def _points(value: object, field: str, length: int) -> tuple[bytes, ...]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= HOLDERS_LIMIT + 1:
        raise _misread(field, f"a list of 1 to {HOLDERS_LIMIT + 1}")
    return tuple(_unhex(one, f"{field}[{position}]", length) for position, one in enumerate(value))
