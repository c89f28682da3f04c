"""Chinese administrative divisions by GB/T 2260: from a code or a name to the code of six digits, and back to names.

Codes and names, with the years in which they were in force, are those that python-stdnum carries (`cn/loc`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from stdnum import numdb

_SPELT = re.compile(r"(?:\[(?P<from>\d{4})?-(?P<until>\d{4})?\])?(?P<name>[^,\[]+)")
_PROVINCE_ENDING = re.compile(r"((壮族|回族|维吾尔)?自治区|特别行政区|省|市)$")
_PREFECTURE_ENDING = re.compile(r"(市|地区|盟)$")
_ETHNIC = (
    "朝鲜|土家|苗|布依|侗|藏|羌|彝|傣|景颇|哈尼|白|壮|傈僳|回|蒙古|哈萨克|柯尔克孜|黎|达斡尔|鄂温克|鄂伦春"
)
_AUTONOMOUS = re.compile(rf"(({_ETHNIC})族?)+自治州$")
_COUNTY_ENDING = re.compile(r"(?<=..)[区县市]$")
_NAMELESS = re.compile(r"^(市辖区|县|市|(省|自治区)直辖县级行政(区划|单位))$")
"""Rows of the standard that stand for no place of their own."""
_NAMELESS_INSIDE = re.compile(r"市辖区|(省|自治区)直辖县级行政(区划|单位)")


def code_of(text: str) -> str:
    """The six digits of a division that is written as a code (2, 4, 6, 9 or 12 digits) or by its name.

    A name may be a division's own or the whole line from the province down, each in full or without the ending
    (省, 市, 地区 …). Raises ValueError where no division or several of the same rank bear it.
    """
    bare = re.sub(r"[\s·]", "", text)
    bare = _NAMELESS_INSIDE.sub("", bare) or bare
    if bare.isascii() and bare.isdigit():
        if len(bare) not in (2, 4, 6, 9, 12) or bare[:2] not in _table().provinces:
            raise ValueError("no code of a division")
        return bare[:6].ljust(6, "0")
    found = set(_table().read(bare))
    if not found:
        raise ValueError("no division of that name")
    least = min(rank for rank, _ in found)
    codes = {code for rank, code in found if rank == least}
    if len({code[:4] for code in codes}) > 1:
        raise ValueError("several divisions of that name")
    return max(codes)  # a county that was numbered anew where it was


def name_of(prefix: str) -> str:
    """The names down to the division that 2, 4 or 6 digits stand for; what has no name is left out."""
    table = _table()
    parts = [
        table.names.get(prefix[:digits].ljust(6, "0"), "")
        for digits in (2, 4, 6)
        if digits <= len(prefix) and (digits == 2 or prefix[digits - 2 : digits] != "00")
    ]
    return "".join(part for part in parts if not _NAMELESS.match(part))


@dataclass(frozen=True, slots=True)
class _Table:
    """`names` by code as they are now; what each level's names, in full and shortened, can stand for, by rank."""

    names: dict[str, str]
    provinces: dict[str, str]
    by_level: tuple[dict[str, set[tuple[int, str]]], ...]

    def read(self, text: str) -> Iterator[tuple[int, str]]:
        """Every division that the whole text can mean. Ranks: in force before historic, full before short, high before low."""
        if not text:
            return
        for after_province, province in self._heads(0, text, 0, ""):
            for after_prefecture, prefecture in self._heads(1, text, after_province, province):
                if after_prefecture == len(text):
                    code, rank, level = (
                        (prefecture, *self._rank(1, text[after_province:], prefecture))
                        if after_prefecture > after_province
                        else (province, *self._rank(0, text, province))
                    )
                    yield 10 * rank + level, code
                    continue
                within = prefecture if after_prefecture > after_province else province
                for rank, code in self.by_level[2].get(text[after_prefecture:], ()):
                    if _within(within, code):
                        yield 10 * rank + 2, code

    def _heads(self, level: int, text: str, start: int, within: str) -> Iterator[tuple[int, str]]:
        """Where a name of this level can end and what it stands for; also that none is written."""
        yield start, within
        for end in range(start + 2, len(text) + 1):
            for _, code in self.by_level[level].get(text[start:end], ()):
                if _within(within, code):
                    yield end, code

    def _rank(self, level: int, name: str, code: str) -> tuple[int, int]:
        return min(rank for rank, known in self.by_level[level][name] if known == code), level


def _within(parent: str, code: str) -> bool:
    return code.startswith(parent[:2] if parent.endswith("0000") else parent[:4])


@cache
def _table() -> _Table:
    names: dict[str, str] = {}
    levels: tuple[dict[str, set[tuple[int, str]]], ...] = tuple(defaultdict(set) for _ in range(3))
    endings = ((_PROVINCE_ENDING,), (_PREFECTURE_ENDING, _AUTONOMOUS), (_COUNTY_ENDING,))
    for _, province, _, _, below in numdb.get("cn/loc").prefixes:
        for _, rest, _, properties, _ in below:
            code = province + rest
            level = 0 if rest == "0000" else 1 if rest.endswith("00") else 2
            for spelt in _SPELT.finditer(properties.get("county", "")):
                name = spelt["name"].strip()
                historic = spelt["until"] is not None
                if not historic or code not in names:
                    names[code] = name
                if _NAMELESS.match(name):
                    continue
                levels[level][name].add((2 * historic, code))
                for ending in endings[level]:
                    short = ending.sub("", name)
                    if short != name and len(short) >= 2:
                        levels[level][short].add((2 * historic + 1, code))
                        if ending is _AUTONOMOUS:
                            levels[level][f"{short}州"].add((2 * historic + 1, code))
    provinces = {code[:2]: name for code, name in names.items() if code.endswith("0000")}
    return _Table(names, provinces, levels)
