"""Names that cannot be taken for another's: scripts that are written together, and what a name looks like. Pure.

The tables are Unicode's (UTS #39, Unicode Security Mechanisms), as the package `confusable-homoglyphs` keeps them.
"""

from __future__ import annotations

import unicodedata

from exchange.errors import Unprocessable
from exchange.parties.forms import check_name

_TOGETHER = (
    {"LATIN", "HAN", "HIRAGANA", "KATAKANA"},
    {"LATIN", "HAN", "BOPOMOFO"},
    {"LATIN", "HAN", "HANGUL"},
)
"""Scripts that one name may mix: UTS #39, section 5.2, "highly restrictive"."""

_ANY = {"COMMON", "INHERITED"}


def check_own_name(field: str, text: str) -> None:
    """Refuse as a name what `check_name` refuses, and letters of scripts that nobody writes together, as Latin and Cyrillic."""
    check_name(field, text)
    from confusable_homoglyphs import categories  # reads a large table, once

    scripts = set(categories.unique_aliases(unicodedata.normalize("NFKC", text))) - _ANY
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        raise Unprocessable(
            "name.scripts",
            f"{field} has letters of {', '.join(sorted(scripts))}",
            field=field,
            rule="one script, or Latin with Chinese, Japanese or Korean (UTS #39, section 5.2)",
            remedy="type the name anew, in the letters of its own script",
        )


def looks(text: str) -> str:
    """The same for all names that look alike (UTS #39, section 4, "skeleton"), whatever their width, case and spaces."""
    from confusable_homoglyphs.confusables import confusables_data

    def prototype(letter: str) -> str:
        alike = [each["c"] for each in confusables_data.get(letter, ())]
        if len(alike) != 1:  # several look like a prototype, and each of them like it alone
            return letter
        other: str = alike[0]
        return other if len(confusables_data.get(other, ())) > 1 else min(letter, other)

    flat = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text))
    seen = "".join(map(prototype, "".join(flat.split()))).casefold()
    return unicodedata.normalize("NFC", "".join(map(prototype, seen)))
