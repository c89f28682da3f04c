"""The story that `exchange demo` tells: one market from raw tables to an audited trade, and what must fail.

Everything is done by clients over HTTP and by commands in processes of their own; this file only plays the
people. What it reports at the end is computed from the exported log, not from what it hoped for.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from zipfile import ZipFile

import orjson
import psycopg
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from exchange.client import ClientError, Exchange, ExchangeProblem, Refused
from exchange.client.statement import read_statement
from exchange.demo.department import Dataset, Department
from exchange.demo.tables import RawTable, write_flights, write_patients, write_weather
from exchange.embedded import SUPERUSER, Postgres
from exchange.errors import ExchangeError
from exchange.messages.market import AgreementPartsMessage, HolderMessage, OfferMessage, Role
from exchange.sandbox.bank import Bank, Delays
from exchange.sandbox.registering import Registrar, clock_of, concluded
from exchange.sandbox.site import Site, code_of, finish, json_of
from ledger.anchor import anchor_reader
from ledger.audit.disclosed import bodies
from ledger.errors import LedgerError

Language = Literal["zh", "en"]

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
LOT_HOURS = 24
INCREMENT_FEN = 250_000
AGREED = AgreementPartsMessage(
    scope="天气与住院数据 weather and hospital data",
    products="数据集 datasets",
    duties="加工、销售、答复买方 processing, selling, answering buyers",
    security="原始数据不出部门 raw data stays with the department",
    evaluation="每年一次 once a year",
    exit="到期交还，停止新的销售 handed back at the end, nothing new is sold",
)
"""What departments and operator agree on, part by part."""

YEARS_US = 3 * 365 * 86_400_000_000
HOLDERS = ((490_000, "甲 A"), (180_000, "乙 B"), (165_000, "丙 C"), (165_000, "丁 D"))
"""49/18/16.5/16.5, as of 数字广东 (DOMAIN S33)."""


class Unexpected(Exception):
    """Something in the story did not happen as it must."""


@dataclass(slots=True)
class Told:
    """What is reported at the end."""

    assets: int = 0
    auctions: int = 0
    bids: int = 0
    trades: int = 0
    refusals: list[str] = field(default_factory=list)
    accounts: int = 0
    difference_fen: int = 0
    log_size: int = 0
    root: str = ""
    anchor: dict[str, Any] = field(default_factory=dict)
    bundle: str = ""
    seconds: float = 0.0
    verdict: str = "pass"


class Narrator:
    """Says what happened, in one language, with the seconds since the beginning."""

    def __init__(self, console: Console, lang: Language) -> None:
        self._console, self._lang = console, lang
        self.begun = time.monotonic()

    def chapter(self, zh: str, en: str) -> None:
        """A new part of the story."""
        self._console.print(f"\n[bold]{zh if self._lang == 'zh' else en}[/]")

    def did(self, zh: str, en: str) -> None:
        """Something that was done."""
        self._line("[green]✓[/]", zh, en)

    def refused(self, zh: str, en: str) -> None:
        """Something that was tried and refused, as it must be."""
        self._line("[yellow]✗[/]", zh, en)

    def waiting(self, zh: str, en: str) -> Status:
        """A spinner for as long as something takes."""
        return self._console.status(zh if self._lang == "zh" else en)

    def _line(self, mark: str, zh: str, en: str) -> None:
        seconds = time.monotonic() - self.begun
        self._console.print(
            f"[dim]{seconds:5.1f} s[/] {mark} {escape(zh if self._lang == 'zh' else en)}", soft_wrap=True
        )


def tell(*, keep: bool, json: bool, lang: Language, port: int) -> int:
    """Tell the whole story; returns the exit status: 0 when all of it held, else 1."""
    console = Console(highlight=False, quiet=json)
    narrator = Narrator(console, lang)
    told = Told()
    try:
        with Site(port) as sandbox, ExitStack() as clients:
            play = _Play(sandbox, narrator, told, clients.enter_context)
            play.all()
            told.seconds = round(time.monotonic() - narrator.begun, 1)
            _conclude(narrator, told)
            if json:
                print(orjson.dumps(_report(told)).decode(), flush=True)
            if keep:
                _stay(console, sandbox, lang)
    except (Unexpected, ClientError, ExchangeError, LedgerError) as problem:
        told.verdict = "fail"
        told.seconds = round(time.monotonic() - narrator.begun, 1)
        console.print(f"[bold red]✗ {escape(str(problem))}[/]")
        if json:
            print(orjson.dumps({**_report(told), "problem": str(problem)}).decode(), flush=True)
    return 0 if told.verdict == "pass" else 1


def _report(told: Told) -> dict[str, Any]:
    return {
        "verdict": told.verdict,
        "assets": told.assets,
        "auctions": told.auctions,
        "bids": told.bids,
        "trades": told.trades,
        "refusals": len(told.refusals),
        "refused": told.refusals,
        "accounts": told.accounts,
        "difference_fen": told.difference_fen,
        "log_size": told.log_size,
        "root": told.root,
        "anchor": told.anchor,
        "bundle": told.bundle,
        "seconds": told.seconds,
    }


def _conclude(narrator: Narrator, told: Told) -> None:
    narrator.chapter("结论", "Conclusion")
    narrator.did(
        f"{told.assets} 项资产、{told.auctions} 场竞价、{told.bids} 次出价、{told.trades} 笔成交、"
        f"{len(told.refusals)} 次应有的拒绝；三方账目相差 {told.difference_fen} 分",
        f"{told.assets} assets, {told.auctions} auctions, {told.bids} bids, {told.trades} trades, "
        f"{len(told.refusals)} due refusals; the three books differ by {told.difference_fen} fen",
    )
    narrator.did(
        f"日志 {told.log_size} 条，根 {told.root[:16]}…；证据包 {told.bundle}",
        f"log of {told.log_size} entries, root {told.root[:16]}…; the evidence is in {told.bundle}",
    )


def _stay(console: Console, sandbox: Site, lang: Language) -> None:
    words = "控制台在 {}，按 Ctrl-C 结束" if lang == "zh" else "The console is at {}; Ctrl-C ends the sandbox"
    console.print("\n" + words.format(f"[bold]{sandbox.url}/{lang}/[/]"))
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return


@dataclass(slots=True)
class _Enterprise:
    name: str
    party: str
    client: Exchange
    maximum_fen: int


class _Play:
    """The people and their acts, in order."""

    def __init__(
        self,
        sandbox: Site,
        narrator: Narrator,
        told: Told,
        keep: Callable[[AbstractContextManager[Exchange]], Exchange],
    ) -> None:
        self.sandbox, self.narrator, self.told, self._keep = sandbox, narrator, told, keep
        self.data: list[Dataset] = []
        self.enterprises: list[_Enterprise] = []
        self.backing_up: subprocess.Popen[str]

    def all(self) -> None:
        """Every chapter."""
        self.begin()
        self.meet()
        self.bring()
        self.list_and_sell()
        self.auction()
        self.deliver()
        self.pay_out()
        self.audit()
        self.tamper()

    def must_refuse(self, what: str, zh: str, attempt: Callable[[], object]) -> str:
        """Try what must fail; returns the code of the refusal."""
        try:
            attempt()
        except ExchangeProblem as problem:
            on_record = isinstance(problem, Refused)
            self.told.refusals.append(problem.code)
            self.narrator.refused(
                f"{zh}：{problem.code}{'（已入日志）' if on_record else ''}",
                f"{what}: {problem.detail} ({problem.code}{', on the record' if on_record else ''})",
            )
            return problem.code
        raise Unexpected(f"{what} was not refused")

    def require(self, holds: bool, what: str) -> None:
        """End the story where something does not hold."""
        if not holds:
            raise Unexpected(what)

    # the chapters

    def begin(self) -> None:
        """Raw tables in the departments' directories, their scans in the background, then the exchange."""
        say = self.narrator
        say.chapter("一、沙箱", "1. The sandbox")
        self.data = [
            self._raw("transport", "flights", write_flights, "transport", "travel"),
            self._raw("meteorology", "weather", write_weather, "meteorology", "weather"),
            self._raw("health", "patients", write_patients, "health", "medical_care"),
        ]
        rows = sum(d.raw.rows for d in self.data)
        say.did(
            f"三张真实原始表（{rows:,} 行）写入各部门自己的目录，交易所不知其所在；扫描已在部门本地开始",
            f"three real raw tables ({rows:,} rows) lie in the departments' own directories, of which the exchange is not told; their scans began there",
        )
        with say.waiting("数据库、密钥、日志、链…", "database, keys, log, chain …"):
            self.sandbox.open()
        say.did(
            f"交易所在 {self.sandbox.url}，日志公钥 {self.sandbox.vkey}",
            f"the exchange serves on {self.sandbox.url}, its log key is {self.sandbox.vkey}",
        )
        say.did(f"链在 {self.sandbox.chain_url}", f"the chain is at {self.sandbox.chain_url}")

    def _raw(
        self, department: str, name: str, write: Callable[[Path], RawTable], kind: str, theme: str
    ) -> Dataset:
        folder = self.sandbox.directory(f"department-{department}")
        raw = write(folder)
        work = folder / "work"
        work.mkdir(mode=0o700)
        scanning = self.sandbox.start("desensitize", "scan", str(raw.path), "--out", str(work))
        return Dataset(raw, work, kind, theme, scanning)

    def _client(self, key: str) -> Exchange:
        return self._keep(Exchange(self.sandbox.url, key, self.sandbox.vkey))

    def _person(self, party: str, name: str) -> Exchange:
        """Invite a person, and let that person redeem the link with a key made on its own machine."""
        link = self.admin.invite(party, name).link
        with Exchange(self.sandbox.url, None, self.sandbox.vkey) as visitor:
            return self._client(visitor.enrol(link))

    def _party(self, number: int, name: str, *roles: Role, holders: Sequence[HolderMessage] = ()) -> str:
        return str(self.admin.register_party(code_of(number), name, roles, holders).outcome["id"])

    def meet(self) -> None:
        """The administrator's one-time link, then everybody else."""
        say = self.narrator
        say.chapter("二、参与者", "2. Who takes part")
        with Exchange(self.sandbox.url, None, self.sandbox.vkey) as visitor:
            self.admin = self._client(visitor.enrol(self.sandbox.link))
        self.must_refuse(
            "the administrator's link a second time",
            "管理员的一次性链接再次使用",
            lambda: Exchange(self.sandbox.url, None, self.sandbox.vkey).enrol(self.sandbox.link),
        )
        transport = self._party(2, "交通气象部门 Department of transport and weather", "supplier")
        health = self._party(3, "卫生健康部门 Department of health", "supplier")
        holders = [HolderMessage(name=f"股东 holder {name}", share_ppm=ppm) for ppm, name in HOLDERS]
        self.operator = self._party(4, "数据运营公司 Operator", "operator", holders=holders)
        regulator = self._party(5, "监管机构 Regulator", "regulator")
        bank = self._party(6, "存管银行 Bank", "bank")
        registrar = self._party(12, "登记机构 Registrar", "registrar")
        self.registrar = Registrar(
            self._person(registrar, "受理人 clerk"), self._person(registrar, "审核人 reviewer")
        )
        self.regulator = self._person(regulator, "监管员 auditor")
        self.departments = {
            name: Department(
                self.sandbox,
                party,
                self._person(party, "风险评估人 assessor"),
                self._person(party, "授权审批人 approver"),
            )
            for name, party in (("transport", transport), ("health", health))
        }
        for department in self.departments.values():
            now_us = department.approver.market().now_us
            department.approver.agree_operation(
                self.operator, 200_000, AGREED, starts_us=now_us, ends_us=now_us + YEARS_US
            )
        self.clerk = self._person(bank, "存管员 clerk")
        self.bank = Bank(self.clerk, self.sandbox.directory("bank"), Delays(payout_us=0))
        for number, (letter, maximum_fen) in enumerate(
            (("A", 9_000_000), ("B", 9_800_000), ("C", 8_000_000), ("D", 11_000_000), ("E", 0)), 7
        ):
            party = self._party(number, f"企业 {letter} Enterprise {letter}", "buyer")
            client = self._person(party, f"交易员 trader {letter}")
            self.bank.order_transfer(party, maximum_fen * 4 or 100)
            self.enterprises.append(_Enterprise(letter, party, client, maximum_fen))
        self.bank.turn()
        say.did(
            "两个部门、一家运营公司（49/18/16.5/16.5）、登记机构、监管、银行、五家企业；每人用自己机器上生成的密钥",
            "two departments, an operator (49/18/16.5/16.5), a registrar, a regulator, a bank, five enterprises; "
            "each person with a key made on the own machine",
        )

    def bring(self) -> None:
        """Risk assessment, authorization, desensitization, theme, registration: in that order, each refused before."""
        say = self.narrator
        say.chapter("三、从原始表到登记资产", "3. From raw table to registered asset")
        flights, weather, patients = self.data
        transport, health = self.departments["transport"], self.departments["health"]
        plan = ((flights, transport), (weather, transport), (patients, health))
        for data, department in plan:
            department.declare(data, self.operator)
        digest = sha256(patients.raw.path.read_bytes()).hexdigest()
        self.must_refuse(
            "a release without any approval",
            "未经审批即发布",
            lambda: health.assessor.release(patients.asset, "none", digest, {}),
        )
        with say.waiting("扫描与评估…", "scans and assessments …"):
            for data, department in reversed(plan):
                department.assess(data)
        before = patients.report["before"]
        say.did(
            f"风险评估：患者表 k = {before['k']}，唯一行 {int(before['unique_rows']):,}；原始值未离开部门",
            f"risk assessments filed: the patients' table has k = {before['k']}, "
            f"{int(before['unique_rows']):,} unique rows; no raw value left its department",
        )
        self.must_refuse(
            "the assessor authorizes the own assessment",
            "评估人自己授权",
            lambda: health.assessor.authorize(patients.asset, patients.assessment),
        )
        authorizations = [(d, p, p.approver.authorize(d.asset, d.assessment)) for d, p in plan]
        say.did(
            "第二人授权，绑定原始表摘要与脱敏策略摘要",
            "a second person authorized each, bound to the digests of raw table and policy",
        )
        applying = [(d, p, a, p.desensitize(d, a)) for d, p, a in authorizations]
        self._try_raw(patients, health, authorizations[2][2].outcome["authorization"])
        with say.waiting("脱敏…", "desensitizing …"):
            for data, department, authorization, child in applying:
                finish(child)
                department.release(data, authorization)
        certificate = patients.read("certificate.json")
        after = certificate["metrics"]["after"] if "metrics" in certificate else certificate["after"]
        say.did(
            f"部门本地脱敏，交易所复测通过：患者表 k = {after['k']}",
            f"desensitized at the departments and measured again here: the patients' table has k = {after['k']}",
        )
        self._register(plan)
        self._search_for_names(patients)

    def _register(self, plan: Sequence[tuple[Dataset, Department]]) -> None:
        """Apply, acceptance, review by a second registrar, public notice, code."""
        clerk, reviewer = self.registrar
        names = [department.assessor.apply(data.asset).outcome["application"] for data, department in plan]
        for name in names:
            clerk.accept(name)
        self.must_refuse(
            "who accepted the application reviews it as well",
            "受理人自己审核",
            lambda: clerk.review(names[0]),
        )
        ends_us = max(int(reviewer.review(name).outcome["ends_us"]) for name in names)
        self.must_refuse(
            "a listing while the public notice runs",
            "公示期内挂牌",
            lambda: plan[0][1].approver.offer_fixed_price(
                plan[0][0].asset, OfferMessage(grant="licence", term_days=365, price_fen=100)
            ),
        )
        with self.narrator.waiting("公示…", "the public notice …"):
            concluded(names, ends_us, self.registrar, clock_of(self.admin))
        for data, department in plan:
            data.code = department.assessor.asset(data.asset).asset.code or ""
            self.admin.certificate(data.code)
        self.told.assets = len(plan)
        codes = ", ".join(d.code for d in self.data)
        self.narrator.did(
            f"受理、第二人形式审核、公示（十个工作日）期满，登记赋码：{codes}",
            f"accepted, reviewed by a second registrar, ten working days in public notice, then registered: {codes}",
        )

    def _try_raw(self, data: Dataset, department: Department, authorization: str) -> None:
        """Send the raw table itself as if it were the product, on a sandbox copy of the certificate's form."""
        import pyarrow.csv
        import pyarrow.parquet

        raw = data.work / "raw.parquet"
        pyarrow.parquet.write_table(pyarrow.csv.read_csv(data.raw.path), raw)
        digest = department.assessor.upload(raw)
        policy = data.report["policy_digest"]
        forged = {
            "raw_digest": data.report["raw"]["digest"],
            "policy_digest": policy,
            "product_digest": digest,
        }
        self.must_refuse(
            "the raw table itself, sent as a product",
            "把原始表当作产品上传",
            lambda: department.assessor.release(data.asset, authorization, digest, forged),
        )

    def _search_for_names(self, data: Dataset) -> None:
        """Look for raw values in everything that the exchange keeps on disk."""
        names = [line.split(",")[1].encode() for line in data.raw.path.read_text().splitlines()[1:40]]
        for path in self.sandbox.data_dir.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                self.require(
                    not any(name in content for name in names), f"{path.name} holds a name of the raw table"
                )
        self.narrator.did(
            f"在交易所的全部文件中查找 {len(names)} 个原始姓名：一个也没有",
            f"searched all files of the exchange for {len(names)} names of the raw table: none is there",
        )

    def list_and_sell(self) -> None:
        """Appraisal by cost, a fixed price, two lots."""
        say = self.narrator
        say.chapter("四、评估与挂牌", "4. Appraisal and listing")
        flights, weather, patients = self.data
        transport, health = self.departments["transport"], self.departments["health"]
        values = {}
        for data, department, costs in (
            (flights, transport, (("collection", 4_000_000), ("processing", 2_500_000))),
            (weather, transport, (("collection", 400_000), ("storage", 150_000))),
            (patients, health, (("collection", 5_000_000), ("processing", 1_500_000))),
        ):
            values[data.kind] = int(department.appraise(data, costs).outcome["value_fen"])
        say.did(
            "成本法估值：" + "，".join(f"{k} {v / 100:,.2f} 元" for k, v in values.items()),
            "appraised by cost: " + ", ".join(f"{k} {v / 100:,.2f} yuan" for k, v in values.items()),
        )
        terms = OfferMessage(grant="licence", licences=3, term_days=365, price_fen=1_000_000)
        listing = transport.approver.offer_fixed_price(weather.asset, terms).outcome["id"]
        # The department signs its terms once; then each purchase needs only the buyer's signature.
        for department in self.departments.values():
            department.approver.add_signing_key("contracts")
        transport.approver.sign_terms(listing)
        for enterprise in self.enterprises[:2]:
            enterprise.client.buy(listing)
            self.told.trades += 1
        self.must_refuse(
            "an enterprise buys what its account does not cover",
            "余额不足仍购买",
            lambda: self.enterprises[4].client.buy(listing),
        )
        say.did("气象数据一口价售出两份许可", "two licences of the weather sold at a fixed price")
        now_us = self.admin.market().now_us
        self.lots = []
        for data, department in ((flights, transport), (patients, health)):
            start_fen = -(-values[data.kind] * 7 // 10 // 10_000) * 10_000
            done = department.approver.open_lot(
                data.asset,
                OfferMessage(
                    grant="exclusive",
                    term_days=365,
                    price_fen=start_fen,
                    reason="one analysis partner for the first year",
                ),
                increment_fen=INCREMENT_FEN,
                deposit_fen=start_fen // 10,
                opens_us=now_us + 60 * MINUTE_US,
                closes_us=now_us + 60 * MINUTE_US + LOT_HOURS * HOUR_US,
            )
            self.lots.append(done.outcome["id"])
            department.approver.sign_terms(done.outcome["listing"])
        self.told.auctions = len(self.lots)
        say.did(
            f"两个标的挂牌竞价，公开 {LOT_HOURS} 小时", f"two lots are open for {LOT_HOURS} hours by auction"
        )

    def auction(self) -> None:
        """Deposits first, five enterprises at once, the last minutes, the close."""
        say = self.narrator
        say.chapter("五、竞价", "5. The auctions")
        *solvent, poor = self.enterprises
        for lot in self.lots:
            for enterprise in solvent:
                enterprise.client.join_lot(lot)
        self.must_refuse(
            "a deposit that the account does not cover",
            "余额不足以冻结保证金",
            lambda: poor.client.join_lot(self.lots[0]),
        )
        say.did("保证金已冻结，各得随机代码", "deposits are held, each bidder has a random code")
        self.bank.order_transfer(poor.party, 40_000_000)
        self.bank.turn()
        poor.maximum_fen = 9_500_000
        for lot in self.lots:
            poor.client.join_lot(lot)
        self.must_refuse(
            "a bid before the lot opens",
            "开拍前出价",
            lambda: solvent[0].client.place_bid(self.lots[0], self.admin.lot(self.lots[0]).start_price_fen),
        )
        self.admin.move_clock(61 * MINUTE_US)
        with say.waiting("五家企业同时出价…", "five enterprises bid at once …"):
            for lot in self.lots:
                self._bid_at_once(lot)
        views = [self.admin.lot(lot) for lot in self.lots]
        say.did(
            "五家企业同时竞价：" + "，".join(f"{(v.standing_price_fen or 0) / 100:,.2f} 元" for v in views),
            "five enterprises bid at once: "
            + ", ".join(f"{(v.standing_price_fen or 0) / 100:,.2f} yuan" for v in views),
        )
        before = views[0].closes_us
        self.admin.move_clock(before - self.admin.market().now_us - 2 * MINUTE_US)
        last = solvent[0].client
        price_fen = (self.admin.lot(self.lots[0]).standing_price_fen or 0) + INCREMENT_FEN
        last.place_bid(self.lots[0], price_fen)
        moved_us = self.admin.lot(self.lots[0]).closes_us - before
        self.require(moved_us > 0, "a bid in the last minutes did not move the close")
        say.did(
            f"最后五分钟内的出价使截止顺延 {moved_us / 1e6:.0f} 秒",
            f"a bid in the last five minutes moved the close by {moved_us / 1e6:.0f} s",
        )
        self.admin.move_clock(6 * MINUTE_US)
        self.must_refuse(
            "a bid after the bell",
            "截止后出价",
            lambda: last.place_bid(self.lots[0], price_fen + INCREMENT_FEN),
        )
        with say.waiting("截止、成交、清算…", "closing and settling …"):
            views = self._settled()
        for view in views:
            self.require(view.state == "sold", f"lot {view.id} is {view.state}")
            self.told.trades += 1
            say.did(
                f"{view.asset_code} 以 {(view.price_fen or 0) / 100:,.2f} 元成交，代码 {view.winner_code}；"
                "价款、佣金、税与四家股东分成一笔清算，落选者保证金已退",
                f"{view.asset_code} sold to {view.winner_code} for {(view.price_fen or 0) / 100:,.2f} yuan: price, "
                "fees, tax and four shares in one linked chain; the losers have their deposits back",
            )

    def _bid_at_once(self, lot: str) -> None:
        """Each enterprise lets an agent raise until it holds the lot or would pass its own maximum."""

        bidding = {enterprise.name for enterprise in self.enterprises}

        def bid(enterprise: _Enterprise) -> None:
            # Holding the lot, an agent waits to be outbid for as long as anybody else still bids.
            while enterprise.client.bid_up_to(lot, enterprise.maximum_fen).standing:
                if bidding == {enterprise.name}:
                    return
                time.sleep(0.02)
            bidding.discard(enterprise.name)

        with ThreadPoolExecutor(len(self.enterprises)) as pool:
            list(pool.map(bid, self.enterprises))

    def _settled(self) -> list[Any]:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            views = [self.admin.lot(lot) for lot in self.lots]
            if all(view.settled for view in views):
                return views
            time.sleep(0.1)
        raise Unexpected("the lots were not settled within 30 s")

    def deliver(self) -> None:
        """The winners sign their contracts, and fetch what they bought, by an expiring link."""
        say = self.narrator
        say.chapter("六、交付", "6. Delivery")
        folder = self.sandbox.directory("enterprises")
        for enterprise in self.enterprises:
            for nth, licence in enumerate(enterprise.client.licences()):
                if not nth:
                    enterprise.client.add_signing_key("contracts")
                enterprise.client.sign_contract(licence.trade)
                link = enterprise.client.link(licence.id)
                path = folder / f"{enterprise.name}-{licence.id}.parquet"
                enterprise.client.download(link, path)
                say.did(
                    f"企业 {enterprise.name} 签署合同并下载 {path.stat().st_size:,} 字节，摘要与目录一致",
                    f"enterprise {enterprise.name} signed its contract and downloaded {path.stat().st_size:,} bytes, the digest is the catalogue's",
                )

    def pay_out(self) -> None:
        """The departments take their income home; the bank pays only against a verified receipt."""
        for name, department in self.departments.items():
            available = department.approver.me().available_fen or 0
            department.approver.withdraw(available)
            self.bank.turn()
            self.narrator.did(
                f"部门 {name} 提取收入 {available / 100:,.2f} 元，银行核验回执后付款",
                f"department {name} withdrew {available / 100:,.2f} yuan; the bank paid against the verified receipt",
            )

        self.bank.close_statement()
        for statement in self.bank.statements():
            came = self.clerk.import_statement(read_statement(statement)).outcome
            self.require(came["state"] == "agreed", f"the bank's statement: {came['findings']}")
        self.narrator.did(
            f"银行对账单逐笔核对相符，在途 {int(came['in_transit_fen']) / 100:,.2f} 元",
            f"the bank's statements agree with the book line by line; {int(came['in_transit_fen']) / 100:,.2f} yuan are on their way",
        )

    def audit(self) -> None:
        """The regulator takes the log home, judges it in a process of its own and reads the chain."""
        say = self.narrator
        say.chapter("七、独立审计", "7. The independent audit")
        home = self.sandbox.directory("regulator")
        bundle = home / "bundle.zip"
        backups = self.sandbox.directory("backups")
        backups.chmod(0o711)
        self.backing_up = self.sandbox.start("backup", "--store", str(backups))
        with say.waiting("等待上链，离线审计…", "waiting for an anchor, auditing offline …"):
            deadline = time.monotonic() + 20
            while not self.regulator.anchors() and time.monotonic() < deadline:
                time.sleep(0.2)
            self.regulator.audit_bundle(bundle)
            verdict = self._verify(bundle, expect=0)
        self.require(verdict["ok"] is True, "the audit failed")
        for name in ("signatures", "transfers", "account_rows", "anchors", "bodies"):
            check = next(c for c in verdict["checks"] if c["name"] == name)
            self.require(check["status"] == "passed", f"audit check {name}: {check}")
        say.did(
            f"另一进程离线审计通过：{verdict['size']} 条，重新作出的决定 "
            + ",".join(f"{k} {v}" for k, v in verdict["replay"]["judged"].items()),
            f"a separate process judged {verdict['size']} entries and decided again: "
            + ", ".join(f"{v} {k}" for k, v in verdict["replay"]["judged"].items()),
        )
        with ZipFile(bundle) as archive:
            rows = [orjson.loads(line) for line in archive.read("accounts.jsonl").splitlines()]
            anchors = orjson.loads(archive.read("anchors.json"))
        read = anchor_reader(self.sandbox.chain_url)
        size, root = read(anchors[-1])
        self.require(
            (str(size), root.hex()) == (anchors[-1]["size"], anchors[-1]["root"]), "the chain says otherwise"
        )
        self.told.anchor = {
            "chain_id": int(anchors[-1]["chain_id"]),
            "tx": anchors[-1]["tx"],
            "size": size,
            "checked": True,
        }
        say.did(
            f"监管自行读链：区块中的根与日志一致（大小 {size}）",
            f"the regulator read the chain: the root in the block is the log's at size {size}",
        )
        self.told.difference_fen = self._difference(verdict, rows)
        self.told.accounts = len(rows)
        self.told.log_size = int(verdict["size"])
        self.told.root = verdict["root"]
        self.told.bids = sum(body["kind"] == "bid" for _, body in bodies(bundle))
        self.require(self.told.difference_fen == 0, f"the books differ by {self.told.difference_fen} fen")
        say.did(
            f"日志折算、账户表、银行对账单三方相差 {self.told.difference_fen} 分",
            f"balances from the log, account rows and the bank's statement differ by {self.told.difference_fen} fen",
        )
        kept = Path("var") / "demo" / "bundle.zip"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle, kept)
        self.told.bundle = str(kept)

    def _verify(self, bundle: Path, *, expect: int) -> dict[str, Any]:
        return json_of(
            self.sandbox.run(
                "audit", "verify", str(bundle), "--vkey", self.sandbox.vkey, "--chain",
                self.sandbox.chain_url, "--json", expect=(expect,),
            )
        )  # fmt: skip

    def _difference(self, verdict: dict[str, Any], rows: list[dict[str, str]]) -> int:
        """Sum of absolute differences, in fen, between the log's balances, the rows and the bank's statement."""
        total = 0
        folded = verdict["balances"]
        for row in rows:
            for balance in ("debits_pending", "debits_posted", "credits_pending", "credits_posted"):
                total += abs(int(row[balance]) - int(folded.get(row["id"], {}).get(balance, "0")))
        total += sum(
            abs(int(a["balance"])) for name, a in folded.items() if name not in {r["id"] for r in rows}
        )
        escrow = -int(folded["bank:escrow"]["balance"])
        return total + abs(escrow - self.bank.balance_fen)

    def tamper(self) -> None:
        """Restore a backup elsewhere, change a row behind the ledger's back there, and have it found."""
        say = self.narrator
        say.chapter("八、在副本上篡改", "8. Tampering, on a copy")
        copy = self.sandbox.directory("copy")
        copy.chmod(0o711)
        with say.waiting("备份、恢复、审计…", "backup, restore, audit …"):
            finish(self.backing_up)
            shutil.copytree(self.sandbox.data_dir / "keys", copy / "keys")
            self.sandbox.run("restore", str(self.sandbox.folder / "backups"), data_dir=copy)
        say.did(
            "备份已恢复到副本，并经审计证明其根在日志历史上",
            "a backup was restored to a copy and proved by audit: its root lies on the log's history",
        )
        bundle = copy / "tampered.zip"
        with say.waiting("篡改并再审计…", "tampering and auditing again …"), Postgres.start(copy) as postgres:
            with psycopg.connect(postgres.url(SUPERUSER)) as connection:
                connection.execute("SET session_replication_role = replica")  # silences the triggers
                row = connection.execute(
                    "UPDATE account SET credits_posted = credits_posted + 100000 WHERE id = (SELECT account FROM"
                    " party WHERE id = %s) RETURNING id",
                    (self.enterprises[1].party,),
                ).fetchone()
            self.require(row is not None, "no row to tamper with")
            self.sandbox.run("audit", "export", str(bundle), data_dir=copy)
            verdict = self._verify(bundle, expect=1)
        found = verdict["first_bad_index"]
        self.require(
            verdict["ok"] is False and isinstance(found, int), "the changed row was not found with its index"
        )
        failed = [c["name"] for c in verdict["checks"] if c["status"] == "failed"]
        self.told.refusals.append(f"audit.{failed[0]}")
        say.refused(
            f"有人绕过账本给企业 B 多记 1,000 元：审计在第 {found} 条发现（{'、'.join(failed)}）",
            f"a row was given 1,000 yuan behind the ledger's back: the audit found it at entry {found} ({', '.join(failed)})",
        )
