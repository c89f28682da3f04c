"""What a column can turn out to be, whom it concerns, and the evidence for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

Role = Literal["direct_identifier", "quasi_identifier", "sensitive", "other"]
"""GB/T 37964-2019: what a column can do to a person; `other` does none of it."""

ROLES: tuple[Role, ...] = get_args(Role)

Personal = Literal["always", "in_person_table", "never"]
"""Whether the column alone says that the table is about persons, counts only beside one that does, or never."""

By = Literal["values", "name", "name and values"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that a column can be, with its names for people and the text that makes it matter.

    `presumed` kinds are a cautious reading that a declared role may replace; the others stand against it.
    """

    zh: str
    en: str
    role: Role
    personal: Personal
    source: str
    presumed: bool = False


PERSONAL_INFORMATION = "GB/T 35273-2020 annex A"
IDENTIFIERS = "GB/T 37964-2019"
SENSITIVE_INFORMATION = "GB/T 35273-2020 annex B"

KINDS: Mapping[str, Kind] = {
    "biometric": Kind("生物识别信息", "biometric data", "direct_identifier", "always", SENSITIVE_INFORMATION),
    "resident_id": Kind(
        "居民身份号码", "resident identity number", "direct_identifier", "always", "GB 11643-1999"
    ),
    "bank_card": Kind(
        "银行卡号", "bank card number", "direct_identifier", "always", "GB/T 19584, ISO/IEC 7812-1"
    ),
    "mobile": Kind("手机号码", "mobile number", "direct_identifier", "always", PERSONAL_INFORMATION),
    "email": Kind("电子邮箱", "e-mail address", "direct_identifier", "always", PERSONAL_INFORMATION),
    "passport": Kind("护照号码", "passport number", "direct_identifier", "always", PERSONAL_INFORMATION),
    "plate": Kind("车牌号码", "number plate", "direct_identifier", "always", IDENTIFIERS),
    "ip_address": Kind("IP 地址", "IP address", "direct_identifier", "always", PERSONAL_INFORMATION),
    "mac_address": Kind("MAC 地址", "MAC address", "direct_identifier", "always", PERSONAL_INFORMATION),
    "device": Kind(
        "设备或车辆识别码", "device or vehicle number", "direct_identifier", "always", PERSONAL_INFORMATION
    ),
    "embedded_identifier": Kind(
        "文本中的标识符", "identifier inside text", "direct_identifier", "always", IDENTIFIERS
    ),
    "person_name": Kind("姓名", "person's name", "direct_identifier", "always", IDENTIFIERS),
    "person_identifier": Kind("个人编号", "person's number", "direct_identifier", "always", IDENTIFIERS),
    "household": Kind("户籍", "household register", "direct_identifier", "always", PERSONAL_INFORMATION),
    "landline": Kind(
        "固定电话", "landline number", "direct_identifier", "in_person_table", PERSONAL_INFORMATION
    ),
    "home_address": Kind("住址", "home address", "direct_identifier", "always", IDENTIFIERS),
    "address": Kind("地址", "address", "direct_identifier", "in_person_table", IDENTIFIERS),
    "row_identifier": Kind("行标识", "row identifier", "direct_identifier", "in_person_table", IDENTIFIERS),
    "birth_date": Kind("出生日期", "birth date", "quasi_identifier", "always", IDENTIFIERS),
    "age": Kind("年龄", "age", "quasi_identifier", "always", IDENTIFIERS),
    "sex": Kind("性别", "sex", "quasi_identifier", "always", IDENTIFIERS),
    "ethnicity": Kind("民族", "ethnicity", "quasi_identifier", "always", IDENTIFIERS),
    "marital_status": Kind("婚姻状况", "marital status", "quasi_identifier", "always", IDENTIFIERS),
    "family": Kind("家庭", "family", "quasi_identifier", "always", PERSONAL_INFORMATION),
    "education": Kind("受教育程度", "education", "quasi_identifier", "in_person_table", IDENTIFIERS),
    "occupation": Kind("职业", "occupation", "quasi_identifier", "in_person_table", IDENTIFIERS),
    "postal_code": Kind("邮政编码", "postal code", "quasi_identifier", "in_person_table", IDENTIFIERS),
    "region": Kind("行政区划", "region", "quasi_identifier", "in_person_table", IDENTIFIERS),
    "coordinates": Kind("坐标", "coordinates", "quasi_identifier", "in_person_table", PERSONAL_INFORMATION),
    "date": Kind("日期", "date", "quasi_identifier", "in_person_table", IDENTIFIERS),
    "income": Kind("收入", "income", "sensitive", "in_person_table", SENSITIVE_INFORMATION, presumed=True),
    "health": Kind("健康", "health", "sensitive", "in_person_table", SENSITIVE_INFORMATION, presumed=True),
    "belief": Kind(
        "政治面貌或宗教信仰",
        "political or religious belief",
        "sensitive",
        "always",
        "个人信息保护法 art. 28",
        presumed=True,
    ),
    "free_text": Kind("自由文本", "free text", "sensitive", "in_person_table", IDENTIFIERS, presumed=True),
    "category": Kind("类别", "category", "quasi_identifier", "in_person_table", IDENTIFIERS, presumed=True),
    "social_credit_code": Kind(
        "统一社会信用代码", "unified social credit code", "other", "never", "GB 32100-2015"
    ),
    "pseudonym": Kind("假名", "keyed pseudonym", "other", "never", IDENTIFIERS),
    "none": Kind("未识别", "nothing recognised", "other", "never", ""),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one column was found to be.

    `checked` distinct values had the form, `matched` of them passed; where chance alone passes some,
    `chance_ppm` is its share and `p_exponent` bounds the probability of that many passes by 10**p_exponent.
    `samples` show the form of up to three values and no character of them.
    """

    column: str
    kind: str
    role: Role
    by: By
    checked: int
    matched: int
    chance_ppm: int | None
    p_exponent: int | None
    samples: tuple[str, ...]

    @property
    def says_person(self) -> bool:
        """Whether this column alone makes the table one about persons."""
        return KINDS[self.kind].personal == "always"

    def to_json(self) -> dict[str, Any]:
        """Numbers as strings, so that the finding can stand in a log body."""
        return {
            "column": self.column,
            "kind": self.kind,
            "role": self.role,
            "by": self.by,
            "checked": str(self.checked),
            "matched": str(self.matched),
            "chance_ppm": None if self.chance_ppm is None else str(self.chance_ppm),
            "p_exponent": None if self.p_exponent is None else str(self.p_exponent),
            "samples": list(self.samples),
            "source": KINDS[self.kind].source,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Finding:
        """The inverse of `to_json`; what comes is our own child's answer."""
        return cls(
            column=str(data["column"]),
            kind=str(data["kind"]),
            role=cast(Role, data["role"]),
            by=cast(By, data["by"]),
            checked=int(data["checked"]),
            matched=int(data["matched"]),
            chance_ppm=None if data["chance_ppm"] is None else int(data["chance_ppm"]),
            p_exponent=None if data["p_exponent"] is None else int(data["p_exponent"]),
            samples=tuple(data["samples"]),
        )
