"""The page of a scan says all that the scan found, in both languages, needs nothing else, and lets no column's name be markup."""

from __future__ import annotations

import re
import tomllib
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.desensitization.department import Scan, scan
from exchange.desensitization.pictures import (
    Bar,
    Pair,
    Point,
    before_and_after,
    loss_against_risk,
    loss_by_column,
    percent,
    short,
)
from exchange.desensitization.policy.declaration import load
from exchange.desensitization.reading.limits import Limits
from exchange.desensitization.report import html, technique_words, word

HOSTILE = "<script>alert('x')</script>&\""
VOID = {"meta", "link", "br", "img", "hr"}


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    raw = tmp_path_factory.mktemp("department") / "raw.csv"
    rows = "\n".join(
        f"王{'芳伟娜敏'[n % 4]}{'静丽强'[n % 3]},{20 + n * 7 % 60},{'男女'[n % 2]},{['流感', '胃炎', '骨折'][n * n % 3]},c{n % 2},{n % 9}"
        for n in range(240)
    )
    header = HOSTILE.replace('"', '""')
    raw.write_text(f'姓名,年龄,性别,诊断,客户名单,"{header}"\n{rows}\n')
    declared = load(
        "[requirements]\nk = 3\nsuppression_limit_ppm = 100000\n"
        "[[requirements.privacy]]\nmodel = 't_closeness'\ncolumn = '诊断'\nt = 0.5\n"
        "[[requirements.privacy]]\nmodel = 'average_risk'\nat_most_ppm = 200000\n"
    )
    return scan(raw, declared, bytes(32), Limits())


class Reader(HTMLParser):
    """Texts of a page by the article they stand in; every tag closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.texts: dict[str, list[str]] = {"zh": [], "en": []}
        self.article = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "article":
            self.article = dict(attrs)["id"] or ""
        if tag not in VOID:
            self.open.append(tag)
        assert not {name for name, _ in attrs} & {"onclick", "onload", "src"}

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.article:
            self.texts[self.article].append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_the_page_is_whole_needs_nothing_else_and_takes_no_name_for_markup(scanned: Scan) -> None:
    page = html(scanned.report)
    found = read(page)
    assert not found.tags & {"script", "link", "img", "iframe"}
    assert "http" not in page.replace("http-equiv", "")
    assert "@import" not in page
    assert HOSTILE not in page
    for language in ("zh", "en"):
        assert HOSTILE in found.texts[language]
    for picture in re.findall("<svg.*?</svg>", page):
        ElementTree.fromstring(picture)  # our own
    assert page.count("<svg") == 6


def test_both_languages_say_what_was_found_asked_and_lost(scanned: Scan) -> None:
    texts = {language: " ".join(said) for language, said in read(html(scanned.report)).texts.items()}
    report = scanned.report
    for language in ("zh", "en"):
        text = texts[language]
        for said in (
            report["policy_digest"],
            report["raw"]["digest"],
            report["engine"],
            percent(report["before"]["prosecutor_ppm"]),
            percent(report["after"]["marketer_ppm"]),
            report["utility"]["value"][0],
            "t = 0.5",
            "≤ 20 %",
        ):
            assert said in text
    for zh, en in (
        ("姓名", "person's name"),
        ("直接标识符", "direct identifier"),
        ("可逆性", "reversibility"),
        ("商业秘密字样", "words of trade secrecy"),
        ("240 行，6 列", "240 rows, 6 columns"),
        ("（待评估人说明）", "(left to the assessor)"),
        ("风险与效用", "Risk against utility"),
        ("t 接近性", "t-closeness"),
        ("等距", "equal distances"),
    ):
        assert zh in texts["zh"]
        assert en in texts["en"]
        if en not in ("person's name",):
            assert en not in texts["zh"]


def test_every_word_stands_in_both_languages() -> None:
    words: dict[str, Any] = tomllib.loads(
        resources.files("exchange.desensitization").joinpath("words.toml").read_text(encoding="utf-8")
    )
    for name, said in words.items():
        assert set(said) == {"zh", "en"}, name
        assert re.search("[\u4e00-\u9fff]", said["zh"]), name
        assert not re.search("[\u4e00-\u9fff]", said["en"].replace("文", "")), name
        assert set(re.findall("{[a-z]+}", said["zh"])) == set(re.findall("{[a-z]+}", said["en"])), name


def test_a_technique_says_how_far_it_generalizes() -> None:
    interval = {"kind": "interval", "widths": ["5", "10"]}
    said = technique_words({"name": "generalize", "level": "2", "hierarchy": interval}, "en")
    assert said == "generalize: intervals of 10"
    dates = {"kind": "date", "steps": ["month", "year"]}
    assert technique_words({"name": "generalize", "level": "1", "hierarchy": dates}, "zh") == "泛化：月"
    assert technique_words({"name": "generalize", "level": "3", "hierarchy": dates}, "zh") == "泛化"
    assert technique_words({"name": "tokenize"}, "zh") == word("tokenize", "zh")


shares = st.integers(0, 1_000_000)
labels = st.text(st.characters(exclude_categories=["C"]), max_size=40)


def numbers(picture: str, attribute: str) -> list[float]:
    return [float(found) for found in re.findall(f" {attribute}='(-?[0-9.]+)'", picture)]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.builds(Pair, labels, shares, shares), min_size=1, max_size=5),
    st.lists(st.builds(Bar, labels, labels, shares, st.booleans()), min_size=1, max_size=5),
    st.lists(
        st.builds(Point, shares, st.floats(0, 1e12), labels, labels, st.booleans(), st.booleans()),
        min_size=1,
        max_size=9,
    ),
)
def test_pictures_are_whole_and_stay_within_their_frame(
    pairs: list[Pair], bars: list[Bar], points: list[Point]
) -> None:
    for picture in (
        before_and_after(pairs, "t", "before", "after"),
        loss_by_column(bars, "t"),
        loss_against_risk(points, "t", "risk", "loss"),
    ):
        root = ElementTree.fromstring(picture)  # our own
        width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
        for attribute, most in (
            ("cx", width),
            ("cy", height),
            ("width", width),
            ("x1", width),
            ("y2", height),
        ):
            assert all(0 <= found <= most for found in numbers(picture, attribute))
    widths = numbers(before_and_after([Pair("a", 1_000_000, 500_000)], "t", "b", "a"), "width")
    assert widths[-2] == pytest.approx(2 * widths[-1], abs=0.2)


@given(labels, st.integers(2, 30))
def test_a_label_is_cut_to_its_room_and_never_longer(text: str, units: int) -> None:
    cut = short(text, units)
    assert cut == text or cut.endswith("…")
    assert len(cut) <= units


def test_a_page_without_persons_claims_the_exemption_and_shows_no_risk(tmp_path: Path) -> None:
    raw = tmp_path / "counts.csv"
    raw.write_text("street,cars\n" + "".join(f"s{n % 3},{n % 2}\n" for n in range(40)))
    page = html(scan(raw, load(""), bytes(32), Limits()).report)
    assert word("exempt", "zh") in page
    assert word("risk", "en") not in page
    read(page)
