"""Vectorised tests of distinct values: which have the form of an identifier, and which pass its checksum.

Every function takes an Arrow array of distinct texts without NULL and answers a `Trial`. Where random
characters pass a checksum by chance, `chance_ppm` says how often, and `p_exponent` bounds the probability
that so many passed by chance alone; a column is recognised by that, not by single hits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from exchange.desensitization.detection.lexicon import COMPOUND_SURNAMES, FAMILY_NAMES, GIVEN_NAMES, SURNAMES

Bytes = npt.NDArray[np.uint8]

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Trial:
    """`checked` values had the form, `matched` of them passed, out of `values` distinct ones."""

    values: int
    checked: int
    matched: int
    chance_ppm: int | None = None

    @property
    def rate(self) -> float:
        """Passed among those of the form."""
        return self.matched / self.checked if self.checked else 0.0

    @property
    def share(self) -> float:
        """Passed among all distinct values."""
        return self.matched / self.values if self.values else 0.0

    @property
    def p_exponent(self) -> int | None:
        """The probability of at least so many passes by chance is at most 10**p_exponent.

        Chernoff's bound on the binomial tail, exp(-n KL(matched/n ‖ chance)): never too small.
        """
        if self.chance_ppm is None:
            return None
        chance = self.chance_ppm / MILLION
        if not self.checked or self.rate <= chance:
            return 0
        divergence = self.rate * math.log(self.rate / chance)
        if self.rate < 1:
            divergence += (1 - self.rate) * math.log((1 - self.rate) / (1 - chance))
        return math.ceil(-self.checked * divergence / math.log(10))

    @property
    def beyond_chance(self) -> bool:
        """Passes at least twice as often as chance would, with a probability of at most one in a million."""
        if self.chance_ppm is None or self.p_exponent is None:
            return False
        return self.p_exponent <= -6 and self.rate * MILLION >= 2 * self.chance_ppm


def resident_id(values: Any) -> Trial:
    """GB 11643-1999: region, plausible birth date, sequence, check character of ISO 7064 MOD 11-2."""
    checked = matched = 0
    for codes in _blocks(values, 18):
        digits = codes - _ZERO
        fits = (digits[:17] <= 9).all(axis=0)
        last = np.where((codes[17] | 32) == ord("x"), np.uint8(10), digits[17])
        year = (
            digits[6] * np.uint16(1000) + digits[7] * np.uint16(100) + digits[8] * np.uint16(10) + digits[9]
        )
        # Wrong characters wrap around within a byte: the masks keep them out, the tables take any byte.
        month, day = digits[10] * np.uint8(10) + digits[11], digits[12] * np.uint8(10) + digits[13]
        leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
        longest = _LONGEST[month] + (leap & (month == 2))
        fits &= _PROVINCE[digits[0] * np.uint8(10) + digits[1]] & (last <= 10)
        fits &= (year >= 1900) & (year <= 2099) & (day >= 1) & (day <= longest)
        # 2^(17-place) mod 11 over the first 17 digits; the check character brings the sum to 1.
        total = last.astype(np.uint16)
        for place in range(17):
            total += digits[place] * np.uint16(pow(2, 17 - place, 11))
        checked += int(np.count_nonzero(fits))
        matched += int(np.count_nonzero(fits & (total % 11 == 1)))
    return Trial(len(values), checked, matched, MILLION // 11)


def social_credit_code(values: Any) -> Trial:
    """GB 32100-2015: 17 characters and a check character modulo 31 (without I, O, S, V, Z)."""
    checked = matched = 0
    for codes in _blocks(values, 18):
        digits = _CREDIT_CODE[codes]
        # Department and kind of body, then six digits of the region.
        fits = (digits <= 30).all(axis=0) & (digits[2:8] <= 9).all(axis=0) & _DEPARTMENT[codes[0]]
        total = digits[17].astype(np.uint16)
        for place in range(17):
            total += digits[place] * np.uint16(pow(3, place, 31))
        checked += int(np.count_nonzero(fits))
        matched += int(np.count_nonzero(fits & (total % 31 == 0)))
    return Trial(len(values), checked, matched, MILLION // 31)


def bank_card(values: Any) -> Trial:
    """ISO/IEC 7812-1: 16 to 19 digits behind an issuer's prefix (UnionPay 62 and 60, Visa 4, Mastercard 5 and 2, JCB 35),
    and Luhn's check digit."""
    bare = values
    if _holds(values, b" -"):
        bare = pc.replace_substring_regex(values, pattern=r"[ -]", replacement="")
    checked = matched = 0
    for width in (16, 17, 18, 19):
        for codes in _blocks(bare, width):
            digits = codes - _ZERO
            fits = (digits <= 9).all(axis=0) & _ISSUER[digits[0] * np.uint8(10) + digits[1]]
            total = np.zeros(codes.shape[1], dtype=np.uint8)  # at most 19 times 9
            for place in range(width):
                # Every second digit from the right, the check digit not counted, is doubled.
                total += digits[place] if (width - place) % 2 else _DOUBLED[digits[place]]
            checked += int(np.count_nonzero(fits))
            matched += int(np.count_nonzero(fits & (total % 10 == 0)))
    return Trial(len(values), checked, matched, MILLION // 10)


def device(values: Any) -> Trial:
    """Numbers of telephones (IMEI, 15 digits, Luhn: 3GPP TS 23.003) and of vehicles (VIN, GB 16735, modulo 11), whichever more have.

    Among IMEIs only those behind an allocated reporting body's prefix count, so that other digits rarely do.
    """
    checked = matched = 0
    for codes in _blocks(values, 15):
        digits = codes - _ZERO
        fits = (digits <= 9).all(axis=0) & _REPORTING_BODY[digits[0] * np.uint8(10) + digits[1]]
        total = np.zeros(codes.shape[1], dtype=np.uint8)
        for place in range(15):
            total += _DOUBLED[digits[place]] if place % 2 else digits[place]
        checked += int(np.count_nonzero(fits))
        matched += int(np.count_nonzero(fits & (total % 10 == 0)))
    telephones = Trial(len(values), checked, matched, MILLION // 10)
    checked = matched = 0
    for codes in _blocks(values, 17):
        worth = _VEHICLE[codes]
        letters = (codes >= ord("A")).sum(axis=0)
        fits = (worth <= 9).all(axis=0) & (letters >= 2) & ((codes[8] == ord("X")) | (codes[8] <= ord("9")))
        total = np.zeros(codes.shape[1], dtype=np.uint16)
        for place, weight in enumerate((8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)):
            total += worth[place] * np.uint16(weight)
        check = np.where(codes[8] == ord("X"), np.uint16(10), codes[8] - _ZERO)
        checked += int(np.count_nonzero(fits))
        matched += int(np.count_nonzero(fits & (total % 11 == check)))
    vehicles = Trial(len(values), checked, matched, MILLION // 11)
    return max(telephones, vehicles, key=lambda tested: tested.matched)


def mobile(values: Any) -> tuple[Trial, int]:
    """Eleven digits whose first three are an assigned segment of the mainland (工信部 号段), and how many segments occur."""
    bare = values
    if _holds(values, b"+ -") or pc.any(pc.starts_with(values, "0086")).as_py():
        bare = pc.replace_substring_regex(values, pattern=r"^(\+86|0086|86-)[ -]?", replacement="")
        bare = pc.replace_substring_regex(bare, pattern=r"[ -]", replacement="")
    checked, seen = 0, np.zeros(1000, dtype=np.int64)
    for codes in _blocks(bare, 11):
        digits = codes - _ZERO
        fits = (digits <= 9).all(axis=0) & (digits[0] != 0)
        segments = digits[0] * np.uint16(100) + digits[1] * np.uint16(10) + digits[2]
        checked += int(np.count_nonzero(fits))
        seen += np.bincount(segments[fits], minlength=1000)
    seen[~_MOBILE_PREFIXES] = 0
    tested = Trial(len(values), checked, int(seen.sum()), _MOBILE_CHANCE)
    return tested, int(np.count_nonzero(seen))


_ZERO = np.uint8(ord("0"))
_BYTE = np.arange(256)
_LONGEST = np.zeros(256, dtype=np.uint8)
_LONGEST[1:13] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
_PROVINCE = np.isin(
    _BYTE,
    [*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66), 71, 81, 82, 83],
)  # fmt: skip
"""GB/T 2260, first two digits; 83 is Taiwan's in residence permits."""
_CREDIT_CODE = np.full(256, 255, dtype=np.uint8)
_CREDIT_CODE[list(b"0123456789ABCDEFGHJKLMNPQRTUWXY")] = np.arange(31)
_DEPARTMENT = np.isin(_BYTE, list(b"123456789ABCDEFGNY"))
_ISSUER = np.isin(_BYTE, [60, 62, *range(40, 50), *range(51, 56), *range(22, 28), 35, *range(90, 100)])
_DOUBLED = np.where(_BYTE < 5, 2 * _BYTE, 2 * _BYTE - 9).astype(np.uint8)
_REPORTING_BODY = np.isin(_BYTE, [1, 10, 30, 33, 35, 44, 45, 49, 50, 51, 52, 53, 54, 86, 91, 98, 99])
"""The first two digits of a Type Allocation Code (GSMA TS.06)."""
_VEHICLE = np.full(256, 255, dtype=np.uint8)
_VEHICLE[list(b"0123456789ABCDEFGHJKLMNPRSTUVWXYZ")] = [
    *range(10),
    *range(1, 9),
    *range(1, 6),
    7,
    9,
    *range(2, 10),
]
"""What a character of a vehicle's number counts (GB 16735, annex A): I, O and Q are none."""
_MOBILE_PREFIXES = np.isin(
    np.arange(1000),
    [*range(130, 140), *range(145, 154), *range(155, 160), 162, 165, 166, 167, *range(170, 179), *range(180, 194), *range(195, 200)],
)  # fmt: skip
_MOBILE_CHANCE = int(np.count_nonzero(_MOBILE_PREFIXES)) * MILLION // 900
"""Eleven random digits, the first not zero, begin with an assigned segment this often."""


def matching(values: Any, pattern: str) -> Trial:
    """Values of a form that chance does not produce."""
    matched = pc.sum(pc.match_substring_regex(values, pattern)).as_py() or 0
    return Trial(len(values), len(values), int(matched))


RESIDENT_ID_OF_1984 = r"^[1-8][0-9]{5}[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])[0-9]{3}$"
EMAIL = r"^[A-Za-z0-9._%+'-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}$"
PLATE = (
    "^[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使领][A-HJ-NP-Z][·•. ]?"
    "[A-HJ-NP-Z0-9]{4,5}[A-HJ-NP-Z0-9挂学警港澳]$"
)
"""GA 36-2018."""
PASSPORT = r"^([EeKkGgDdSsPpHhMm][A-Za-z]?[0-9]{7,8}|1[45][0-9]{7})$"
IPV4 = r"^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(/[0-9]{1,2})?$"
IPV4_UNLIKE_A_VERSION = r"^([6-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])\."
IPV6 = r"^([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}$|^(([0-9A-Fa-f]{1,4}:){1,6}|:):([0-9A-Fa-f]{1,4}(:[0-9A-Fa-f]{1,4}){0,5})?$"
MAC = r"^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$"
LANDLINE = r"^(\(?0(10|2[0-9]|[3-9][0-9]{2})\)?[- ])[2-9][0-9]{6,7}([-转][0-9]{1,6})?$"
LANDLINE_BARE = r"^0(10|2[0-9]|[3-9][0-9]{2})[2-9][0-9]{6,7}$"
ADDRESS = (
    r"(路|街|道|巷|弄|胡同|村|组|屯|小区|大厦|花园|苑|坊|里)[^，。,；;！？!?]{0,20}[0-9０-９一二三四五六七八九十百]+(号|室|栋|幢|单元|楼|组|弄)"
    r"|[0-9０-９]+(号|栋|幢|单元|弄).{0,6}[0-9０-９]*室?$"
    r"|^[0-9]+[A-Za-z]? [A-Za-z0-9 .'-]+ (St|Street|Ave|Avenue|Rd|Road|Blvd|Boulevard|Lane|Ln|Drive|Dr|Way|Court|Ct|Place|Pl|"
    r"Square|Sq|Terrace|Highway|Hwy)\b"
)
REGION = r"^[\p{Han}]{2,12}(省|自治区|市|区|县|旗|街道|镇|乡|盟|州)$"
COORDINATE_PAIR = r"^\(?-?[0-9]{1,3}\.[0-9]{3,}[,; ]+-?[0-9]{1,3}\.[0-9]{3,}\)?$"
DATE = (
    r"^[0-9]{1,2}[/.-][0-9]{1,2}[/.-](18|19|20|21)[0-9]{2}$"
    r"|^(18|19|20|21)[0-9]{2}([-/.年](0?[1-9]|1[0-2])([-/.月](0?[1-9]|[12][0-9]|3[01])日?)?月?|-Q[1-4]|0s|[0-9]s)?"
    r"([ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?$"
)
"""Dates and times as written, and the labels that the date hierarchy makes (month, quarter, year, decade)."""
DATE_BEYOND_YEAR = r"^[0-9]{1,2}[/.-]|^[0-9]{4}[-/.年Q]|^[0-9]{3}0s$|^[0-9]{8}$"
COMPACT_DATE = r"^(18|19|20|21)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$"
INTERVAL = r"^(\[-?[0-9.]+, -?[0-9.]+\)|< -?[0-9.]+|>= -?[0-9.]+|[0-9]{1,3} ?[-~～至] ?[0-9]{1,3}岁?|[0-9]{1,3}岁?(\+|以上|及以上))$"
PSEUDONYM = r"^(psn-[a-z2-7]{26}|tok-[a-z2-7]{71,})$"
"""What a keyed technique makes: a pseudonym, or a token that the key turns back."""

_CHINESE_NAME = r"^[\p{Han}]{2,4}$|^[\p{Han}]{1,12}[·•][\p{Han}]{1,12}$"
_PLACE_OR_OFFICE = (
    r"(省|市|区|县|镇|乡|村|路|街|道|巷|弄|号|楼|站|局|厅|部|院|校|司|科|处|室|店|厂|型|类|级|岁|元|族)$"
)
_CHINESE_NAME_CHANCE = 300_000
"""A cautious share: words of two to four characters that begin with one of the surname characters (高速, 白色, 金属 …)."""

_ENGLISH_NAME = (
    r"^((Dr|Mr|Mrs|Ms|Miss|Prof)\.? )?[A-Z][A-Za-z'’-]+( [A-Z]\.?)?( [A-Z][A-Za-z'’-]+){1,2}"
    r"(,? (Jr|Sr|MD|DDS|DVM|PhD|II|III|IV)\.?)?$|^[A-Z][A-Za-z'’-]+, [A-Z][A-Za-z'’-]+( [A-Z]\.?)?$"
)
_ENGLISH_NAME_CHANCE = 100_000
"""A cautious share: capitalised phrases that begin with a given name or end with a family name (airports, ships, firms)."""
_TITLES = frozenset(
    {"dr", "mr", "mrs", "ms", "miss", "prof", "jr", "sr", "md", "dds", "dvm", "phd", "ii", "iii", "iv"}
)
_NAME_SAMPLE = 20_000


def chinese_name(values: Any) -> Trial:
    """Two to four Han characters behind one of the frequent surnames, or a name with the dot of the minorities."""
    candidates = _matching(values, _CHINESE_NAME)
    candidates = candidates.filter(pc.invert(pc.match_substring_regex(candidates, _PLACE_OR_OFFICE)))
    first = pc.utf8_slice_codeunits(candidates, 0, 1)
    two = pc.utf8_slice_codeunits(candidates, 0, 2)
    named = pc.or_(
        pc.is_in(first, value_set=pa.array(sorted(SURNAMES))),
        pc.or_(
            pc.is_in(two, value_set=pa.array(sorted(COMPOUND_SURNAMES))),
            pc.match_substring_regex(candidates, "[·•]"),
        ),
    )
    return Trial(len(values), len(candidates), int(pc.sum(named).as_py() or 0), _CHINESE_NAME_CHANCE)


def english_name(values: Any) -> Trial:
    """First and last name in capitals' form, the first a frequent given name or the last a frequent family name.

    At most 20,000 distinct values, evenly spread, are looked up.
    """
    sample = evenly(values, _NAME_SAMPLE)
    candidates = _matching(sample, _ENGLISH_NAME)
    matched = 0
    for value in candidates.to_pylist():
        words = [
            word for word in value.replace(",", " ").replace(".", " ").lower().split() if word not in _TITLES
        ]
        matched += bool(words) and (
            words[0] in GIVEN_NAMES or words[-1] in GIVEN_NAMES or words[-1] in FAMILY_NAMES
        )
    return Trial(len(sample), len(candidates), matched, _ENGLISH_NAME_CHANCE)


_EMBEDDED_ID = (
    r"(?:^|[^0-9A-Za-z])(?P<id>[1-8][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx])"
    r"(?:[^0-9A-Za-z]|$)"
)
_EMBEDDED_EMAIL = r"[A-Za-z0-9._%+-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}"
_EMBEDDED_ELEVEN = r"(?:^|[^0-9A-Za-z.])(?P<number>[1-9][0-9]{10})(?:[^0-9A-Za-z]|$)"
_EMBEDDED_CARD = r"(?:^|[^0-9A-Za-z.])(?P<card>[2-9][0-9]{15,18})(?:[^0-9A-Za-z]|$)"
_EMBEDDED_CONTACT = (
    r"(电话|手机|联系|致电|(?i:phone|mobile|tel|call))[^0-9]{0,8}1[3-9][0-9]-?[0-9]{4}-?[0-9]{4}([^0-9]|$)"
)
_EMBEDDED_PLATE = (
    "[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-HJ-NP-Z][·•.]?"
    "[A-HJ-NP-Z0-9]{4,5}[A-HJ-NP-Z0-9挂学警港澳]([^A-Za-z0-9]|$)"
)
_EMBEDDED_NAME = (
    r"(姓名|患者|投诉人|来电人|报案人|当事人|申请人|联系人|户主|市民|居民|业主|车主|法定代表人)(为|是|系|叫)?[:： ]?"
    rf"(?P<name>[{''.join(sorted(SURNAMES))}][\p{{Han}}]{{0,2}}[\p{{Han}}某])(先生|女士|同志|[，。,；;：:、（(\s]|反映|来电|称|$)"
)
_EMBEDDED_ENGLISH_NAME = (
    r"\b(Mr|Mrs|Ms|Dr|Miss)\.? [A-Z][a-z]+|(?i:\b(patient|named|name is|name:)) (?-i:[A-Z][a-z]+ [A-Z][a-z]+)"
)
_EMBEDDED_ADDRESS = r"(家住|住在|住址|居住|租住|户籍|现住)[^，。,；;]{0,30}(路|街|道|巷|弄|小区|花园|苑|村|里)[^，。,；;]{0,12}[0-9]{1,5}(号|栋|幢|室|单元)"


def embedded_identifier(values: Any) -> Trial:
    """Texts that carry within them an identity or card number with a right check digit, a mobile number, an e-mail
    address, a number plate, a name or a home's address behind a word that announces one.
    """
    texts = values.filter(pc.greater(pc.utf8_length(values), 8))
    if len(texts) == 0:
        return Trial(len(values), 0, 0)
    # One look sets apart the few texts that can hold a number at all.
    numbers = _matching(texts, "[0-9]{3}-?[0-9]{4}-?[0-9]{4}")
    found = 0
    numbered = resident_id(_within(numbers, _EMBEDDED_ID, "id"))
    if numbered.matched and 2 * numbered.matched >= numbered.checked:
        found += numbered.matched
    phones, _ = mobile(_within(numbers, _EMBEDDED_ELEVEN, "number"))
    if phones.beyond_chance and phones.rate >= 0.5:
        found += phones.matched
    cards = bank_card(_within(numbers, _EMBEDDED_CARD, "card"))
    if cards.beyond_chance and cards.rate >= 0.5:
        found += cards.matched
    certain = 0
    for candidates, pattern in (
        (texts.filter(pc.match_substring(texts, "@")), _EMBEDDED_EMAIL),
        (numbers, _EMBEDDED_CONTACT),
        (texts, _EMBEDDED_PLATE),
        (texts, _EMBEDDED_ADDRESS),
    ):
        certain = max(certain, int(pc.sum(pc.match_substring_regex(candidates, pattern)).as_py() or 0))
    for pattern in (_EMBEDDED_NAME, _EMBEDDED_ENGLISH_NAME):
        named = int(pc.sum(pc.match_substring_regex(texts, pattern)).as_py() or 0)
        # One sentence in a hundred: a street named for a doctor is no patient.
        certain = max(certain, named if 100 * named >= len(texts) else 0)
    return Trial(len(values), len(texts), max(found, certain))


def _within(texts: Any, pattern: str, group: str) -> Any:
    """The part of each text that the pattern's group catches, where it catches one."""
    return pc.drop_null(pc.struct_field(pc.extract_regex(texts, pattern=pattern), group))


def evenly(values: Any, most: int) -> Any:
    """At most so many of the values, evenly spread over them: no chance involved."""
    if len(values) <= most:
        return values
    return values.take(pa.array(np.linspace(0, len(values) - 1, most).astype(np.int64)))


def form(text: str) -> str:
    """The form of a value without a character of it: digits `#`, capitals `X`, other letters `x`, Han `文`; at most 40.

    >>> form("PAT-0948 Müller 张三")
    'XXX-#### Xxxxxx 文文'
    """
    shown = []
    for character in text[:40]:
        if character.isdigit():
            shown.append("#")
        elif "\u4e00" <= character <= "\u9fff":
            shown.append("文")
        elif character.isalpha():
            shown.append("X" if character.isupper() else "x")
        else:
            shown.append(character if character in " -_/.,:;@()[]<>=+*·年月日" else "?")
    return "".join(shown) + ("…" if len(text) > 40 else "")


_BLOCK_ROWS = 16_384
"""Rows whose characters and sums stay in the processor's cache."""


def _blocks(values: Any, width: int) -> Iterator[Bytes]:
    """The texts of exactly `width` bytes, block by block, as a matrix with a place a row: straight from Arrow's buffer."""
    offsets, data = _buffers(values)
    starts = offsets[:-1][np.diff(offsets) == width]
    for first in range(0, len(starts), _BLOCK_ROWS):
        part = starts[first : first + _BLOCK_ROWS]
        if part[-1] - part[0] == width * (len(part) - 1):
            # Neighbours without a gap, as in a column whose values all have the width.
            rows = data[part[0] : part[0] + width * len(part)].reshape(len(part), width)
        else:
            rows = data[part[:, None] + np.arange(width)]
        yield np.ascontiguousarray(rows.T)


def _holds(values: Any, characters: bytes) -> bool:
    """Whether any of these ASCII characters stands anywhere in the texts."""
    offsets, data = _buffers(values)
    used = data[offsets[0] : offsets[-1]]
    return any(bool((used == character).any()) for character in characters)


def _buffers(values: Any) -> tuple[npt.NDArray[np.int32], Bytes]:
    """Where each text begins and ends, and the bytes of all."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if len(array) == 0:
        return np.zeros(1, dtype=np.int32), np.zeros(0, dtype=np.uint8)
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    data = array.buffers()[2]
    return offsets, np.zeros(0, dtype=np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)


def _matching(values: Any, pattern: str) -> Any:
    return values.filter(pc.match_substring_regex(values, pattern))
