"""The six kinds of public data: each department registers a real table by the command line, and the raw ones are refused.

Everything is done as people of a department do it: `exchange desensitize` in the department's own directory, a queue for
each person, two people. What is tried with the raw tables goes once through the tool, which does not let them out, and once
around it, to the exchange itself.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import orjson
from rich.console import Console
from rich.table import Table

from exchange.client import Exchange, ExchangeProblem, Refused
from exchange.demo.tables import (
    RawTable,
    write_city_crimes,
    write_entities,
    write_flights,
    write_patients,
    write_schools,
    write_weather,
)
from exchange.errors import Unavailable
from exchange.sandbox.registering import Registrar, clock_of, concluded
from exchange.sandbox.site import Site, code_of, finish

Language = Literal["zh", "en"]

REASONS_SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the six kinds, with the table that stands for it and the theme that it joins."""

    kind: str
    zh: str
    en: str
    theme: str
    write: Callable[[Path], RawTable]


SIX: Final[tuple[Kind, ...]] = (
    Kind("enterprise_registration", "企业登记", "enterprise registration", "business_credit", write_entities),
    Kind("health", "卫生健康", "health", "medical_care", write_patients),
    Kind("transport", "交通运输", "transport", "travel", write_flights),
    Kind("city", "城市管理", "city management", "city_life", write_city_crimes),
    Kind("education", "教育", "education", "learning", write_schools),
    Kind("meteorology", "气象", "meteorology", "weather", write_weather),
)
"""廖福崇 (2022): the six kinds of public data that open first."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One try with a raw table: what it was, who refused it, and why; `index` where it is on the record."""

    tried_zh: str
    tried_en: str
    by: Literal["tool", "exchange"]
    code: str
    reasons: tuple[str, ...]
    index: int | None = None


@dataclass(slots=True)
class Registered:
    """What came of one department's table."""

    kind: Kind
    raw: RawTable
    asset: str = ""
    application: str = ""
    code: str = ""
    opening: str = ""
    refusals: list[Refusal] = field(default_factory=list)


def registered(*, json: bool, lang: Language, kinds: Sequence[Kind] = SIX) -> int:
    """Register the tables in a sandbox of its own and print what came of each; 0 when all of them are, and no raw one."""
    began = time.monotonic()
    console = Console(highlight=False, quiet=json)
    words = (
        "六个部门各自登记一张真实数据表…" if lang == "zh" else "six departments register a real table each …"
    )
    with Site(0) as site, console.status(words):
        site.open()
        key = _enrolled(site, site.link)
        departments = _departments(site, key, kinds)
        with ThreadPoolExecutor(2) as two:
            found = list(two.map(lambda department: department.bring(), departments))
        _register(site, key, departments, found)
    seconds = round(time.monotonic() - began, 1)
    whole = all(one.code and len(one.refusals) == 3 for one in found)
    if json:
        print(
            orjson.dumps(
                {**_report(found), "seconds": seconds, "verdict": "pass" if whole else "fail"}
            ).decode()
        )
    else:
        _print(console, found, lang)
    return 0 if whole else 1


def _enrolled(site: Site, link: str) -> str:
    """The key of whoever redeems a one-time link."""
    with Exchange(site.url, None, site.vkey) as newcomer:
        return newcomer.enrol(link)


def _register(site: Site, key: str, departments: Sequence[_Department], found: Sequence[Registered]) -> None:
    """Two registrars accept and review what the departments applied for; when the public notice has ended it has its code."""
    with ExitStack() as clients:
        administrator, clerk, reviewer = (
            clients.enter_context(Exchange(site.url, who, site.vkey)) for who in (key, None, None)
        )
        party = administrator.register_party(code_of(99), "登记机构 Registrar", ["registrar"]).outcome["id"]
        registrar = Registrar(clerk, reviewer)
        for person in registrar:
            person.enrol(administrator.invite(party, "registrar").link)
        ends_us = 0
        for came in found:
            clerk.accept(came.application)
            ends_us = max(ends_us, int(reviewer.review(came.application).outcome["ends_us"]))
        names = [came.application for came in found]
        concluded(names, ends_us, registrar, clock_of(administrator))
        for department, came in zip(departments, found, strict=True):
            with department.assessor() as market:
                came.code = market.asset(came.asset).asset.code or ""


def _departments(site: Site, key: str, kinds: Sequence[Kind]) -> list[_Department]:
    """Admit a department for each kind, with two people who each keep a key."""
    found = []
    with Exchange(site.url, key, site.vkey) as administrator:
        for number, kind in enumerate(kinds, 2):
            name = f"{kind.zh}主管部门 Department of {kind.en}"
            party = administrator.register_party(code_of(number), name, ["supplier"]).outcome["id"]
            folder = site.directory(f"department-{kind.kind}")
            for person in ("assessor", "approver"):
                link = administrator.invite(party, person).link
                secret = _enrolled(site, link)
                (folder / f"{person}.key").touch(0o600)
                (folder / f"{person}.key").write_text(secret)
            found.append(_Department(site, kind, folder, kind.write(folder)))
    return found


@dataclass(slots=True)
class _Department:
    """One department at its own machine."""

    site: Site
    kind: Kind
    folder: Path
    raw: RawTable

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def tool(self, *words: str | Path, expect: tuple[int, ...] = (0,)) -> str:
        """Run the department's tool."""
        child = self.site.start("desensitize", *map(str, words), data_dir=self.folder)
        return finish(child, expect)

    def _queue(self, person: str) -> tuple[str | Path, ...]:
        return ("--queue", self.folder / f"queue-{person}")

    def _reach(self, person: str) -> tuple[str | Path, ...]:
        return (
            *("--url", self.site.url, "--vkey", self.site.vkey),
            *("--key-file", self.folder / f"{person}.key", *self._queue(person)),
        )

    def bring(self) -> Registered:
        """Lead the table from its raw file to the registrar; each step has to be done."""
        raw, came = self.raw, Registered(self.kind, self.raw)
        self.tool("scan", raw.path, "--out", self.work)
        came.refusals.append(self._raw_without_anything())
        self.tool(
            *("queue", "assessment", self.work, "--title", f"{raw.title_zh} {raw.title_en}"[:200]),
            *("--kind", self.kind.kind, "--summary", f"{raw.source}; {raw.licence}"),
            *(
                "--harm",
                f"{'personal_rights' if raw.about_persons else 'public_interest'}:ordinary:what a leak would show",
            ),
            *("--no-state-secret", "--no-trade-secret", "--not-consented", *self._queue("assessor")),
        )
        self.tool("send", *self._reach("assessor"))
        answers = self._answers("assessor")
        asset, assessment = answers["declare"]["asset"], answers["assess"]["assessment"]
        came.opening = answers["assess"]["opening"]
        self.tool("queue", "approval", asset, assessment, *self._queue("approver"))
        self.tool("send", *self._reach("approver"))
        self.tool("fetch", self.work, *self._reach("assessor"))
        self.tool(
            *("apply", raw.path, "--policy", self.work / "policy.json", "--vkey", self.site.vkey),
            *("--authorization", self.work / "authorization.json", "--out", self.work),
        )
        came.refusals += [self._raw_through_the_tool(), self._raw_around_the_tool(asset)]
        self.tool("queue", "release", self.work, "--theme", self.kind.theme, *self._queue("assessor"))
        self.tool("send", *self._reach("assessor"))
        came.asset, came.application = asset, self._answers("assessor")["register"]["application"]
        return came

    def _answers(self, person: str) -> dict[str, Any]:
        """What the exchange answered, by act."""
        said = self.tool("queue", "list", "--json", *self._queue(person), expect=(0, 1))
        rows = [orjson.loads(line) for line in said.splitlines()]
        return {row["act"]: row["outcome"] for row in rows if row["state"] == "done"}

    def _raw_without_anything(self) -> Refusal:
        """The raw file, uploaded and released on an asset that was only declared."""
        with self.assessor() as market:
            asset = market.declare_asset(f"raw {self.raw.title_en}"[:200], self.kind.kind).outcome["asset"]
            digest = market.upload(self.raw.path)
            try:
                market.release(asset, "aut-none", digest, {})
            except ExchangeProblem as problem:
                return _told("未经评估与授权即交付", "released without assessment and approval", problem)
        raise Unavailable("demo.raw", "a raw table was released without an assessment")

    def _raw_through_the_tool(self) -> Refusal:
        """The raw table in the place of the product, put before the department's own tool."""
        forged = self.folder / "forged"
        shutil.copytree(self.work, forged)
        self._as_parquet(forged / "product.parquet")
        child = self.site.start(
            *("desensitize", "queue", "release", str(forged), "--theme", self.kind.theme),
            *map(str, self._queue("assessor")),
            data_dir=self.folder,
        )
        _, wrong = child.communicate(timeout=300)
        if child.returncode != 1:
            raise Unavailable("demo.raw", f"the tool took a raw table: {wrong}")
        lines = [line.strip(" ✗") for line in wrong.splitlines() if line.strip()]
        return Refusal(
            "冒充产品交给部门工具",
            "put into the queue as the product",
            "tool",
            "queue.not_certified",
            tuple(lines[:1]),
        )

    def _raw_around_the_tool(self, asset: str) -> Refusal:
        """The raw table with the product's certificate, sent to the exchange past the tool."""
        certificate = orjson.loads((self.work / "certificate.json").read_bytes())
        raw = self.folder / "raw-as-product.parquet"
        self._as_parquet(raw)
        with self.assessor() as market:
            digest = market.upload(raw)
            try:
                market.release(
                    asset,
                    certificate["authorization"]["id"],
                    digest,
                    {**certificate, "product_digest": digest},
                )
            except ExchangeProblem as problem:
                return _told("绕过工具直接交付", "sent past the tool, certificate forged", problem)
        raise Unavailable("demo.raw", "a raw table crossed")

    def _as_parquet(self, target: Path) -> None:
        import pyarrow.csv
        import pyarrow.parquet

        if self.raw.path.suffix == ".parquet":
            shutil.copyfile(self.raw.path, target)
        else:
            pyarrow.parquet.write_table(pyarrow.csv.read_csv(self.raw.path), target)

    def assessor(self) -> Exchange:
        """A client of the person who assesses and releases."""
        return Exchange(self.site.url, (self.folder / "assessor.key").read_text(), self.site.vkey)


def _told(zh: str, en: str, problem: ExchangeProblem) -> Refusal:
    reasons: tuple[str, ...] = (problem.detail,)
    index = None
    if isinstance(problem, Refused):
        failures = problem.done.outcome.get("failures", ())
        reasons = tuple(
            f"{one['column']}: {one['rule']}" if one["column"] else one["detail"] for one in failures
        )
        index = problem.done.index
    return Refusal(zh, en, "exchange", problem.code, tuple(dict.fromkeys(reasons)), index)


def _report(found: Sequence[Registered]) -> dict[str, Any]:
    return {
        "registered": [
            {
                "kind": one.kind.kind,
                "table": one.raw.title_en,
                "rows": one.raw.rows,
                "licence": one.raw.licence,
                "opening": one.opening,
                "code": one.code,
                "refused": [
                    {
                        "tried": refusal.tried_en,
                        "by": refusal.by,
                        "code": refusal.code,
                        "reasons": list(refusal.reasons),
                        "index": refusal.index,
                    }
                    for refusal in one.refusals
                ],
            }
            for one in found
        ]
    }


def _print(console: Console, found: Sequence[Registered], lang: Language) -> None:
    zh = lang == "zh"
    table = Table(title="已登记" if zh else "registered", title_justify="left")
    heads = ("类别", "数据", "行数", "许可", "开放属性", "登记编码") if zh else (
        "kind", "table", "rows", "licence", "opening", "code"
    )  # fmt: skip
    for head in heads:
        table.add_column(head, overflow="fold")
    for one in found:
        title = one.raw.title_zh if zh else one.raw.title_en
        name = one.kind.zh if zh else one.kind.en
        table.add_row(name, title, f"{one.raw.rows:,}", one.raw.licence, one.opening, one.code)
    console.print(table)
    refused = Table(
        title="原始数据：被拒绝及原因" if zh else "the raw tables: refused, and why", title_justify="left"
    )
    columns = (
        ("类别", "所试", "由谁拒绝", "代码", "原因") if zh else ("kind", "tried", "refused by", "code", "why")
    )
    for head in columns:
        refused.add_column(head, overflow="fold")
    for one in found:
        for refusal in one.refusals:
            who = {"tool": ("部门工具", "the tool"), "exchange": ("交易所", "the exchange")}[refusal.by]
            record = (
                ""
                if refusal.index is None
                else (f"，日志 {refusal.index}" if zh else f", entry {refusal.index}")
            )
            shown = [
                *refusal.reasons[:REASONS_SHOWN],
                *(["…"] if len(refusal.reasons) > REASONS_SHOWN else []),
            ]
            refused.add_row(
                one.kind.zh if zh else one.kind.en,
                refusal.tried_zh if zh else refusal.tried_en,
                who[0 if zh else 1] + record,
                refusal.code,
                "\n".join(shown),
            )
    console.print(refused)
