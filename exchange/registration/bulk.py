"""Assets by the thousand: a list is read row by row, each row is an act of its own, and what failed is told with its cure.

A list is CSV with a header or JSON Lines. Its column `id` is the department's own name of a row and makes it idempotent:
the same row of a list that was corrected, or sent again after a cut, is declared once. Rows that can be taken go through
the gate together: read once, decided in order, written with one statement a table; each has its own entry and receipt, in
nothing different from that of an asset that was declared alone.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import orjson

from exchange.acts import Act, Asked, Chance, Ruling, Scope
from exchange.errors import Conflict, ExchangeError, Malformed, TooLarge, Unprocessable
from exchange.parties import require_active
from exchange.registration import DeclareAsset, declaration, judge_declaration, require_operator
from exchange.registration.opening import Declared
from exchange.rulebook import Rulebook
from exchange.tables import Party, found_by
from ledger.entries import canonical, commitment
from ledger.errors import CanonicalError
from ledger.pipeline import Statement

LIST_BYTES: Final = 64 * 1024 * 1024
LIST_ROWS: Final = 20_000
SLICE_ROWS: Final = 1_000
"""Rows of one request: bounds how long it takes, and what a cut costs."""

COLUMNS: Final = (
    "id", "title", "kind", "summary", "operator", "opening", "opening_reason", "purposes", "qualified", "update_days",
)  # fmt: skip
"""Those of a list; `id`, `title` and `kind` have to be there. Several purposes are parted by semicolons."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_-]{1,59}")

IN_CHINESE: Final[Mapping[str, tuple[str, str]]] = {
    "row.form": ("每行为一个 JSON 对象，或与表头列数相同的 CSV 行", "改正该行的格式"),
    "row.column": ("列名为清单模板中的列，值为文本", "删除或改正该列"),
    "row.text": ("文本为规范组合形式(NFC)的 Unicode，不含空字符", "重新录入该文本"),
    "row.id": (
        "每行有本部门自己的编号：1 至 59 个字母、数字、下划线或连字符",
        "补上编号，并在重发时保持不变",
    ),
    "row.twice": ("编号在一份清单中只出现一次", "删除重复的行，或换一个编号"),
    "row.update_days": ("更新周期为 1 至 3660 的整数（天）", "改正，或留空"),
    "row.qualified": ("是否限有资质者：true 或 false", "改正，或留空"),
    "asset.kind": ("数据类别须为六类之一", "从类别表中选一个"),
    "asset.title": ("标题 1 至 200 个字符", "补全或缩短标题"),
    "asset.summary": ("说明至多 4000 个字符", "缩短说明"),
    "asset.operator": ("运营机构须为本市场在册的运营机构，或不填", "填写运营机构的编号，或留空"),
    "operator.model": ("本市场的模式没有运营机构", "该列留空"),
    "asset.opening": ("开放属性为 open、conditional、closed 之一", "改正，或留空以采用本市场的默认"),
    "asset.opening_reason": ("比默认更开放须说明理由", "填写理由，或按默认开放"),
    "asset.purposes": ("用途须为规则中列出的用途，每个一次", "改正，或留空"),
    "bulk.rules_changed": ("规则在处理期间有了新版本", "再次提交同一份清单"),
    "request.identifier_reused": ("同一编号的行须内容相同", "改回原内容，或换一个编号"),
    "party.suspended": ("被暂停的主体不能办理", "联系交易场所"),
    "party.stopped": ("自行停止交易的主体须先恢复", "由有管理权限的密钥恢复"),
    "party.applicant": ("入市审核通过后方可办理", "补齐材料并等待审核"),
    "caller.scope": ("密钥的权限须包含登记", "换用有登记权限的密钥"),
}
"""By the code of what failed: the rule and the remedy, as a Chinese reader is told them."""
_OTHERWISE: Final = ("见英文规则", "按英文办法处理")


@dataclass(frozen=True, slots=True)
class RowFailure:
    """Why a row was not declared: its number in the list (the first is 1), its id, the field, the rule, the remedy."""

    row: int
    id: str
    code: str
    field: str
    detail: str
    rule: str
    remedy: str
    rule_zh: str
    remedy_zh: str

    @classmethod
    def of(cls, row: int, identifier: str, problem: ExchangeError) -> RowFailure:
        """A problem, as the report of a list tells it."""
        said = {name: str(value) for name, value in problem.problem().items()}
        zh = IN_CHINESE.get(said["code"], _OTHERWISE)
        field, detail, rule, remedy = (
            said.get(name, "")[:600] for name in ("field", "detail", "rule", "remedy")
        )
        return cls(row, identifier[:64], said["code"], field, detail, rule, remedy, *zh)


@dataclass(frozen=True, slots=True)
class Row:
    """A row that can be taken, as far as it goes by itself."""

    row: int
    id: str
    declares: DeclareAsset
    said: Declared

    @property
    def key(self) -> str:
        """The caller's identifier of the act."""
        return f"row-{self.id}"


def read_list(data: bytes, rules: Rulebook) -> list[Row | RowFailure]:
    """Every row of a list in order, each judged by itself. Malformed or TooLarge where it is no list at all."""
    rows: list[Row | RowFailure] = []
    seen: set[str] = set()
    for number, members in enumerate(_members(data), 1):
        if number > LIST_ROWS:
            raise TooLarge(
                "bulk.rows",
                f"more than {LIST_ROWS} rows",
                field="list",
                rule=f"a list has at most {LIST_ROWS} rows",
                remedy="split the list",
            )
        identifier = ""
        try:
            if isinstance(members, ExchangeError):
                raise members
            identifier = members.get("id", "")
            rows.append(_row(number, members, seen, rules))
        except ExchangeError as problem:
            rows.append(RowFailure.of(number, identifier, problem))
    return rows


def _members(data: bytes) -> Iterator[dict[str, str] | ExchangeError]:
    """The members of each row as text; a row that has none is what is wrong with it."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed(
            "bulk.text",
            f"byte {error.start} is no UTF-8",
            field="list",
            rule="a list is UTF-8",
            remedy="save it as UTF-8",
        ) from error
    if text.lstrip()[:1] == "{":
        for line in text.splitlines():
            if line.strip():
                yield _object(line)
        return
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        if not {"id", "title", "kind"} <= set(header) <= set(COLUMNS) or len(set(header)) != len(header):
            raise Malformed(
                "bulk.header",
                f"the header is {', '.join(header)[:200]!r}",
                field="list",
                rule=f"id, title and kind, and others of {', '.join(COLUMNS)}, each once",
                remedy="begin the list with a line of these names",
            )
        for cells in lines:
            if not cells:
                continue
            if len(cells) != len(header):
                yield _misformed(f"{len(cells)} cells under {len(header)} names")
            else:
                yield dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise Malformed(
            "bulk.csv",
            f"line {lines.line_num}: {error}",
            field="list",
            rule="RFC 4180: a quote within quotes is doubled",
            remedy="export the list anew as CSV, or as JSON Lines",
        ) from error


def _object(line: str) -> dict[str, str] | ExchangeError:
    try:
        members = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _misformed(str(error))
    if not isinstance(members, dict):
        return _misformed("no JSON object")
    if set(members) - set(COLUMNS):
        return Unprocessable(
            "row.column",
            ", ".join(sorted(set(members) - set(COLUMNS)))[:200],
            field="row",
            rule=f"columns are {', '.join(COLUMNS)}",
            remedy="leave the others out",
        )
    told: dict[str, str] = {}
    for name, value in members.items():
        match value:
            case None:
                continue
            case bool():
                told[name] = "true" if value else "false"
            case str() | int():
                told[name] = str(value)
            case list() if all(isinstance(one, str) for one in value):
                told[name] = ";".join(value)
            case _:
                return Unprocessable(
                    "row.column",
                    f"{name} is neither text nor a number",
                    field=name,
                    rule="values are texts, whole numbers, true or false",
                    remedy="correct it",
                )
    return told


def _misformed(detail: str) -> Malformed:
    return Malformed(
        "row.form",
        detail[:200],
        field="row",
        rule="a JSON object, or as many cells as the header has names",
        remedy="correct the row",
    )


def _row(number: int, members: Mapping[str, str], seen: set[str], rules: Rulebook) -> Row:
    told = {name: value.strip() for name, value in members.items()}
    identifier = told.get("id", "")
    if not _IDENTIFIER.fullmatch(identifier):
        raise Unprocessable(
            "row.id",
            repr(identifier[:64]),
            field="id",
            rule="your own name of the row: 1 to 59 of A-Z a-z 0-9 _ -",
            remedy="name it, and keep the name when you send it again",
        )
    if identifier in seen:
        raise Unprocessable(
            "row.twice",
            identifier,
            field="id",
            rule="an id comes once in a list",
            remedy="take one of the rows out",
        )
    seen.add(identifier)
    days = told.get("update_days", "")
    if days and not (re.fullmatch("[1-9][0-9]{0,3}", days) and int(days) <= 3660):
        raise Unprocessable(
            "row.update_days",
            days[:64],
            field="update_days",
            rule="1 to 3660 days",
            remedy="correct it, or leave it out",
        )
    qualified = told.get("qualified", "").lower() or "false"
    if qualified not in ("true", "false"):
        raise Unprocessable(
            "row.qualified",
            qualified[:64],
            field="qualified",
            rule="true or false",
            remedy="correct it, or leave it out",
        )
    act = DeclareAsset(
        title=told.get("title", ""),
        summary=told.get("summary", ""),
        kind=told.get("kind", ""),
        operator=told.get("operator") or None,
        opening=told.get("opening") or None,
        opening_reason=told.get("opening_reason", ""),
        purposes=tuple(one for part in told.get("purposes", "").split(";") if (one := part.strip())),
        qualified=qualified == "true",
        update_days=int(days) if days else None,
    )
    said = judge_declaration(act, rules)
    try:
        act.digest()
    except CanonicalError as error:
        raise _unwritable(str(error)) from error
    if any("\0" in value for value in told.values()):
        raise _unwritable("a NUL")
    return Row(number, identifier, act, said)


def _unwritable(detail: str) -> Unprocessable:
    return Unprocessable(
        "row.text",
        detail[:200],
        field="row",
        rule="text is Unicode in its composed form (NFC), without NUL",
        remedy="type the text anew",
    )


@dataclass(frozen=True, slots=True)
class DeclareRow(Act):
    """A row of a list, judged under the rules of `rules`; name and salts were drawn before the gate.

    It is the same request as its declaration sent alone.
    """

    scope: ClassVar[Scope] = "register"
    declares: DeclareAsset
    said: Declared = field(compare=False)
    rules: str = field(compare=False)
    asset: str = field(compare=False)
    salts: tuple[bytes, ...] = field(compare=False, repr=False)

    @classmethod
    def of(cls, row: Row, rules: Rulebook, chance: Chance) -> DeclareRow:
        """The act of a row."""
        salts = tuple(chance(32) for _ in range(3))
        return cls(row.declares, row.said, rules.digest, f"ast-{chance(8).hex()}", salts)

    def digest(self) -> bytes:
        """That of the declaration."""
        return self.declares.digest()


class DeclareRows:
    """Decides many declarations in log order; see `Batched`."""

    kind = "asset_declared"

    def reads(self, asked: Sequence[Asked]) -> Sequence[Statement]:
        """Who declares, who is to run, and which rules are in force when."""
        parties = {ask.caller.party for ask in asked} | {
            ask.act.declares.operator for ask in asked if ask.act.declares.operator
        }
        return (
            ("SELECT id, roles, state, stopped FROM party WHERE id = ANY(%s)", (sorted(parties),)),
            ("SELECT digest, effective_us FROM rulebook_version ORDER BY log_index DESC", ()),
        )

    def decide(
        self,
        now_us: int,
        first_index: int,
        asked: Sequence[Asked],
        rows: Sequence[Sequence[tuple[Any, ...]]],
    ) -> tuple[Sequence[Ruling], Sequence[Statement]]:
        """Take each row whose department and operator are active, under the rules that it was judged by."""
        parties = {
            name: Party(id=name, roles=roles, state=state, stopped=stopped)
            for name, roles, state, stopped in rows[0]
        }
        in_force = next((digest for digest, effective_us in rows[1] if effective_us <= now_us), None)
        rulings: list[Ruling] = []
        assets: list[tuple[Any, ...]] = []
        openings: list[tuple[str, int, bytes, str]] = []
        readers: list[tuple[str, int]] = []
        index = first_index
        for ask in asked:
            act: DeclareRow = ask.act
            try:
                _require(ask, parties, in_force)
            except ExchangeError as error:
                rulings.append(Ruling(error=error))
                continue
            salts = iter(act.salts)

            def seal(text: str, salts: Iterator[bytes] = salts, index: int = index) -> str:
                salt = next(salts)
                sealed = commitment(salt, text)
                openings.append((sealed, index, salt, text))
                return sealed

            what, said, party = act.declares, act.said, ask.caller.party
            told = declaration(what, said, asset=act.asset, supplier=party, seal=seal)
            body = {
                "act": told,
                "by": ask.caller.person,
                "key": ask.key,
                "kind": self.kind,
                "party": party,
                "rulebook": act.rules,
                "time": str(now_us),
            }
            rulings.append(Ruling(canonical(body), canonical(told)))
            words = found_by(act.asset, what.title, what.summary, None, what.kind, None)
            assets.append(
                (
                    act.asset, party, what.operator, what.title, what.summary, what.kind, said.opening, said.reason,
                    ";".join(said.purposes), said.qualified, what.update_days, words, index,
                )
            )  # fmt: skip
            if what.operator is not None:
                readers.append((what.operator, index))
            index += 1
        return rulings, _writes(assets, openings, readers)


def _require(ask: Asked, parties: Mapping[str, Party], in_force: str | None) -> None:
    ask.caller.require("supplier")
    require_active(parties[ask.caller.party])
    if in_force not in (None, ask.act.rules):
        raise Conflict(
            "bulk.rules_changed",
            "new rules came into force while the list was under way",
            field="rulebook",
            rule="a row is judged by the rules that are in force when it is declared",
            remedy="send the list again",
        )
    if ask.act.declares.operator is not None:
        require_operator(ask.act.declares.operator, parties.get(ask.act.declares.operator))


def _writes(
    assets: Sequence[tuple[Any, ...]],
    openings: Sequence[tuple[str, int, bytes, str]],
    readers: Sequence[tuple[str, int]],
) -> list[Statement]:
    statements: list[Statement] = []
    if assets:
        statements.append(
            (
                "INSERT INTO asset (id, supplier, operator, title, summary, kind, opening_declared, opening, opening_reason,"
                " purposes, qualified, state, evidence, update_days, stale, words, log_index)"
                " SELECT id, supplier, operator, title, summary, kind, declared, 'closed', reason,"
                " CASE purposes WHEN '' THEN '{}' ELSE string_to_array(purposes, ';') END, qualified, 'declared', '{}', days,"
                " false, words, log_index FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],"
                " %s::text[], %s::text[], %s::text[], %s::bool[], %s::bigint[], %s::text[], %s::bigint[]) AS n(id, supplier,"
                " operator, title, summary, kind, declared, reason, purposes, qualified, days, words, log_index)",
                tuple(map(list, zip(*assets, strict=True))),
            )
        )
        statements.append(
            (
                "INSERT INTO opening (commitment, log_index, salt, value)"
                " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bytea[], %s::text[])",
                tuple(map(list, zip(*openings, strict=True))),
            )
        )
    if readers:
        statements.append(
            (
                "INSERT INTO entry_reader (party, log_index) SELECT * FROM unnest(%s::text[], %s::bigint[])",
                tuple(map(list, zip(*readers, strict=True))),
            )
        )
    return statements


declare_rows: Final = DeclareRows()
