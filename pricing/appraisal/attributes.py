"""What must be known of a data asset before it is valued: information, legal and value attributes (中评协〔2023〕17号)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeAlias

from pricing.money import Language


@dataclass(frozen=True, slots=True)
class InformationAttributes:
    """信息属性 of the guideline; every one must be given."""

    name: str = ""
    structure: str = ""
    dictionary: str = ""
    scale: str = ""
    period: str = ""
    frequency: str = ""
    storage: str = ""


@dataclass(frozen=True, slots=True)
class LegalAttributes:
    """法律属性 of the guideline; every one must be given ("none" is an answer to `right_limits`)."""

    authorizing_party: str = ""
    right_holder: str = ""
    right_path: str = ""
    right_kind: str = ""
    right_scope: str = ""
    right_term: str = ""
    right_limits: str = ""


@dataclass(frozen=True, slots=True)
class ValueAttributes:
    """价值属性 of the guideline; every one must be given."""

    region: str = ""
    industry: str = ""
    cost: str = ""
    scenario: str = ""
    quality: str = ""
    scarcity: str = ""


_ATTRIBUTE_ZH = {
    "information": "信息属性",
    "legal": "法律属性",
    "value": "价值属性",
    "information.name": "数据名称",
    "information.structure": "数据结构",
    "information.dictionary": "数据字典",
    "information.scale": "数据规模",
    "information.period": "数据周期",
    "information.frequency": "产生频率",
    "information.storage": "存储方式",
    "legal.authorizing_party": "授权主体",
    "legal.right_holder": "产权持有人",
    "legal.right_path": "权利路径",
    "legal.right_kind": "权利类型",
    "legal.right_scope": "权利范围",
    "legal.right_term": "权利期限",
    "legal.right_limits": "权利限制",
    "value.region": "覆盖地域",
    "value.industry": "所属行业",
    "value.cost": "成本信息",
    "value.scenario": "应用场景",
    "value.quality": "数据质量",
    "value.scarcity": "稀缺性及可替代性",
}

Attributes: TypeAlias = "InformationAttributes | LegalAttributes | ValueAttributes"
Groups: TypeAlias = tuple[tuple[str, Attributes], ...]


def blank_attributes(groups: Groups) -> tuple[str, ...]:
    """The attributes that are blank, each as `group.name`."""
    return tuple(
        f"{group}.{field.name}"
        for group, attributes in groups
        for field in fields(attributes)
        if not getattr(attributes, field.name).strip()
    )


def attribute_words(name: str, language: Language) -> str:
    """A group, or an attribute as `group.name`, by its name in the guideline."""
    return _ATTRIBUTE_ZH[name] if language == "zh" else name.rpartition(".")[2].replace("_", " ")
