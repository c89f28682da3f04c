"""Sealed bids: t holders open every bid to what was sealed, fewer open none, and whoever cheats is named."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, permutations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings as sodium

from pricing import sealed_bids
from pricing.canonical import canonical
from pricing.errors import SealError
from pricing.sealed_bids import (
    Ceremony,
    Committee,
    Context,
    Dispute,
    Fault,
    HolderKey,
    Opened,
    SealedBid,
    SealedLot,
    SealedPrice,
    Share,
    Unopened,
    Void,
    VoidReason,
    check,
    commit,
    end_of_reveals,
    open_bid,
    open_in_time,
    open_share,
    reveals,
    seal,
    submission_from_json,
    verify_dispute,
    verify_share,
)

CONTEXT = Context("lot-1", "A7", "bid-1")
PRICE = SealedPrice(1_234_500, 3)


def keys_of(count: int) -> list[HolderKey]:
    return [HolderKey.from_seed(bytes([number]) * 32) for number in range(1, count + 1)]


def committee_of(threshold: int, keys: Sequence[HolderKey]) -> Committee:
    return Committee(threshold, tuple((f"holder {n}", key.public) for n, key in enumerate(keys, 1)))


KEYS = keys_of(4)
COMMITTEE = committee_of(3, KEYS)
SEALED = seal(PRICE, CONTEXT, COMMITTEE, b"c" * 32)
SHARES = [open_share(SEALED, COMMITTEE, key) for key in KEYS]


@given(st.data())
def test_any_t_of_n_holders_open_any_bid_and_any_fewer_open_none(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))
    threshold = data.draw(st.integers(1, count))
    amounts = st.integers(1, 2**63 - 1)
    price = SealedPrice(data.draw(amounts), data.draw(amounts))
    context = Context(
        *data.draw(
            st.tuples(
                *[st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=9)] * 3
            )
        )
    )
    keys = keys_of(count)
    committee = committee_of(threshold, keys)
    sealed = seal(price, context, committee, data.draw(st.binary(min_size=32, max_size=32)))
    check(sealed, context, committee)
    shares = [open_share(sealed, committee, key) for key in keys]
    chosen = data.draw(st.permutations(shares))[: data.draw(st.integers(0, count))]
    opening = open_bid(sealed, committee, chosen)
    if len(chosen) >= threshold:
        assert opening == Opened(price)
    else:
        missing = {1, *range(2, count + 1)} - {share.holder for share in chosen}
        assert opening == Unopened(tuple(sorted(missing)))


def test_whoever_holds_everything_but_t_keys_cannot_open_and_with_t_it_opens() -> None:
    """Database, messages, server and t-1 holders' keys in one hand: all of it goes into the opening code."""
    stolen = KEYS[:2]
    own = [open_share(SEALED, COMMITTEE, key) for key in stolen]
    for invented in (b"\0" * 32, b"\1" + b"\0" * 31, SEALED.payload[:32], SEALED.commitments[0]):
        value = sodium.crypto_core_ed25519_scalar_reduce(invented + bytes(32))
        opening = open_bid(SEALED, COMMITTEE, [*own, Share(3, value)])
        assert opening == Unopened((4,), ((3, Fault.FORGED_SHARE),))
    # The keys that they hold decrypt no other holder's share, and none of them the payload.
    for key in stolen:
        shared = key.exchange_key.exchange(X25519PublicKey.from_public_bytes(SEALED.ephemeral))
        binding = sealed_bids._binding(CONTEXT, COMMITTEE)
        assert sealed_bids._unsealed(SEALED, binding, 3, shared) is None
        assert sealed_bids._unsealed(SEALED, binding, 4, shared) is None
    assert open_bid(SEALED, COMMITTEE, own) == Unopened((3, 4))
    assert open_bid(SEALED, COMMITTEE, [*own, SHARES[2]]) == Opened(PRICE)


def test_fewer_than_t_shares_fit_every_secret() -> None:
    """For any other secret there is a polynomial of the same degree through the t-1 shares: they say nothing."""
    order = sealed_bids._ORDER
    known = {
        share.holder: int.from_bytes(share.value, "little")
        for share in SHARES[:2]
        if isinstance(share, Share)
    }
    for secret in (1, 2, order - 1, 2**200):
        points = {0: secret, **known}
        at_four = 0
        for x, y in points.items():
            above = below = 1
            for other in points:
                if other != x:
                    above, below = above * (4 - other) % order, below * (x - other) % order
            at_four += y * above * pow(below, -1, order)
        interpolated = {**known, 4: at_four % order}
        total = 0
        for x, y in interpolated.items():
            above = below = 1
            for other in interpolated:
                if other != x:
                    above, below = above * -other % order, below * (x - other) % order
            total += y * above * pow(below, -1, order)
        assert total % order == secret


def test_what_is_sealed_does_not_tell_the_price() -> None:
    cheap, dear = (seal(SealedPrice(price), CONTEXT, COMMITTEE, b"x" * 32) for price in (1, 2**63 - 1))
    assert len(canonical(cheap.to_json())) == len(canonical(dear.to_json()))
    assert (cheap.commitments, cheap.shares) == (dear.commitments, dear.shares)  # made of chance alone
    assert b"1234500" not in canonical(SEALED.to_json())


def test_a_ciphertext_copied_under_another_code_lot_or_bid_is_refused_at_the_door() -> None:
    for other in (
        Context("lot-2", "A7", "bid-1"),
        Context("lot-1", "B2", "bid-1"),
        Context("lot-1", "A7", "bid-2"),
    ):
        with pytest.raises(SealError) as refused:
            check(SEALED, other, COMMITTEE)
        assert refused.value.field in ("lot", "code", "bid_id")
        with pytest.raises(SealError) as refused:  # its name changed as well
            check(replace(SEALED, context=other), other, COMMITTEE)
        assert refused.value.field == "proof"
    for threshold, field in ((4, "proof"), (2, "commitments")):  # for another committee
        with pytest.raises(SealError) as refused:
            check(SEALED, CONTEXT, committee_of(threshold, KEYS))
        assert refused.value.field == field
    with pytest.raises(SealError) as refused:
        check(SEALED, CONTEXT, committee_of(3, keys_of(5)))
    assert refused.value.field == "commitments"


def mutated(chance: random.Random) -> SealedBid:
    """The sealed bid with one bit of one member changed, or two members of a kind swapped."""
    name = chance.choice(["commitments", "ephemeral", "shares", "payload", "proof"])
    value = getattr(SEALED, name)
    if isinstance(value, tuple):
        at = chance.randrange(len(value))
        if chance.random() < 0.2:
            other = chance.choice([n for n in range(len(value)) if n != at])
            members = list(value)
            members[at], members[other] = members[other], members[at]
        else:
            members = [flipped(m, chance) if n == at else m for n, m in enumerate(value)]
        return replace(SEALED, **{name: tuple(members)})  # type: ignore[arg-type]  # a member by its name
    return replace(SEALED, **{name: flipped(value, chance)})  # type: ignore[arg-type]  # the same


def flipped(value: bytes, chance: random.Random) -> bytes:
    number = int.from_bytes(value) ^ 1 << chance.randrange(8 * len(value))
    return number.to_bytes(len(value))


@pytest.mark.parametrize("cases", [300, pytest.param(10_000, marks=pytest.mark.drill)])
def test_no_mutated_ciphertext_or_share_is_accepted_and_each_is_named(cases: int) -> None:
    chance = random.Random(20_261_126)
    named = set()
    for _ in range(cases):
        with pytest.raises(SealError) as refused:
            check(mutated(chance), CONTEXT, COMMITTEE)
        named.add(refused.value.field.partition("[")[0])
        forger = chance.randrange(1, 5)
        value = SHARES[forger - 1].value if chance.random() < 0.7 else chance.randbytes(32)  # type: ignore[union-attr]  # all are shares
        forged = Share(forger, flipped(value, chance))
        others = [share for share in SHARES if share.holder != forger]
        assert open_bid(SEALED, COMMITTEE, [forged, *others]) == Opened(
            PRICE, ((forger, Fault.FORGED_SHARE),)
        )
        assert not verify_share(SEALED, COMMITTEE, forged)
        absent = chance.choice(others)
        assert open_bid(SEALED, COMMITTEE, [forged, *(s for s in others if s != absent)]) == Unopened(
            (absent.holder,), ((forger, Fault.FORGED_SHARE),)
        )
    assert named == {"commitments", "ephemeral", "proof"}


def dealt_badly(**changes: object) -> SealedBid:
    """A bid whose dealer did as `changes` say and proved the secret as if nothing were wrong."""
    binding = sealed_bids._binding(CONTEXT, COMMITTEE)
    secret = sealed_bids._scalar(b"secret", binding, b"d" * 32)
    dealt = sealed_bids._deal(secret, binding, COMMITTEE)
    payload = changes.pop("payload", None) or ChaCha20Poly1305(
        sealed_bids._hash(b"payload key", binding, secret)
    ).encrypt(bytes(12), PRICE.to_bytes(), binding)
    members = {
        "commitments": dealt.commitments,
        "ephemeral": dealt.ephemeral,
        "shares": dealt.shares,
    } | changes
    proof = sealed_bids._prove_secret(secret, binding, payload=payload, **members)  # type: ignore[arg-type]
    bid = SealedBid(CONTEXT, payload=payload, proof=proof, **members)  # type: ignore[arg-type]
    check(bid, CONTEXT, COMMITTEE)
    return bid


def bad_share(value: bytes | None) -> bytes:
    """What a cheating dealer sends holder 4: another value under the right key, or noise."""
    if value is None:
        return b"n" * 48
    binding = sealed_bids._binding(CONTEXT, COMMITTEE)
    secret = sealed_bids._scalar(b"secret", binding, b"d" * 32)
    dealt = sealed_bids._deal(secret, binding, COMMITTEE)
    key = X25519PrivateKey.from_private_bytes(
        sealed_bids._clamped(sealed_bids._hash(b"ephemeral key", binding, secret))
    )
    shared = key.exchange(COMMITTEE.exchange_keys[3])
    bound = binding + b"".join(dealt.commitments)
    cipher = ChaCha20Poly1305(sealed_bids._share_key(bound, 4, dealt.ephemeral, shared))
    return cipher.encrypt(bytes(12), value, None)


@pytest.mark.parametrize(
    "value", [None, b"\1" + bytes(31), b"\xff" * 32], ids=["noise", "another", "no scalar"]
)
def test_a_misdealt_bid_is_void_whoever_came_to_open_it(value: bytes | None) -> None:
    honest = dealt_badly()
    bid = dealt_badly(shares=(*honest.shares[:3], bad_share(value)))
    submissions = [open_share(bid, COMMITTEE, key) for key in KEYS]
    claim = submissions[3]
    assert isinstance(claim, Dispute)
    assert verify_dispute(bid, COMMITTEE, claim)
    for chosen in (*combinations(submissions, 3), submissions, permutations(submissions).__next__()):
        opening = open_bid(bid, COMMITTEE, chosen)
        assert opening == Void(VoidReason.MISDEALT), "holder 4 is not to blame, here or absent"
    # A dispute that stands tells on the bidder, with fewer than t shares as well.
    assert open_bid(bid, COMMITTEE, [submissions[0], claim]) == Void(VoidReason.MISDEALT)


def test_a_dispute_against_an_honest_bidder_proves_nothing() -> None:
    binding = sealed_bids._binding(CONTEXT, COMMITTEE)
    true_point = sealed_bids._dispute(SEALED, binding, 4, KEYS[3])
    assert not verify_dispute(SEALED, COMMITTEE, true_point), "it shows that the share was sent"
    chance = random.Random(7)
    false = [true_point]
    for _ in range(20):
        false.append(replace(true_point, point=flipped(true_point.point, chance)))
        false.append(replace(true_point, proof=flipped(true_point.proof, chance)))
        other = sodium.crypto_scalarmult_ed25519_base_noclamp(chance.randbytes(32))
        false.append(replace(true_point, point=other))
    false.append(Dispute(4, true_point.point, bytes(64)))
    for claim in false:
        assert not verify_dispute(SEALED, COMMITTEE, claim)
        assert open_bid(SEALED, COMMITTEE, [*SHARES[:3], claim]) == Opened(PRICE, ((4, Fault.FALSE_DISPUTE),))
        assert open_bid(SEALED, COMMITTEE, [*SHARES[:2], claim]) == Unopened(
            (3,), ((4, Fault.FALSE_DISPUTE),)
        )


def test_a_dealer_whose_values_lie_on_no_polynomial_is_refused_at_the_door() -> None:
    honest = dealt_badly()
    other = sodium.crypto_scalarmult_ed25519_base_noclamp(b"\2" + bytes(31))
    with pytest.raises(SealError) as refused:
        dealt_badly(commitments=(*honest.commitments[:4], other))
    assert (refused.value.field, "3 shares" in refused.value.rule) == ("commitments", True)


def test_a_dealer_who_invents_a_polynomial_of_the_right_degree_is_void() -> None:
    """All shares verify, and the secret comes out; but it was not dealt as the secret says."""
    binding = sealed_bids._binding(CONTEXT, COMMITTEE)
    secret = sealed_bids._scalar(b"secret", binding, b"d" * 32)
    order, numbers = sealed_bids._ORDER, [int.from_bytes(secret, "little"), 5, 7]
    values = [sum(c * at**p for p, c in enumerate(numbers)) % order for at in range(5)]
    points = tuple(sodium.crypto_scalarmult_ed25519_base_noclamp(v.to_bytes(32, "little")) for v in values)
    key = X25519PrivateKey.from_private_bytes(b"e" * 32)
    ephemeral = key.public_key().public_bytes_raw()
    bound = binding + b"".join(points)
    shares = tuple(
        ChaCha20Poly1305(
            sealed_bids._share_key(bound, n, ephemeral, key.exchange(COMMITTEE.exchange_keys[n - 1]))
        ).encrypt(bytes(12), values[n].to_bytes(32, "little"), None)
        for n in range(1, 5)
    )
    bid = dealt_badly(commitments=points, ephemeral=ephemeral, shares=shares)
    submissions = [open_share(bid, COMMITTEE, key) for key in KEYS]
    assert all(isinstance(one, Share) and verify_share(bid, COMMITTEE, one) for one in submissions)
    assert open_bid(bid, COMMITTEE, submissions[1:]) == Void(VoidReason.MISDEALT)
    forged = Share(1, b"\1" + bytes(31))
    assert open_bid(bid, COMMITTEE, [forged, *submissions[1:]]) == Void(
        VoidReason.MISDEALT, ((1, Fault.FORGED_SHARE),)
    )


@pytest.mark.parametrize("plain", [bytes(16), b"\xff" * 16, None], ids=["no price", "too large", "noise"])
def test_a_bid_that_seals_no_price_is_void(plain: bytes | None) -> None:
    binding = sealed_bids._binding(CONTEXT, COMMITTEE)
    secret = sealed_bids._scalar(b"secret", binding, b"d" * 32)
    cipher = ChaCha20Poly1305(sealed_bids._hash(b"payload key", binding, secret))
    payload = b"n" * 32 if plain is None else cipher.encrypt(bytes(12), plain, binding)
    bid = dealt_badly(payload=payload)
    submissions = [open_share(bid, COMMITTEE, key) for key in KEYS[1:]]
    assert open_bid(bid, COMMITTEE, submissions) == Void(VoidReason.UNREADABLE)


def test_a_holder_who_publishes_two_things_for_one_bid_is_named_and_the_same_twice_is_one() -> None:
    assert open_bid(SEALED, COMMITTEE, [*SHARES, SHARES[0]]) == Opened(PRICE)
    twice = [*SHARES[:3], Share(1, b"\1" + bytes(31))]
    assert open_bid(SEALED, COMMITTEE, twice) == Unopened((4,), ((1, Fault.TWICE),))
    assert open_bid(SEALED, COMMITTEE, [*twice, SHARES[3]]) == Opened(PRICE, ((1, Fault.TWICE),))


def test_a_share_before_the_close_or_after_the_ceremony_does_not_count_and_is_named() -> None:
    ceremony = Ceremony(1_000, 2_000)
    early, first, second = ((at, SHARES[n]) for n, at in enumerate((999, 1_000, 1_999)))
    late = (2_000, SHARES[3])
    outside = ((1, Fault.EARLY), (4, Fault.LATE))
    assert open_in_time(SEALED, COMMITTEE, ceremony, [early, first, second, late]) == Unopened(
        (1, 4), outside
    )
    again = (1_500, SHARES[0])
    assert open_in_time(SEALED, COMMITTEE, ceremony, [early, again, first, second]) == Opened(
        PRICE, ((1, Fault.EARLY),)
    )
    bad = dealt_badly(shares=(*dealt_badly().shares[:3], b"n" * 48))
    submissions = [(1_500, open_share(bad, COMMITTEE, key)) for key in KEYS]
    assert open_in_time(bad, COMMITTEE, ceremony, submissions) == Void(VoidReason.MISDEALT)
    with pytest.raises(SealError, match="ends_at_us"):
        Ceremony(5, 5)


def test_everything_survives_its_json_and_nothing_else_is_read() -> None:
    committee = Committee.from_json(json.loads(canonical(COMMITTEE.to_json())))
    assert committee == COMMITTEE
    assert committee.digest == COMMITTEE.digest
    assert SealedBid.from_json(json.loads(canonical(SEALED.to_json()))) == SEALED
    assert SEALED.digest == hashlib.sha256(canonical(SEALED.to_json())).hexdigest()
    lot = SealedLot("lot-1", COMMITTEE, Ceremony(1, 2), (SEALED,))
    assert SealedLot.from_json(json.loads(canonical(lot.to_json()))) == lot
    claim = sealed_bids._dispute(SEALED, b"b" * 32, 4, KEYS[3])
    for one in (*SHARES, claim):
        assert submission_from_json(json.loads(canonical(one.to_json()))) == one
    readers = (
        (Committee.from_json, COMMITTEE.to_json()),
        (SealedBid.from_json, SEALED.to_json()),
        (SealedLot.from_json, lot.to_json()),
        (submission_from_json, SHARES[0].to_json()),
        (submission_from_json, claim.to_json()),
    )
    for read, written in readers:
        for broken in breakages(json.loads(canonical(written))):
            with pytest.raises(SealError) as refused:
                read(broken)
            assert refused.value.field
            assert refused.value.remedy


def breakages(value: dict[str, object]) -> Iterator[object]:
    """The object with one member missing, strange, of another kind, or one too many; and no object at all."""
    yield None
    yield []
    yield {**value, "more": "1"}
    for name, member in value.items():
        yield {key: other for key, other in value.items() if key != name}
        strange: tuple[object, ...] = (None, 5.0, True, "", "zz", -1, {}, "9" * 40, [])
        for other in strange:
            if name in ("lot", "code", "bid_id") and isinstance(other, str) and other:
                continue  # any text names one
            if name == "bids" and other == []:
                continue  # a lot that nobody bid on
            yield {**value, name: other}
        if isinstance(member, list):
            yield {**value, name: [*member[:-1], None]}
            yield {**value, name: member * 20}
        if isinstance(member, str) and len(member) > 32 and name != "algorithm":
            yield {**value, name: member.upper() if member.upper() != member else member[2:]}
            yield {**value, name: "gg" + member[2:]}
        if name == "algorithm":
            yield {**value, name: str(member).replace("@1", "@2")}


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Committee(0, COMMITTEE.holders), "threshold"),
        (lambda: Committee(5, COMMITTEE.holders), "threshold"),
        (lambda: Committee(1, ()), "threshold"),
        (lambda: Committee(1, (("", KEYS[0].public),)), "holders[0].name"),
        (lambda: Committee(1, (("one", bytes(32)),)), "holders[0].public"),
        (lambda: Committee(1, (("one", b"\1" + bytes(31)),)), "holders[0].public"),
        (lambda: Committee(1, (("one", KEYS[0].public), ("one", KEYS[1].public))), "holders.name"),
        (lambda: Committee(1, (("one", KEYS[0].public), ("two", KEYS[0].public))), "holders.public"),
        (lambda: Context("", "a", "b"), "lot"),
        (lambda: Context("a", "a\n", "b"), "code"),
        (lambda: Context("a", "a", "b" * 201), "bid_id"),
        (lambda: SealedPrice(0), "price_fen"),
        (lambda: SealedPrice(2**63), "price_fen"),
        (lambda: SealedPrice(1, -1), "quantity"),
        (lambda: HolderKey(b"short"), "key"),
        (lambda: HolderKey(b"\xff" * 32), "key"),
        (lambda: HolderKey.from_seed(b"short"), "seed"),
        (lambda: seal(PRICE, CONTEXT, COMMITTEE, b""), "chance"),
        (lambda: commit(PRICE, CONTEXT, b""), "salt"),
        (lambda: open_share(SEALED, COMMITTEE, HolderKey.from_seed(b"z" * 32)), "key"),
        (lambda: open_bid(SEALED, COMMITTEE, [Share(0, bytes(32))]), "holder"),
        (lambda: open_bid(SEALED, COMMITTEE, [Share(5, bytes(32))]), "holder"),
        (lambda: open_in_time(SEALED, COMMITTEE, Ceremony(0, 1), [(9, Share(5, bytes(32)))]), "holder"),
        (lambda: SealedLot("lot-2", COMMITTEE, Ceremony(1, 2), (SEALED,)), "bids[0]"),
        (lambda: SealedLot("lot-1", COMMITTEE, Ceremony(1, 2), (SEALED, SEALED)), "bids[1]"),
        (lambda: check(replace(SEALED, ephemeral=b"\xff" * 32), CONTEXT, COMMITTEE), "ephemeral"),
        (lambda: check(replace(SEALED, ephemeral=bytes(32)), CONTEXT, COMMITTEE), "ephemeral"),
    ],
)
def test_nonsense_is_refused_by_name(make: object, field: str) -> None:
    with pytest.raises(SealError) as refused:
        make()  # type: ignore[operator]
    assert refused.value.field == field
    assert refused.value.rule
    assert refused.value.remedy


def test_a_private_key_shows_in_no_text() -> None:
    assert KEYS[0].scalar.hex() not in repr(KEYS[0])
    assert repr(KEYS[0].scalar) not in repr(KEYS[0])


def test_every_word_is_there_in_both_languages() -> None:
    for word in (*Fault, *VoidReason):
        assert word.words("zh") != word.words("en")


def test_who_does_not_reveal_forfeits_the_deposit_that_is_the_same_for_all() -> None:
    contexts = [Context("lot-1", code, "b") for code in ("C3", "A1", "B2")]
    salts = [bytes([n]) * 32 for n in range(3)]
    prices = [SealedPrice(100), SealedPrice(300), SealedPrice(200)]
    kept = {c: commit(p, c, s) for c, p, s in zip(contexts, prices, salts, strict=True)}
    assert len(set(map(len, kept.values()))) == 1
    assert reveals(kept[contexts[0]], prices[0], contexts[0], salts[0])
    revealed = {contexts[1]: (prices[1], salts[1]), contexts[2]: (SealedPrice(999), salts[2])}
    end = end_of_reveals(50_000, kept, revealed)
    assert end.bids == (("A1", prices[1]),)
    assert end.forfeits == ("B2", "C3"), "another price than the committed one is no reveal"
    assert end.deposit_fen == 50_000
    with pytest.raises(SealError, match="never committed"):
        end_of_reveals(50_000, {}, revealed)
    with pytest.raises(SealError, match="deposit_fen"):
        end_of_reveals(0, kept, revealed)
    # A commitment copied under another code opens for nobody.
    copied = Context("lot-1", "D4", "b")
    assert not reveals(kept[contexts[1]], prices[1], copied, salts[1])
