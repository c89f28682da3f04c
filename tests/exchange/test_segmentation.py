"""Words are found again: what a reader types is cut as what departments wrote."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.segmentation import ASKED_LIMIT, LEXEME_CHARACTERS, characters, lexemes, tsquery

WORDS = st.sampled_from(
    [
        "公共交通",
        "气象观测",
        "自来水水质",
        "12345热线",
        "hospital",
        "visits",
        "黔东南",
        "不动产登记",
        "的",
        "100%",
        "ＡＢＣ",
        "·",
    ]
)


OPERATORS = re.compile(r"['\\\s:&|!()<>*\x00]")


def finds(asked: str, written: str) -> bool:
    """What the server does with a query and the words of a text."""
    query, words = tsquery(asked), {*lexemes(written), *characters(written)}
    if query is None:
        return False
    found = re.findall(r"'(\w+)'(:\*)?", query)
    return all(any(word.startswith(one) if more else word == one for word in words) for one, more in found)


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("交通", "广州市公共交通客流统计"),
        ("公共交通", "公共交通客流"),
        ("气象观测", "气象站观测数据"),
        ("水", "自来水水质"),
        ("医院 统计", "南京市医院住院人次统计"),
        ("Hospital visit", "hospitals: VISITS of 2025"),
        ("hospit", "Hospital"),
        ("city", "Statistics of cities"),
        ("ｈｏｓｐｉｔａｌ", "hospital"),
        ("2025年", "2025年度统计"),
    ],
)
def test_a_reader_finds_what_is_written_otherwise(asked: str, written: str) -> None:
    assert finds(asked, written)


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("京大", "北京大学"),
        ("气象", "港口吞吐量"),
        ("hospital", "hotel"),
        ("visits 2024", "visits of 2025"),
        ("vis it", "visit"),
    ],
)
def test_a_reader_is_not_shown_what_only_looks_alike(asked: str, written: str) -> None:
    assert not finds(asked, written)


@pytest.mark.parametrize("idle", ["", "   ", "的", "%%", "' & | ! ( ) :*", "the of", "\x00"])
def test_a_question_without_a_word_asks_for_nothing(idle: str) -> None:
    assert tsquery(idle) is None


@given(st.lists(WORDS, min_size=1, max_size=6).map("".join) | st.text(max_size=80))
def test_every_text_is_found_by_itself(text: str) -> None:
    assert tsquery(text) is None or finds(text, text)


@given(st.text(max_size=400))
def test_no_text_makes_an_operator_or_a_word_that_a_server_would_not_take(text: str) -> None:
    for word in lexemes(text):
        assert not OPERATORS.search(word)
        assert 0 < len(word) <= LEXEME_CHARACTERS
    query = tsquery(text) or "'a'"
    assert not OPERATORS.search(re.sub(r"'(:\*)?( & |$)", "", query).replace("'", ""))
    assert query.count("&") < ASKED_LIMIT
