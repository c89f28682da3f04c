"""What a text is found by: Chinese cut into words, other words cut at what is neither letter nor digit and in the singular.

Chinese is cut by jieba's dictionary (rjieba, the maintained binding of jieba-rs, MIT): every word of a text, and the words
within it that a reader may look for, so that 公共交通 is found by 交通. Latin text is folded by Unicode (NFKC, without
case) and freed of the plural by the S stemmer (Harman, "How effective is suffixing?", JASIS 42(1), 1991). The same cut
serves what is kept and what is asked, so nothing depends on a server's text search configuration ('simple').
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

LEXEME_CHARACTERS: Final = 64
"""Longer ones are cut off; a server takes 2,046 bytes at most."""
ASKED_LIMIT: Final = 16
"""Words of one question that count."""

_HAN: Final = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUNS: Final = re.compile(f"([{_HAN}]+)|((?:(?![{_HAN}])[^\\W_])+)")
_IDLE: Final = frozenset(
    {
        "的",
        "了",
        "和",
        "与",
        "及",
        "或",
        "之",
        "等",
        "a",
        "an",
        "and",
        "by",
        "for",
        "in",
        "of",
        "on",
        "or",
        "the",
        "to",
    }
)
"""Words that nearly every text has."""


def lexemes(*texts: str) -> list[str]:
    """The distinct words that texts are found by, sorted: of any text, none where it has neither letters nor digits."""
    found: set[str] = set()
    for text in texts:
        for han, other in _runs(text):
            if han:
                found.update(_cut(han))
            else:
                found.add(_singular(other))
    return sorted(word[:LEXEME_CHARACTERS] for word in found - _IDLE)


def characters(text: str) -> set[str]:
    """The single Chinese characters of a text, for whoever asks for one alone."""
    return {character for han, _ in _runs(text) for character in han}


def tsquery(text: str) -> str | None:
    """What a reader typed, as PostgreSQL's `tsquery`: every word has to be there, the last Latin one may be unfinished.

    None where the text asks for nothing that could be found.
    """
    runs = _runs(text)
    asked: dict[str, bool] = {}
    for at, (han, other) in enumerate(runs):
        words = _asked(han) if han else [_singular(other)]
        for word in words:
            unfinished = not han and at == len(runs) - 1
            if word not in _IDLE:
                asked[word[:LEXEME_CHARACTERS]] = unfinished
    # A lexeme of ours holds letters and digits alone: nothing in it could be an operator.
    return (
        " & ".join(f"'{word}'{':*' if more else ''}" for word, more in list(asked.items())[:ASKED_LIMIT])
        or None
    )


def _runs(text: str) -> list[tuple[str, str]]:
    return _RUNS.findall(unicodedata.normalize("NFKC", text).casefold())


def _cut(han: str) -> Iterable[str]:
    import rjieba  # its dictionary takes a tenth of a second, which only who writes or searches has to spend

    words: list[str] = rjieba.cut_for_search(han, True)
    return words


def _asked(han: str) -> list[str]:
    """The words of a question, long ones by their parts where these make them up: 气象观测 is 气象 and 观测."""
    import rjieba

    asked: list[str] = []
    for word in rjieba.cut(han, True):
        parts = [part for part in rjieba.cut_for_search(word, True) if part != word]
        asked += parts if "".join(parts) == word else [word]
    return asked


def _singular(word: str) -> str:
    if not word.isascii() or len(word) < 4:
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    if word.endswith("s") and not word.endswith(("us", "ss")):
        return word[:-1]
    return word
