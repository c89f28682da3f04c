"""The codes of organisations and their check characters: GB 32100 in China, the LEI of ISO 17442 abroad. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from exchange.errors import Unprocessable

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_LEI = re.compile(r"[0-9A-Z]{18}[0-9]{2}")


def uscc_check_character(first: str) -> str:
    """The 18th character behind the first 17 of a unified social credit code (GB 32100-2015, mod 31)."""
    total = sum(_ALPHABET.index(c) * w for c, w in zip(first, _WEIGHTS, strict=True))
    return _ALPHABET[-total % 31]


def check_code(code: str, forms: Sequence[str]) -> None:
    """Refuse what is no code of an organisation; 20 characters are meant as an LEI, where `forms` has `lei`."""
    if len(code) == 20 and "lei" in forms:
        check_lei(code)
    else:
        check_uscc(code)


def check_uscc(code: str) -> None:
    """Refuse a unified social credit code whose form or check character is wrong (GB 32100-2015)."""
    formed = len(code) == 18 and all(c in _ALPHABET for c in code)
    if not formed or uscc_check_character(code[:17]) != code[17]:
        raise Unprocessable(
            "party.uscc",
            f"{code!r} is no unified social credit code",
            field="uscc",
            rule="GB 32100-2015: 18 characters without I, O, S, V, Z; the last one is the check character",
            remedy="copy the code from the registration certificate",
        )


def check_lei(code: str) -> None:
    """Refuse a legal entity identifier whose form or check digits are wrong (ISO 17442-1, ISO/IEC 7064 MOD 97-10)."""
    if not _LEI.fullmatch(code) or int("".join(str(int(c, 36)) for c in code)) % 97 != 1:
        raise Unprocessable(
            "party.lei",
            f"{code!r} is no legal entity identifier",
            field="uscc",
            rule="ISO 17442-1: 18 letters and digits and two check digits",
            remedy="copy the code from the global LEI index",
        )
