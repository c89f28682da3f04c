"""A scan's report for people, in Chinese and in English: what was found, what will be done, what risk is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from exchange.desensitization.findings import KINDS

_WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("脱敏扫描报告", "Desensitization scan"),
    "promise": (
        "本报告不含原始数据中的任何值；样例只显示字符形态（# 数字，X/x 字母，文 汉字）。",
        "This report holds no value of the raw table; samples show forms only (# digit, X/x letter, 文 Han character).",
    ),
    "rows": ("行数", "rows"),
    "raw_digest": (
        "原始数据摘要（加盐，盐留在本目录）",
        "raw digest (salted; the salt stays in this directory)",
    ),
    "policy_digest": ("脱敏策略摘要", "policy digest"),
    "grade": ("数据自身显示的最低级别", "least grade that the data itself shows"),
    "persons": ("是否涉及个人", "about persons"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    "exempt": (
        "未发现个人信息列：策略主张豁免 k 匿名，须由风险评估确认并经授权，豁免将写入证书。",
        "No column about a person was found: the policy claims the exemption from k. It has to be assessed and "
        "authorized, and will stand in the certificate.",
    ),
    "columns": ("各列", "Columns"),
    "column": ("列", "column"),
    "found": ("识别结果", "found"),
    "evidence": ("依据", "evidence"),
    "samples": ("形态", "forms"),
    "role": ("角色", "role"),
    "done": ("处理", "what is done"),
    "loss": ("信息损失", "loss"),
    "risk": ("重识别风险", "Re-identification risk"),
    "before": ("脱敏前", "before"),
    "after": ("脱敏后", "after"),
    "quasi": ("准标识符", "quasi-identifiers"),
    "k": ("k（最小等价类）", "k (smallest class)"),
    "l": ("l（不同敏感值的最少个数）", "l (least distinct sensitive values)"),
    "unique": ("唯一行占比", "unique rows"),
    "prosecutor": ("检察官攻击最高风险", "highest prosecutor risk"),
    "marketer": ("营销者攻击平均风险", "mean marketer risk"),
    "dropped": ("抑制的行", "rows suppressed"),
    "next": ("下一步", "Next"),
    "how": (
        "由评估人以 report.json 提交风险评估，由另一人授权；然后运行 "
        "`exchange desensitize apply 原始文件 --policy policy.json --authorization 授权书.json --vkey 交易所公钥 --out 本目录`。"
        "修改策略后须重新扫描：`exchange desensitize scan 原始文件 --policy policy.json --out 本目录`。",
        "File the risk assessment with report.json, have a second person authorize it, then run "
        "`exchange desensitize apply RAW --policy policy.json --authorization AUTH.json --vkey KEY --out THIS_DIRECTORY`. "
        "A changed policy has to be scanned again: `exchange desensitize scan RAW --policy policy.json --out THIS_DIRECTORY`.",
    ),
    "direct_identifier": ("直接标识符", "direct identifier"),
    "quasi_identifier": ("准标识符", "quasi-identifier"),
    "sensitive": ("敏感属性", "sensitive"),
    "other": ("其他", "other"),
    "keep": ("保留", "keep"),
    "suppress": ("删除列", "suppress"),
    "mask": ("遮蔽", "mask"),
    "round": ("取整", "round"),
    "pseudonymize": ("加密假名", "keyed pseudonym"),
    "generalize": ("泛化", "generalize"),
    "name": ("列名", "header"),
    "values": ("取值", "values"),
    "name and values": ("列名与取值", "header and values"),
    "of": ("个不同值中符合", "distinct values, matching"),
    "chance": ("随机通过率", "chance passes"),
}


def markdown(report: Mapping[str, Any]) -> str:
    """The report as Markdown, the Chinese part first. Takes the object that `department.scan` makes."""
    return "\n".join([*_part(report, 0), "", "---", "", *_part(report, 1), ""])


def _part(report: Mapping[str, Any], language: int) -> list[str]:
    def word(name: str) -> str:
        return _WORDS[name][language]

    policy = report["policy"]
    lines = [
        f"# {word('title')}",
        "",
        word("promise"),
        "",
        f"- {word('rows')}: {report['raw']['rows']}",
        f"- {word('persons')}: {word('yes' if report['about_persons'] else 'no')}",
        f"- {word('grade')}: {report['grade']}",
        f"- {word('raw_digest')}: `{report['raw']['digest']}`",
        f"- {word('policy_digest')}: `{report['policy_digest']}`",
        "",
    ]
    if policy["exempt_from_k"]:
        lines += [f"> {word('exempt')}", ""]
    lines += [f"## {word('columns')}", "", *_columns(report, language), "", f"## {word('risk')}", ""]
    lines += _risk(report, language)
    return [*lines, "", f"## {word('next')}", "", word("how")]


def _columns(report: Mapping[str, Any], language: int) -> list[str]:
    def word(name: str) -> str:
        return _WORDS[name][language]

    findings = {finding["column"]: finding for finding in report["findings"]}
    techniques = {column["name"]: column["technique"] for column in report["policy"]["columns"]}
    rows = []
    for column in report["columns"]:
        finding = findings.get(column["name"])
        kind = KINDS[finding["kind"]] if finding else KINDS["none"]
        rows.append(
            (
                _cell(column["name"]),
                (kind.zh, kind.en)[language],
                _evidence(finding, language) if finding else "",
                " ".join(f"`{_cell(sample)}`" for sample in finding["samples"]) if finding else "",
                word(column["role"]),
                _done(techniques[column["name"]], language),
                percent(report["loss_ppm"][column["name"]]),
            )
        )
    return _table(
        [word(name) for name in ("column", "found", "evidence", "samples", "role", "done", "loss")], rows
    )


def _evidence(finding: Mapping[str, Any], language: int) -> str:
    def word(name: str) -> str:
        return _WORDS[name][language]

    parts = [word(finding["by"])]
    if "values" in finding["by"]:
        parts.append(f"{finding['checked']} {word('of')} {finding['matched']}")
    if finding["chance_ppm"] is not None:
        parts.append(f"{word('chance')} {percent(finding['chance_ppm'])}, p ≤ 10^{finding['p_exponent']}")
    return "; ".join([*parts, finding["source"]])


def _done(technique: Mapping[str, Any], language: int) -> str:
    said = _WORDS[technique["name"]][language]
    if technique["name"] != "generalize":
        return said
    hierarchy, level = technique["hierarchy"], int(technique["level"])
    if level == 0:
        return said
    match hierarchy["kind"]:
        case "interval" if level <= len(hierarchy["widths"]):
            return f"{said}: {hierarchy['widths'][level - 1]}"
        case "date" if level <= len(hierarchy["steps"]):
            return f"{said}: {hierarchy['steps'][level - 1]}"
        case "prefix" if level <= len(hierarchy["keep"]):
            return f"{said}: {hierarchy['keep'][level - 1]}…"
        case _:
            return f"{said}: {level}"


def _risk(report: Mapping[str, Any], language: int) -> list[str]:
    def word(name: str) -> str:
        return _WORDS[name][language]

    before, after = report["before"], report["after"]
    rows = [
        (word("quasi"), _names(before["quasi_identifiers"]), _names(after["quasi_identifiers"])),
        (word("k"), before["k"], after["k"]),
        (word("l"), _least(before["l"]), _least(after["l"])),
        *(
            (word(name), percent(before[member]), percent(after[member]))
            for name, member in (
                ("unique", "uniqueness_ppm"),
                ("prosecutor", "prosecutor_ppm"),
                ("marketer", "marketer_ppm"),
            )
        ),
        (word("rows"), before["rows"], after["rows"]),
        (word("dropped"), "", f"{report['suppressed_rows']} ({percent(report['row_suppression_ppm'])})"),
    ]
    return _table(["", word("before"), word("after")], rows)


def percent(ppm: str) -> str:
    """Parts per million as percent, exactly: `31000` is `3.1 %`."""
    whole, rest = divmod(int(ppm), 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + " %"


def _names(columns: Sequence[str]) -> str:
    return ", ".join(_cell(name) for name in columns) or "–"


def _least(diversity: Mapping[str, str]) -> str:
    return ", ".join(f"{_cell(name)}: {least}" for name, least in diversity.items()) or "–"


def _cell(text: str) -> str:
    """A column's name inside a Markdown table: nothing in it is markup."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("`", "'")
    return escaped.replace("<", "&lt;").replace("[", "\\[")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
