"""Shamir's secret sharing over bytes, and the sheet of paper that carries one share.

Pure. Each byte of the secret is the value at 0 of a polynomial of degree `threshold` - 1 over GF(2⁸) (the field of
FIPS 197, x⁸ + x⁴ + x³ + x + 1) whose other coefficients are drawn at random; share n holds its values at n. Any
`threshold` shares give the secret, and fewer say nothing at all of it (A. Shamir: How to Share a Secret, Communications
of the ACM 22, 1979).

On paper a share is base32 (RFC 4648) in groups of four with a check group at the end of each line, so that a slip of the
pen is found and named where it was made. What is shared is a digest of the secret, its length, the secret, and zeros up
to a whole group: shares that are each whole and do not belong together give nothing instead of something wrong.
"""

from __future__ import annotations

import re
from base64 import b32decode, b32encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import combinations
from typing import Final

from exchange.errors import Malformed

SHARES_LIMIT: Final = 16
"""The most shares of one secret: more officers than will ever be asked, few enough to try every choice of them."""

SET_BYTES: Final = 8

_DIGEST_BYTES: Final = 16
_LENGTH_BYTES: Final = 2
_GROUP_BYTES: Final = 5  # eight letters
_LINE_BYTES: Final = 20
_CHECK: Final = 4
_HEAD: Final = re.compile(r"^(set|share|key)\s+(.*?)\s*$", re.MULTILINE)
_COUNT: Final = re.compile(r"(\d{1,2}) of (\d{1,2}), any (\d{1,2}) together")


def _tables() -> tuple[list[int], list[int]]:
    """Powers of the generator 3, and the logarithm of each byte but 0."""
    powers, logarithms, value = [0] * 510, [0] * 256, 1
    for exponent in range(255):
        powers[exponent] = powers[exponent + 255] = value
        logarithms[value] = exponent
        doubled = value << 1 ^ (0x11B if value & 0x80 else 0)
        value ^= doubled
    return powers, logarithms


_POWER, _LOG = _tables()


@dataclass(frozen=True, slots=True)
class Share:
    """One officer's share: of which set (eight random bytes), which of how many, and how many are needed.

    `key` names in public what the secret opens, such as a verifier key, so that the sheet is filed where it belongs.
    """

    set_id: bytes
    number: int
    count: int
    threshold: int
    key: str
    values: bytes = field(repr=False)

    def text(self) -> str:
        """The sheet to print, in Chinese and English."""
        lines = [self.values[at : at + _LINE_BYTES] for at in range(0, len(self.values), _LINE_BYTES)]
        return "\n".join(
            (
                "数据资产交易所 · 私钥分片    Data-asset exchange: a share of the private keys",
                "",
                f"共 {self.count} 份,任意 {self.threshold} 份合在一起可恢复全部私钥;少于 {self.threshold} 份得不到任何信息。",
                "请打印或抄写,单独密封保管,不要拍照、不要联网存放;恢复时交给运行 exchange keys join 的人。",
                f"There are {self.count} shares; any {self.threshold} together recover all private keys, fewer say nothing.",
                "Print or copy it by hand, seal it and keep it alone, off every network; when keys are to be",
                "recovered, bring it to whoever runs exchange keys join.",
                "",
                f"key      {self.key}",
                f"set      {self.set_id.hex()}",
                f"share    {self.number} of {self.count}, any {self.threshold} together",
                "",
                *(
                    f"{_grouped(b32encode(line).decode().rstrip('='))}  {self._check(number, line)}"
                    for number, line in enumerate(lines, start=1)
                ),
                f"END {self._check(0, self.values)}",
                "",
            )
        )

    def _check(self, number: int, line: bytes) -> str:
        """The check group of a line, or (line 0) of the whole sheet."""
        bound = f"{self.number} {self.count} {self.threshold} {number} {self.key}\n".encode()
        return b32encode(sha256(self.set_id + bound + line).digest()).decode()[:_CHECK]


def split(
    secret: bytes, *, count: int, threshold: int, set_id: bytes, key: str, draw: Callable[[int], bytes]
) -> list[Share]:
    """Share a secret among `count`, any `threshold` of whom can recover it.

    `draw(n)` gives n fresh bytes of the system's random source, on which all secrecy rests. Raises `Malformed` where the
    numbers make no sense.
    """
    if not 2 <= threshold <= count <= SHARES_LIMIT:
        raise Malformed(
            "shares.numbers",
            f"{threshold} of {count} shares",
            field="--threshold",
            rule=f"at least two shares are needed, and at most {SHARES_LIMIT} are made",
            remedy="such as --shares 5 --threshold 3",
        )
    if not 1 <= len(secret) <= 4096 or not key.isprintable() or key != key.strip():
        raise Malformed(
            "shares.secret",
            f"{len(secret)} bytes under the name {key!r}",
            field="secret",
            rule="a secret has 1 to 4,096 bytes and a printable name",
            remedy="name the keys directory of an exchange that was opened",
        )
    shared = sha256(secret).digest()[:_DIGEST_BYTES] + len(secret).to_bytes(_LENGTH_BYTES) + secret
    shared += bytes(-len(shared) % _GROUP_BYTES)
    return [
        Share(set_id, number, count, threshold, key, values)
        for number, values in enumerate(share_bytes(shared, count, threshold, draw), start=1)
    ]


def share_bytes(shared: bytes, count: int, threshold: int, draw: Callable[[int], bytes]) -> list[bytes]:
    """The values at 1 to `count` of one random polynomial of degree `threshold` - 1 a byte."""
    coefficients = [shared, *(draw(len(shared)) for _ in range(threshold - 1))]
    return [
        bytes(_value([c[at] for c in coefficients], number) for at in range(len(shared)))
        for number in range(1, count + 1)
    ]


def join(shares: Sequence[Share]) -> bytes:
    """The secret that these shares give; of more than are needed all have to agree.

    Raises `Malformed` naming what does not belong: another set, the same share twice, too few, or a share that is
    not the one which was handed out.
    """
    if not shares:
        raise _wrong("shares.few", "no share was given", "bring as many shares as the sheets say")
    first = shares[0]
    for share in shares:
        if (share.set_id, share.count, share.threshold, share.key, len(share.values)) != (
            first.set_id,
            first.count,
            first.threshold,
            first.key,
            len(first.values),
        ):
            raise _wrong(
                "shares.mixed",
                f"share {share.number} is of set {share.set_id.hex()}, share {first.number} of set {first.set_id.hex()}",
                "bring shares that were made together: the sheets name their set",
            )
    numbers = [share.number for share in shares]
    for number in numbers:
        if numbers.count(number) > 1:
            raise _wrong("shares.twice", f"share {number} was given twice", "bring each share once")
    if len(shares) < first.threshold:
        raise _wrong(
            "shares.few",
            f"{len(shares)} of {first.threshold} shares",
            f"bring {first.threshold - len(shares)} more of set {first.set_id.hex()}",
        )
    for chosen in combinations(shares, first.threshold):
        shared = _at(chosen, 0)
        start = _DIGEST_BYTES + _LENGTH_BYTES
        secret = shared[start : start + int.from_bytes(shared[_DIGEST_BYTES:start])]
        if sha256(secret).digest()[:_DIGEST_BYTES] != shared[:_DIGEST_BYTES]:
            continue
        strange = [str(share.number) for share in shares if _at(chosen, share.number) != share.values]
        if strange:
            raise _wrong(
                "shares.altered",
                f"share {', '.join(strange)} is not what was handed out",
                "leave it out, and ask its officer how that came about",
            )
        return secret
    raise _wrong(
        "shares.altered",
        "these shares do not give a secret: at least one is not what was handed out",
        "bring one more share: with it the altered one can be named",
    )


def parse(text: str, source: str) -> Share:
    """Read a sheet, typed or printed, in upper or lower case; `source` names it in errors.

    Raises `Malformed` naming the line that is damaged.
    """
    lines = [line.strip() for line in text.splitlines()]
    head = dict(_HEAD.findall("\n".join(lines)))
    counts = _COUNT.fullmatch(head.get("share", ""))
    if counts is None or not re.fullmatch(r"[0-9a-f]{16}", head.get("set", "")) or "key" not in head:
        raise _damaged(source, "it has no lines `key`, `set` and `share` as a sheet has them")
    number, count, threshold = map(int, counts.groups())
    if not (1 <= number <= count <= SHARES_LIMIT and 2 <= threshold <= count):
        raise _damaged(source, "its line `share` makes no sense")
    empty = Share(bytes.fromhex(head["set"]), number, count, threshold, head["key"], b"")
    values = b""
    body = [
        line.upper()
        for line in lines[1 + max(n for n, line in enumerate(lines) if _HEAD.match(line)) :]
        if line
    ]
    for line_number, line in enumerate(body, start=1):
        letters = "".join(line.split())
        if line.split()[0] == "END":
            if letters != f"END{empty._check(0, values)}" or not values or line_number != len(body):
                raise _damaged(source, "a line is missing, doubled or moved")
            return Share(empty.set_id, number, count, threshold, empty.key, values)
        data = _decoded(letters[:-_CHECK])
        if data is None or empty._check(line_number, data) != letters[-_CHECK:]:
            raise _damaged(source, f"line {line_number} of its letters is not what was printed")
        values += data
    raise _damaged(source, "its last line, END, is missing")


def _value(coefficients: Sequence[int], at: int) -> int:
    """The polynomial's value (Horner), lowest coefficient first; `at` is not 0."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (_POWER[_LOG[value] + _LOG[at]] if value else 0) ^ coefficient
    return value


def _at(shares: Sequence[Share], place: int) -> bytes:
    """The value at `place` of the polynomials of least degree through these shares (Lagrange)."""
    result = bytearray(len(shares[0].values))
    for share in shares:
        others = [other.number for other in shares if other is not share]
        if place in others:  # there this share weighs nothing
            continue
        weight = sum(_LOG[place ^ other] - _LOG[share.number ^ other] for other in others) % 255
        for at, value in enumerate(share.values):
            if value:
                result[at] ^= _POWER[_LOG[value] + weight]
    return bytes(result)


def _grouped(letters: str) -> str:
    return " ".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def _decoded(letters: str) -> bytes | None:
    try:
        data = b32decode(letters + "=" * (-len(letters) % 8))
    except ValueError:
        return None
    return data if b32encode(data).decode().rstrip("=") == letters else None


def _damaged(source: str, detail: str) -> Malformed:
    return Malformed(
        "shares.damaged",
        f"{source} cannot be read: {detail}",
        field=source,
        rule="each line of a sheet ends with a check group of its own",
        remedy="compare it with the paper, letter by letter; there is no 0, 1, 8 or 9 in it",
    )


def _wrong(code: str, detail: str, remedy: str) -> Malformed:
    return Malformed(
        code,
        detail,
        field="shares",
        rule="keys come back from as many different shares of one set as its sheets say",
        remedy=remedy,
    )
