"""A person asks whether a record about them is inside: the question sealed to the department, looked up there, the answer sealed back.

Neither crosses in clear: a question is sealed to the department's key and an answer to a key that the person made for it (X25519 and
XSalsa20-Poly1305, libsodium's sealed box), each padded to whole blocks, so that no length tells a yes from a no. Pure.
"""

from __future__ import annotations

import json
import unicodedata
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from exchange.errors import Malformed

BLOCK_BYTES: Final = 1024
SEALED_CHARACTERS: Final = 8192
"""At most so long is what is sealed, in base64."""

NAME: Final = "person_name"
"""The one kind that alone tells nobody from a namesake."""

IDENTIFIERS: Final = (
    NAME, "resident_id", "mobile", "email", "passport", "person_identifier", "bank_card", "plate", "landline",
)  # fmt: skip
"""What a person may be looked up by, as `scan` calls what it finds in a column."""

Found = Literal["yes", "no", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class Question:
    """Whether an asset's raw table has somebody with these identifiers; `reply_to` is the key that the answer is sealed to."""

    asset: str
    identifiers: Mapping[str, str]
    reply_to: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The department's answer to one inquiry, and what follows from it."""

    inquiry: str
    asset: str
    found: Found
    consequence: str


def public_of(private: bytes) -> str:
    """The public half of a key of 32 bytes, in hex."""
    return bytes(PrivateKey(private).public_key).hex()


def seal(said: Question | Reply, public: str) -> str:
    """Seal to a public key, in base64; Malformed where it is no key or too much is said."""
    text = json.dumps(asdict(said), ensure_ascii=False, sort_keys=True).encode()
    padded = text + b" " * (-len(text) % BLOCK_BYTES)
    try:
        sealed = b64encode(SealedBox(PublicKey(bytes.fromhex(public))).encrypt(padded)).decode()
    except (CryptoError, ValueError, TypeError) as error:
        raise _malformed("public", "this is no X25519 key", "a key is 32 bytes in hex") from error
    if len(sealed) > SEALED_CHARACTERS:
        raise _malformed("text", f"{len(text)} bytes", f"at most {SEALED_CHARACTERS} characters sealed")
    return sealed


def open_question(sealed: str, private: bytes) -> Question:
    """Open a question; Malformed where it was sealed to another key, altered, or asks nothing that can be looked up."""
    said = _opened(sealed, private)
    try:
        identifiers = {str(kind): str(value) for kind, value in said["identifiers"].items()}
        question = Question(str(said["asset"]), identifiers, str(said["reply_to"]))
        PublicKey(bytes.fromhex(question.reply_to))
    except (KeyError, AttributeError, ValueError, TypeError, CryptoError) as error:
        raise _malformed("question", "it asks nothing", "asset, identifiers and reply_to") from error
    return question


def open_reply(sealed: str, private: bytes, inquiry: str) -> Reply:
    """Open the answer to one's own question; Malformed where it is to another, or not sealed to this key."""
    said = _opened(sealed, private)
    if said.get("inquiry") != inquiry or said.get("found") not in ("yes", "no", "cannot_tell"):
        raise _malformed("answer", "it answers another question", f"the answer to {inquiry}")
    return Reply(inquiry, str(said.get("asset")), said["found"], str(said.get("consequence")))


def _opened(sealed: str, private: bytes) -> dict[str, Any]:
    try:
        said = json.loads(SealedBox(PrivateKey(private)).decrypt(b64decode(sealed, validate=True)))
    except (CryptoError, NoBase64, ValueError, TypeError) as error:
        raise _malformed(
            "sealed", "it does not open with this key", "what was sealed to this key, unaltered"
        ) from error
    if not isinstance(said, dict):
        raise _malformed("sealed", "it says nothing", "a JSON object")
    return said


def _malformed(field: str, detail: str, rule: str) -> Malformed:
    return Malformed(
        f"inquiry.{field}",
        detail,
        field=field,
        rule=rule,
        remedy="use the file and the key as they were made",
    )


def check_identifiers(identifiers: Mapping[str, str]) -> None:
    """Malformed where there is nothing to be looked up by."""
    wrong = [kind for kind, value in identifiers.items() if kind not in IDENTIFIERS or not plain(value)]
    if wrong or not identifiers:
        raise _malformed(
            "identifiers",
            f"{', '.join(wrong) or 'none'}",
            f"one or more of {', '.join(IDENTIFIERS)}, not empty",
        )


def plain(value: str) -> str:
    """An identifier as it is compared: without what people write differently (width, case, spaces, hyphens)."""
    folded = unicodedata.normalize("NFKC", value).casefold()
    return "".join(c for c in folded if not c.isspace() and c not in "-‐‑–")


def look_up(
    questions: Sequence[Mapping[str, str]],
    columns: Mapping[str, str],
    batches: Iterable[Any],
    progress: Callable[[int], None] = lambda rows: None,
) -> list[Found]:
    """Whether a table, read once as record batches, has each of those asked for; `columns` says which column is of which kind.

    Yes: a row has one of the identifiers, and no other name. No: no row has any that the table keeps. Otherwise it cannot be told:
    the table keeps none of the identifiers, the name beside one is another, or there is a name alone and somebody has it.
    """
    asked = [{kind: plain(value) for kind, value in one.items() if kind in columns} for one in questions]
    wanted: dict[str, dict[str, list[int]]] = {}
    for at, one in enumerate(asked):
        for kind, value in one.items():
            wanted.setdefault(kind, {}).setdefault(value, []).append(at)
    sure, doubtful = set[int](), set[int]()
    for batch in batches:
        names = _values(batch, columns[NAME]) if NAME in wanted else []
        for kind, of in wanted.items():
            for row, value in enumerate(names if kind == NAME else _values(batch, columns[kind])):
                for at in of.get(value, ()):
                    alike = NAME not in asked[at] or names[row] == asked[at][NAME]
                    (sure if kind != NAME and alike else doubtful).add(at)
        progress(batch.num_rows)
    return [
        "yes" if at in sure else "cannot_tell" if at in doubtful or not one else "no"
        for at, one in enumerate(asked)
    ]


def _values(batch: Any, column: str) -> list[str]:
    return ["" if value is None else plain(str(value)) for value in batch.column(column).to_pylist()]


CONSEQUENCES: Final[Mapping[Found, str]] = {
    "yes": (
        "原始数据中有您的记录;售出的是去标识化的产品。您可凭本回复向本部门请求查阅、复制、更正或删除(个人信息保护法第四十五至四十七条)。"
        " A record about you is in the raw table; what is sold is de-identified. With this answer you may ask the department for access,"
        " a copy, correction or deletion (Personal Information Protection Law, arts. 45-47)."
    ),
    "no": (
        "按您提供的标识,原始数据中没有您的记录。 By the identifiers that you gave, no record about you is in the raw table."
    ),
    "cannot_tell": (
        "按您提供的标识无法判断,或身份未经核验;请携身份证件到本部门窗口,并出示查询编号。"
        " It cannot be told by what you gave, or your identity was not shown: come to the department's counter with an identity"
        " document and the number of this inquiry."
    ),
}
"""What follows from an answer, in both languages."""
