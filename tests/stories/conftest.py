"""The scene of all stories: the real application over real HTTP, and users who reach it through the SDK alone."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import uvicorn
import uvloop

from exchange import app as exchange_app
from exchange.client import Done, Exchange
from exchange.database import Addresses
from exchange.desensitization import department
from exchange.desensitization.certificate import Authorization
from exchange.desensitization.department import Scan
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.reading.limits import Limits
from exchange.messages.assets import (
    AppraisalMessage,
    AssessmentMessage,
    ColumnMessage,
    CostApproachMessage,
    CostMessage,
    DeclarationsMessage,
    ImpactMessage,
    QualityMessage,
)
from exchange.messages.market import AgreementPartsMessage, HolderMessage, OfferMessage, Role
from exchange.rulebook import Rulebook, load
from exchange.sandbox.registering import Registrar, clock_of, registered
from exchange.settings import Settings
from pricing.appraisal import InformationAttributes, LegalAttributes, ValueAttributes

NONCE = bytes(range(32))  # the regulator's part of every draw
HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000
START_FEN = 10_000_00
INCREMENT_FEN = 100_00
DEPOSIT_FEN = 1_000_00

ON_CONDITION: dict[str, Any] = {"opening": "conditional", "opening_reason": "planned for this year"}
"""How an asset is declared that is to be sold under any model."""

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def uscc(number: int) -> str:
    """The `number`-th unified social credit code of this run, its check character true (GB 32100)."""
    body = f"9144010{number:07d}XXX"
    total = sum(_ALPHABET.index(c) * pow(3, n, 31) for n, c in enumerate(body))
    return body + _ALPHABET[-total % 31]


class ServerThread:
    """The application in a thread of the tests: quick to start, and stopped as Ctrl-C would."""

    def __init__(self, settings: Settings, *, port: int = 0) -> None:
        listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: uvicorn.Server | None = None
        self._ready = threading.Event()

        def begin(server: uvicorn.Server) -> None:
            self._server = server
            self._ready.set()

        def run() -> None:
            try:
                uvloop.run(exchange_app.serve(settings, listener, started=begin))
            finally:
                self._ready.set()

        self._thread = threading.Thread(target=run, name="exchange")
        self._thread.start()
        self._ready.wait(30)
        assert self._server is not None, "the exchange did not start"

    def stop(self) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(30)


class ServerProcess:
    """`exchange serve` as a process of its own: it can be killed, and stand beside another one."""

    def __init__(self, settings: Settings, *, port: int = 0, work: bool = True) -> None:
        environment = {
            **os.environ,
            "EXCHANGE_DATA_DIR": str(settings.data_dir),
            "EXCHANGE_DATABASE_URL": str(settings.database_url),
            "EXCHANGE_DATABASE_OWNER_URL": str(settings.database_owner_url),
            "EXCHANGE_DATABASE_SYNCHRONOUS": str(settings.database_synchronous),
            "EXCHANGE_SANDBOX": "1",
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-m", "exchange", "serve", "--port", str(port)]
        self._process = subprocess.Popen(
            [*command, *([] if work else ["--no-work"])], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert "serving on http://" in line, line
        self.url = line.split()[2]
        self.port = int(self.url.rpartition(":")[2])
        self.pid = self._process.pid

    def kill(self) -> None:
        """As `kill -9` does."""
        self._process.kill()
        self._end()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._end()

    def _end(self) -> None:
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@dataclass
class Member:
    """An organisation, and the SDK client of each of its people."""

    id: str
    people: list[Exchange]
    secrets: list[str]

    @property
    def client(self) -> Exchange:
        return self.people[0]


@dataclass
class Venue:
    """A market that runs: whoever is admitted gets clients of it."""

    settings: Settings
    server: ServerThread | ServerProcess
    vkey: str
    link: str
    administrator: Exchange
    rules: Rulebook
    _stack: contextlib.ExitStack
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _bank: Member | None = None
    _approvers: dict[tuple[str, int], Exchange] = field(default_factory=dict)
    _registrar: Registrar | None = None
    _regulator: Member | None = None

    def client(self, secret: str | None = None, *, url: str | None = None, timeout_s: float = 60) -> Exchange:
        """A client that knows the exchange's key from elsewhere than the exchange."""
        return self._stack.enter_context(
            Exchange(url or self.server.url, secret, self.vkey, timeout_s=timeout_s)
        )

    def admit(
        self, *roles: Role, people: int = 1, fen: int = 0, holders: Sequence[HolderMessage] = ()
    ) -> Member:
        """Register an organisation, enrol its people by one-time links, and bring its money."""
        number = next(self._numbers)
        party = self.administrator.register_party(
            uscc(number), f"organisation {number}", roles, holders
        ).outcome["id"]
        clients, keys = [], []
        for n in range(people):
            client, key = self.person(party, f"person {number}-{n}")
            clients.append(client)
            keys.append(key)
        member = Member(party, clients, keys)
        if fen:
            self.bank.client.top_up(party, fen, f"slip-{secrets.token_hex(8)}")
        return member

    def person(self, party: str, name: str) -> tuple[Exchange, str]:
        """Somebody whom the administrator invites to a party: the client and its key."""
        client = self.client()
        return client, client.enrol(self.administrator.invite(party, name).link)

    def authorized(self, owner: Member, asset: str, assessment: str) -> Done:
        """Let every level of approval that the market's model asks for approve; gives what the last one answered."""
        levels = self.rules.value("model.approvals_at_least")
        for level, by in enumerate(self.rules.words("release.approved_by")[:levels], 1):
            done = self._approver(owner, level, by).authorize(asset, assessment)
        return done

    def _approver(self, owner: Member, level: int, by: str) -> Exchange:
        if level == 1:
            return owner.people[1]
        who = owner.id if by == "department" else by
        if (who, level) not in self._approvers:
            party = owner.id if by == "department" else self.admit(by).id  # type: ignore[arg-type]  # a role
            self._approvers[who, level] = self.person(party, f"level {level} {next(self._numbers)}")[0]
        return self._approvers[who, level]

    @property
    def registrar(self) -> Registrar:
        """The registrar's two people, admitted when something is first applied for."""
        if self._registrar is None:
            self._registrar = Registrar(*self.admit("registrar", people=2).people)
        return self._registrar

    @property
    def regulator(self) -> Member:
        """The regulator, admitted when somebody first needs one."""
        if self._regulator is None:
            self._regulator = self.admit("regulator")
        return self._regulator

    @property
    def bank(self) -> Member:
        """The bank, admitted when somebody first brings money."""
        if self._bank is None:
            self._bank = self.admit("bank")
        return self._bank

    def now_us(self) -> int:
        return self.administrator.market().now_us

    def operator(self, owner: Member, share_ppm: int, *holders: HolderMessage) -> str | None:
        """An operator as the market's model has it, that runs a department's data; None where departments do it themselves."""
        if not self.rules.allows("model.operators_allowed"):
            return None
        if self.rules.value("model.operator_state_share_at_least_ppm"):
            holders = tuple(holder.model_copy(update={"state_owned": True}) for holder in holders)
        operator = self.admit("operator", holders=holders)
        self.agree(owner, operator, share_ppm)
        return operator.id

    def agree(self, owner: Member, operator: Member, share_ppm: int) -> None:
        """Let an operator run a department's data for a year from now."""
        now_us = self.now_us()
        parts = AgreementPartsMessage(**dict.fromkeys(AgreementPartsMessage.model_fields, "as agreed"))
        owner.client.agree_operation(
            operator.id, share_ppm, parts, starts_us=now_us, ends_us=now_us + 365 * 24 * HOUR_US
        )

    def registered_asset(self, owner: Member, work: Department, operator: str | None = None) -> str:
        """Lead a table through the whole path: declared, assessed, authorized, released, themed, registered, valued."""
        assessor, _ = owner.people
        asset: str = assessor.declare_asset(
            "Hourly weather", "meteorology", operator=operator, **ON_CONDITION
        ).outcome["asset"]
        assessed = assessor.file_risk_assessment(asset, work.assessment())
        granted = self.authorized(owner, asset, assessed.outcome["assessment"])
        product, certificate = work.product(granted.outcome)
        digest = assessor.upload(product)
        assessor.release(asset, granted.outcome["authorization"], digest, certificate)
        assessor.assign_theme(asset, "weather")
        registered([(assessor, asset)], self.registrar, clock_of(self.administrator))
        assessor.appraise(asset, appraisal(product))
        return asset

    def open_lot(self, owner: Member, asset: str, *, ceiling_fen: int | None = None) -> str:
        """Open an auction of one licence for a day, and let the clock come to its opening."""
        if ceiling_fen is not None:
            self.regulator.client.commit_draw(NONCE)
        now_us = self.now_us()
        lot: str = owner.client.open_lot(
            asset,
            OfferMessage(grant="licence", term_days=365, price_fen=START_FEN, ceiling_fen=ceiling_fen),
            increment_fen=INCREMENT_FEN,
            deposit_fen=DEPOSIT_FEN,
            opens_us=now_us + MINUTE_US,
            closes_us=now_us + MINUTE_US + 24 * HOUR_US,
        ).outcome["id"]
        self.administrator.move_clock(MINUTE_US)
        return lot

    def close(self, lot: str) -> None:
        """Let the rest of the day pass, and wait until the lot is closed and settled."""
        self.administrator.move_clock(25 * HOUR_US)
        wait_until(lambda: self.administrator.lot(lot).settled, "the lot to be settled")


def wait_until(holds: Callable[[], bool], what: str, within_s: float = 60) -> None:
    """Wait for something that the exchange does by itself."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"waited {within_s} s for {what}"
        time.sleep(0.05)


@contextlib.contextmanager
def opened(
    folder: Path,
    addresses: Addresses,
    start: Callable[[Settings], ServerThread | ServerProcess],
    *,
    synchronous: bool = False,
    sandbox: bool = True,
    preset: str | None = None,
) -> Iterator[Venue]:
    """A new market, a sandbox unless told otherwise, its first administrator enrolled through the one-time link."""
    settings = Settings(
        data_dir=folder,
        database_url=addresses.app_url,
        database_owner_url=addresses.owner_url,
        database_synchronous=synchronous,
        origin="localhost/data-asset-exchange/sandbox",
        sandbox=sandbox,
    )
    token = secrets.token_urlsafe(32)

    async def begin() -> str:
        async with exchange_app.running(settings, work=False, make_keys=True) as house:
            await exchange_app.open_market(
                house,
                uscc=uscc(0),
                name="the venue",
                person="first administrator",
                token_digest=hashlib.sha256(token.encode()).digest(),
                preset=preset,
            )
            return house.gate.signer.vkey

    vkey = asyncio.run(begin())
    with contextlib.ExitStack() as stack:
        server = start(settings)
        administrator = Exchange(server.url, vkey=vkey)
        stack.enter_context(administrator)
        rules = load(settings.profile, preset)
        link = f"{server.url}/zh/enrol#{token}"
        venue = Venue(settings, server, vkey, link, administrator, rules, stack)
        stack.callback(lambda: venue.server.stop())  # noqa: PLW0108  # whichever server is its last by then
        administrator.enrol(venue.link)
        yield venue


@pytest.fixture
def venue(request: pytest.FixtureRequest, database: Addresses, tmp_path: Path) -> Iterator[Venue]:
    """A market of its own for one story, under the preset that the story asks for."""
    preset = getattr(request, "param", None)
    with opened(tmp_path / "exchange", database, ServerThread, preset=preset) as venue:
        yield venue


@dataclass
class Department:
    """The department's own machine, where the raw table stays: a folder that the exchange never sees."""

    folder: Path
    raw: Path
    scan: Scan
    salt: bytes
    key: bytes
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def scanning(cls, folder: Path, text: str) -> Department:
        """Put a raw table into the folder and scan it."""
        folder.mkdir(mode=0o700)
        raw = folder / "raw.csv"
        raw.write_text(text, encoding="utf-8")
        salt = secrets.token_bytes(32)
        return cls(
            folder, raw, department.scan(raw, Declaration(), salt, Limits()), salt, secrets.token_bytes(32)
        )

    def assessment(self, **changed: Any) -> AssessmentMessage:
        """What the assessor files about the scan."""
        return AssessmentMessage(
            raw_digest=self.scan.report["raw"]["digest"],
            policy_digest=self.scan.policy.digest(),
            policy=self.scan.policy.to_json(),
            report=self.scan.report,
            impacts=[ImpactMessage(harmed="public_interest", degree="ordinary", reason="trust would suffer")],
            declared=DeclarationsMessage(state_secret=False, trade_secret=False, privacy_consented=False),
            exempt_from_k=self.scan.policy.exempt_from_k,
        ).model_copy(update=changed)

    def product(self, authorized: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
        """Desensitize under an authorization of the exchange: the product and its certificate."""
        n = next(self._numbers)
        product = self.folder / f"product-{n}.parquet"
        made = department.apply(
            self.raw,
            self.scan.policy,
            Authorization(
                authorized["authorization"],
                authorized["asset"],
                authorized["raw_digest"],
                authorized["policy_digest"],
                authorized["exempt_from_k"],
            ),
            salt=self.salt,
            key=self.key,
            product=product,
            certificate=self.folder / f"certificate-{n}.json",
            limits=Limits(),
        )
        return product, made.certificate


@pytest.fixture(scope="session")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Department:
    """A department with a table that nobody is in."""
    lines = ["station,observed,temperature,humidity"]
    lines += [f"EWR,2026-01-{1 + n % 28:02d},{n % 17 - 3}.5,{40 + n % 50}" for n in range(120)]
    return Department.scanning(tmp_path_factory.mktemp("departments") / "weather", "\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Department:
    """A department whose table has people in it, mobile numbers and all."""
    chance = random.Random(7)
    lines = ["mobile,age,service,satisfaction"]
    for _ in range(400):
        service = chance.choice(["surgery", "medicine", "emergency", "intensive care"])
        mobile = f"13{chance.randrange(10**9):09d}"
        lines.append(f"{mobile},{20 + chance.randrange(40)},{service},{60 + chance.randrange(40)}")
    return Department.scanning(tmp_path_factory.mktemp("departments") / "hospital", "\n".join(lines) + "\n")


def appraisal(product: Path) -> AppraisalMessage:
    """The costs of a small table and the rules of its quality; its value stays below the stories' start price."""
    columns = [
        ColumnMessage(name=column.name, kind="text" if column.type == "string" else "number", required=False)
        for column in pyarrow.parquet.read_schema(product)
    ]
    return AppraisalMessage(
        purpose="start price of an auction",
        valued_on="2026-11-01",
        approaches=[
            CostApproachMessage(
                approach="cost",
                reason="the costs are on record; no comparable sale and no income exist yet",
                items=[
                    CostMessage(
                        kind="collection", amount_fen=6_000_00, description="stations", source="account 2025"
                    ),
                    CostMessage(
                        kind="processing", amount_fen=1_000_00, description="cleaning", source="account 2025"
                    ),
                ],
                profit_rate_ppm=80_000,
                profit_source="ten-year government bond plus a margin",
                weights_reason="all dimensions matter alike",
            )
        ],
        information={f.name: "given" for f in fields(InformationAttributes)},
        legal={f.name: "given" for f in fields(LegalAttributes)},
        value={f.name: "given" for f in fields(ValueAttributes)},
        quality=QualityMessage(columns=columns),
    )
