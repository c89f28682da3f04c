"""Signed requests: what we sign another's library verifies, what it signs we verify, what anybody touches is refused."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, algorithms
from http_message_signatures.resolvers import HTTPSignatureKeyResolver
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from exchange.errors import ExchangeError, Malformed, Unauthenticated
from exchange.signing import AGE_S, BODY_LIMIT, Presented, key_id_of, presented, signed_headers, stands

SECRET = bytes(range(32))
PUBLIC = bytes(SigningKey(SECRET).verify_key)
NOW_S = 1_790_000_000
BODY = b'{"client_bid_id":"bid-1","price_fen":"700000"}'
PATH = "/v1/lots/lot-1/bids"


@dataclass
class Message:
    """A request as the library takes one."""

    method: str
    url: str
    headers: dict[str, str]


class Keys(HTTPSignatureKeyResolver):
    """The one key of these tests, for the library."""

    def resolve_public_key(self, key_id: str) -> Any:
        """Our key's public half."""
        assert key_id == key_id_of(PUBLIC)
        return Ed25519PrivateKey.from_private_bytes(SECRET).public_key()

    def resolve_private_key(self, key_id: str) -> Any:
        """Our key."""
        return Ed25519PrivateKey.from_private_bytes(SECRET)


def ours(target: str = PATH, body: bytes = BODY, sent: dict[str, str] | None = None) -> dict[str, str]:
    """The headers of a request that we signed, by lower-case name."""
    headers = dict(sent or {})
    signed = signed_headers(SECRET, "POST", target, headers, body, NOW_S)
    return {**headers, **{name.lower(): value for name, value in signed.items()}}


def read(headers: dict[str, str], target: str = PATH, body: bytes = BODY, now_s: int = NOW_S) -> Presented:
    path, _, query = target.partition("?")
    return presented("POST", path, query, headers, body, now_s)


@pytest.mark.parametrize("target", [PATH, PATH + "?dry_run=true&note=%E4%BA%A4"])
@pytest.mark.parametrize("sent", [{}, {"idempotency-key": "order-1"}])
def test_what_we_sign_anothers_library_verifies(target: str, sent: dict[str, str]) -> None:
    headers = ours(target, sent=sent)
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=Keys())
    message = Message("POST", f"https://exchange.example{target}", headers)
    (result,) = verifier.verify(message, max_age=None, body=BODY)
    assert {'"@method"', '"@path"', '"content-digest"'} <= set(result.covered_components)
    text = read(headers, target).verified(PUBLIC)
    assert orjson.loads(text)["body"] == BODY.decode()
    assert stands(text, PUBLIC)


def theirs(components: tuple[str, ...], created_s: int = NOW_S, **options: Any) -> dict[str, str]:
    message = Message("POST", f"https://exchange.example{PATH}", {"Content-Type": "application/json"})
    HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=Keys()).sign(
        message,
        key_id=key_id_of(PUBLIC),
        created=datetime.datetime.fromtimestamp(created_s, datetime.UTC),
        covered_component_ids=components,
        body=BODY,
        **options,
    )
    return {name.lower(): value for name, value in message.headers.items()}


@pytest.mark.parametrize("label", ["pyhms", "sig1"])
def test_what_anothers_library_signs_we_verify(label: str) -> None:
    headers = theirs(("@method", "@path", "content-type"), label=label, nonce="n-1", tag="exchange")
    text = read(headers).verified(PUBLIC)
    assert stands(text, PUBLIC)
    assert not stands(text, bytes(SigningKey(bytes(32)).verify_key))


def test_what_is_touched_after_signing_is_refused_by_its_place() -> None:
    headers = theirs(("@method", "@path", "content-type"))
    assert read(headers).verified(PUBLIC)
    touched = [
        (headers, PATH.replace("lot-1", "lot-2"), BODY),
        ({**headers, "content-type": "text/plain"}, PATH, BODY),
        (headers, PATH, BODY.replace(b"700000", b"800000")),
        (
            {**headers, "signature-input": headers["signature-input"].replace(str(NOW_S), str(NOW_S + 1))},
            PATH,
            BODY,
        ),
        ({**headers, "content-digest": ours(body=b"{}")["content-digest"]}, PATH, b"{}"),
    ]
    for sent, path, body in touched:
        with pytest.raises(Unauthenticated) as refused:
            read(sent, path, body).verified(PUBLIC)
        assert refused.value.code == "signature.unverified"
    with pytest.raises(Unauthenticated):
        presented("PUT", PATH, "", headers, BODY, NOW_S).verified(PUBLIC)


@pytest.mark.parametrize(
    ("age_s", "good"), [(AGE_S, True), (AGE_S + 1, False), (-AGE_S, True), (-AGE_S - 1, False)]
)
def test_a_signature_ages_by_the_checkers_clock(age_s: int, good: bool) -> None:
    if good:
        read(ours(), now_s=NOW_S + age_s)
    else:
        with pytest.raises(Unauthenticated):
            read(ours(), now_s=NOW_S + age_s)


def test_a_signature_that_covers_too_little_is_no_signature() -> None:
    for left_out in ("@method", "@path"):
        components = tuple(c for c in ("@method", "@path", "content-type") if c != left_out)
        with pytest.raises(Malformed) as refused:
            read(theirs(components))
        assert left_out in str(refused.value.rule)
    with pytest.raises(Malformed, match="cannot be read"):  # a query that is not covered could be changed
        read(ours(), PATH + "?dry_run=true")
    with pytest.raises(Malformed):
        read({**ours(), "idempotency-key": "added-later"})


@pytest.mark.parametrize(
    "change",
    [
        {"signature": ""},
        {"signature": "request=:AAAA:, other=:AAAA:"},
        {"signature": "request=1"},
        {"signature-input": 'request=("@method"'},
        {"signature-input": "request=1"},
        {"signature-input": 'request=("@method";req "@path" "content-digest");created=1;keyid="k"'},
        {"signature-input": 'request=("@method" "@method" "@path" "content-digest");created=1;keyid="k"'},
        {"signature-input": 'request=("@method" "@path" "content-digest");created="1";keyid="k"'},
        {"signature-input": 'request=("@method" "@path" "content-digest");created=1'},
        {
            "signature-input": f'request=("@method" "@path" "content-digest" "absent");created={NOW_S};keyid="k"'
        },
        {
            "signature-input": f'request=("@method" "@path" "content-digest" "@status");created={NOW_S};keyid="k"'
        },
        {
            "signature-input": 'request=("@method" "@path" "content-digest");created=1;keyid="k";alg="hmac-sha256"'
        },
        {"content-digest": "md5=:AAAA:"},
        {"content-digest": "sha-256=1"},
    ],
)
def test_a_signature_of_another_form_is_refused_with_the_rule(change: dict[str, str]) -> None:
    with pytest.raises((Malformed, Unauthenticated)) as refused:
        read({**ours(), **change}).verified(PUBLIC)
    assert refused.value.rule
    assert refused.value.remedy


def test_a_long_or_foreign_body_is_not_signed() -> None:
    for body in (b"x" * (BODY_LIMIT + 1), "价".encode()):
        with pytest.raises(Malformed):
            read(ours(body=body), body=body)


@given(
    st.dictionaries(st.sampled_from(["signature", "signature-input", "content-digest"]), st.text(max_size=80))
)
def test_no_header_makes_anything_but_a_named_refusal(change: dict[str, str]) -> None:
    code = "good"
    try:
        assert stands(read({**ours(), **change}).verified(PUBLIC), PUBLIC)
    except ExchangeError as refused:
        code = refused.code
    assert code in ("good", "signature.form", "signature.unverified")


@given(st.data())
def test_a_record_of_a_signature_stands_only_as_it_was_made(data: st.DataObject) -> None:
    text = read(ours()).verified(PUBLIC)
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.characters(max_codepoint=127)) + text[at + 1 :]
    said, now = orjson.loads(text), None
    try:
        now = orjson.loads(changed)
    except ValueError:
        assert not stands(changed, PUBLIC)
    if isinstance(now, dict) and {k: now.get(k) for k in said} != said and now.get("key") == said["key"]:
        assert not stands(changed, PUBLIC)
