"""A market to break: a sandbox in a folder of its own, with bidders on a lot, and processes that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Self

import orjson

from exchange import app as exchange_app
from exchange.client import Exchange
from exchange.desensitization import department
from exchange.desensitization.certificate import Authorization
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.reading.limits import Limits
from exchange.drill.load import Order, Phase, Speaker
from exchange.embedded import Postgres
from exchange.embedded.processes import PidFile, works_in
from exchange.errors import Misconfigured
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
from exchange.messages.market import OfferMessage, Role
from exchange.parties import uscc_check_character
from exchange.sandbox.registering import Registrar, registered
from exchange.settings import Settings
from pricing.appraisal import InformationAttributes, LegalAttributes, ValueAttributes

Say = Callable[[str, str], None]
"""Tells how a drill goes, in Chinese and in English."""

START_FEN: Final = 10_000_00
STEP_FEN: Final = 100_00
DEPOSIT_FEN: Final = 1_000_00
RICHES_FEN: Final = 10**13
MINUTE_US: Final = 60_000_000
DAY_US: Final = 86_400_000_000
START_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation of the scene, and a client for it."""

    id: str
    client: Exchange
    secret: str = field(repr=False)


@dataclass(slots=True)
class Scene:
    """One sandbox market and the process that serves it; made by `opened`.

    Its database is the exchange's own, a process beside it, or the one that `environ` names.
    """

    folder: Path
    settings: Settings
    environ: Mapping[str, str]
    vkey: str
    say: Say
    port: int
    administrator: Exchange
    regulator: Exchange = field(init=False)
    regulator_secret: str = field(init=False, repr=False)
    bank: Member = field(init=False)
    bidders: list[Member] = field(default_factory=list)
    lot: str = ""
    asset: str = ""
    size: int = 0
    """Entries of the log when everything was set up."""
    moved_us: int = 0
    """How far the sandbox's clock is ahead of this machine's."""
    _process: subprocess.Popen[bytes] | None = None
    _numbers: int = 1
    _supplier: list[Exchange] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> Path:
        return self.settings.data_dir

    # the exchange's process

    def serve(self, **more: str) -> None:
        """Start the exchange and return when it serves, on the port that it always had."""
        said = self.folder / "exchange.log"
        with said.open("ab") as output:
            at = output.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "exchange", "serve", "--port", str(self.port)],
                env={**self.environ, **more},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while b"serving on http" not in said.read_bytes()[at:]:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise _failed(f"the exchange did not start: {said.read_text(errors='replace')[-500:]}")
            time.sleep(0.01)

    @property
    def serving(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill_exchange(self) -> None:
        """As `kill -9` does; its database goes on, and waits for the next one to take it over."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def kill_database(self) -> None:
        """Kill the server process of the database; who works for it notices and goes."""
        for pid in self._database_pids()[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)  # so that it tells nobody
                os.kill(pid, signal.SIGKILL)

    def cut_power(self) -> None:
        """Everything at once: the exchange, the database and all who work for it."""
        assert self._process is not None
        pids = [self._process.pid, *self._database_pids()]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        self._process.wait()

    def stop(self) -> None:
        """End the exchange in order, and its database with it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill_exchange()

    def _database_pids(self) -> list[int]:
        """The postmaster first, then everybody else in the cluster."""
        data = self.database_data()
        found = PidFile.read(data)
        if found is None:
            return []
        others = [
            int(e.name) for e in Path("/proc").iterdir() if e.name.isdecimal() and works_in(int(e.name), data)
        ]
        return [found.pid, *(pid for pid in others if pid != found.pid)]

    def database_data(self) -> Path:
        """Where the cluster's files are."""
        return (self.data_dir / "postgres").resolve() / "data"

    # who plays

    def client(
        self, secret: str | None = None, *, timeout_s: float = 60.0, url: str | None = None
    ) -> Exchange:
        """A client that knows the log's key from elsewhere than the exchange."""
        return Exchange(url or self.url, secret, self.vkey, timeout_s=timeout_s)

    def admit(self, *roles: Role, people: int = 1) -> list[Member]:
        """Register an organisation and enrol its people."""
        self._numbers += 1
        party = self.administrator.register_party(
            code_of(self._numbers), f"organisation {self._numbers}", roles
        ).outcome["id"]
        members = []
        for number in range(people):
            client = self.client()
            secret = client.enrol(self.administrator.invite(party, f"person {number}").link)
            members.append(Member(party, client, secret))
        return members

    def furnish(self, bidders: int) -> None:
        """A regulator, a bank, a supplier with a registered asset, and bidders with money on a lot that is open."""
        regulator = self.admit("regulator")[0]
        self.regulator, self.regulator_secret = regulator.client, regulator.secret
        self.bank = self.admit("bank")[0]
        self._supplier = [member.client for member in self.admit("supplier", people=2)]
        self.asset = self._register()
        self.bidders = [self.admit("buyer")[0] for _ in range(bidders)]
        for bidder in self.bidders:
            self.bank.client.top_up(bidder.id, RICHES_FEN, f"slip-{secrets.token_hex(8)}")
        self.lot = self.open_lot(30 * DAY_US)
        self.mark()

    def open_lot(self, lasts_us: int) -> str:
        """Another lot on the same asset, open now for so long, which every bidder joined."""
        opens_us = self.administrator.market().now_us + MINUTE_US
        lot: str = (
            self._supplier[0]
            .open_lot(
                self.asset,
                OfferMessage(grant="licence", term_days=365, price_fen=START_FEN),
                increment_fen=STEP_FEN,
                deposit_fen=DEPOSIT_FEN,
                opens_us=opens_us,
                closes_us=opens_us + lasts_us,
            )
            .outcome["id"]
        )
        self._move(MINUTE_US)
        for bidder in self.bidders:
            bidder.client.join_lot(lot)
        return lot

    def move_to(self, time_us: int) -> None:
        """Let the sandbox's time pass up to that moment."""
        self._move(time_us - self.administrator.market().now_us)

    def _move(self, by_us: int) -> None:
        self.administrator.move_clock(by_us)
        self.moved_us += by_us

    def mark(self) -> None:
        """From here on only what the crowd asks for may come into the log, and what the clock does."""
        self.size = self.administrator.checkpoint().size

    def _register(self) -> str:
        """Lead a small table through the whole path; nobody is in it."""
        assessor, approver = self._supplier
        folder = self.folder / "department"
        folder.mkdir(mode=0o700)
        raw = folder / "raw.csv"
        lines = ["station,observed,temperature,humidity"]
        lines += [f"S1,2026-01-{1 + n % 28:02d},{n % 17 - 3}.5,{40 + n % 50}" for n in range(120)]
        raw.write_text("\n".join(lines) + "\n", encoding="utf-8")
        salt = secrets.token_bytes(32)
        scan = department.scan(raw, Declaration(), salt, Limits())
        policy = scan.policy
        asset: str = assessor.declare_asset("Hourly weather", "meteorology").outcome["asset"]
        assessed = assessor.file_risk_assessment(
            asset,
            AssessmentMessage(
                raw_digest=scan.report["raw"]["digest"],
                policy_digest=policy.digest(),
                policy=policy.to_json(),
                report=scan.report,
                impacts=[
                    ImpactMessage(harmed="public_interest", degree="ordinary", reason="trust would suffer")
                ],
                declared=DeclarationsMessage(state_secret=False, trade_secret=False, privacy_consented=False),
                exempt_from_k=policy.exempt_from_k,
            ),
        )
        granted = approver.authorize(asset, assessed.outcome["assessment"]).outcome
        product = folder / "product.parquet"
        made = department.apply(
            raw,
            policy,
            Authorization(
                *(
                    granted[name]
                    for name in ("authorization", "asset", "raw_digest", "policy_digest", "exempt_from_k")
                )
            ),
            salt=salt,
            key=secrets.token_bytes(32),
            product=product,
            certificate=folder / "certificate.json",
            limits=Limits(),
        )
        digest = assessor.upload(product)
        assessor.release(asset, granted["authorization"], digest, made.certificate)
        assessor.assign_theme(asset, "weather")
        registrar = Registrar(*(member.client for member in self.admit("registrar", people=2)))
        registered([(assessor, asset)], registrar, self.move_to)
        assessor.appraise(asset, _costs(product))
        return asset

    # what the crowd does

    def order(
        self, phases: Sequence[Phase], *, speakers: Sequence[Speaker] | None = None, **more: Any
    ) -> Order:
        """An order for a crowd of these bidders, and of a bank that brings money besides."""
        n = secrets.randbits(40)
        given: dict[str, Any] = {
            "port": self.port,
            "speakers": list(speakers or self.speakers(self.lot)),
            "phases": list(phases),
            "journal": str(self.folder / f"journal-{n:x}.tsv"),
            "first_price_fen": START_FEN,
            "step_fen": STEP_FEN,
            "attempt_s": 2.0,
            "patience_s": 30.0,
            "seed": n,
        }
        return Order(**{**given, **more})

    def speakers(self, lot: str, *, bank_in: int = 16) -> list[Speaker]:
        """Bidders on a lot in turn; one in `bank_in` clients is the bank."""
        found = [Speaker("bid", bidder.secret, lot) for bidder in self.bidders]
        found = [found[n % len(found)] for n in range(bank_in - 1)]
        return [*found, Speaker("top_up", self.bank.secret, self.bidders[0].id)]


class Load:
    """A crowd at work: its process, and what it says of each tenth of a second. A context manager."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.bins: list[dict[str, Any]] = []
        self.began_s = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "exchange.drill.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        self._process.stdin.write(order.json() + b"\n")
        self._process.stdin.flush()
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = orjson.loads(line)
            if "began_s" in said:
                self.began_s = said["began_s"]
            else:
                self.bins.append(said)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def journal(self) -> Path:
        return Path(self.order.journal)

    @property
    def acknowledged(self) -> int:
        """Acts acknowledged so far."""
        return sum(line["acknowledged"] for line in list(self.bins))

    def wait_for(self, more: int, within_s: float = 60.0) -> None:
        """Return when so many more acts are acknowledged."""
        enough = self.acknowledged + more
        deadline = time.monotonic() + within_s
        while self.acknowledged < enough:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise _failed(f"{more} more acts were not acknowledged in {within_s:.0f} s")
            time.sleep(0.02)

    def finish(self) -> None:
        """Wait until the crowd has played all its phases."""
        self._process.wait()
        self.end()

    def end(self) -> None:
        """Let nothing more begin, and wait for what is under way."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        if self._process.returncode:
            raise _failed(f"the crowd ended with status {self._process.returncode}")


@contextlib.contextmanager
def opened(
    *,
    bidders: int = 8,
    say: Say = lambda zh, en: None,
    below: Path | None = None,
    anchor_key: bytes | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Scene]:
    """A fresh market in a temporary folder (`below` a directory that the database's account can pass), served and furnished.

    `environ` are further settings of its exchange, `anchor_key` pays for its anchors. All of it is gone afterwards.
    """
    folder = Path(tempfile.mkdtemp(prefix="exchange-drill-", dir=below))
    folder.chmod(0o711)  # the database's own account has to pass; it may not list or read
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
    environment = {
        **kept,
        "EXCHANGE_DATA_DIR": str(folder / "exchange"),
        "EXCHANGE_SANDBOX": "1",
        "EXCHANGE_PARTY_QUOTA": "100000000",  # a few bidders stand for thousands
        "PYTHONUNBUFFERED": "1",
        "COLUMNS": "300",
        **(environ or {}),
    }
    settings = Settings.from_environment(environment)
    settings.data_dir.mkdir(mode=0o711)
    settings.data_dir.chmod(0o711)
    scene: Scene | None = None
    try:
        say("开设沙箱市场", "opening a sandbox market")
        token = secrets.token_urlsafe(32)
        vkey = asyncio.run(_begin(settings, token))
        if anchor_key is not None:
            (settings.keys_dir / "anchor.key").touch(0o600)
            (settings.keys_dir / "anchor.key").write_text(anchor_key.hex(), encoding="ascii")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        scene = Scene(
            folder, settings, environment, vkey, say, port, Exchange(f"http://127.0.0.1:{port}", vkey=vkey)
        )
        scene.serve()
        scene.administrator.enrol(token)
        say(f"准入 {bidders} 名竞买人并开标的", f"admitting {bidders} bidders and opening a lot")
        scene.furnish(bidders)
        yield scene
    finally:
        if scene is not None:
            scene.stop()
        if settings.database_url is None and (settings.data_dir / "postgres").exists():
            # A killed exchange leaves its database running: taken over once, to end it and to delete it.
            Postgres.start(settings.data_dir, durable=False).discard()
        shutil.rmtree(folder, ignore_errors=True)


async def _begin(settings: Settings, token: str) -> str:
    async with exchange_app.running(
        replace(settings, backup_target=None), work=False, make_keys=True
    ) as house:
        await exchange_app.open_market(
            house,
            uscc=code_of(0),
            name="sandbox venue",
            person="administrator",
            token_digest=hashlib.sha256(token.encode()).digest(),
        )
        return house.gate.signer.vkey


def code_of(number: int) -> str:
    """A well-formed unified social credit code (GB 32100) for the `number`-th organisation of a scene."""
    first = f"91440101MB{number:07d}"
    return first + uscc_check_character(first)


def _costs(product: Path) -> AppraisalMessage:
    """What the table cost and how good it is: a value below the start price."""
    import pyarrow.parquet

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
                reason="the costs are on record",
                items=[
                    CostMessage(
                        kind="collection", amount_fen=6_000_00, description="stations", source="account"
                    )
                ],
                profit_rate_ppm=80_000,
                profit_source="ten-year government bond",
                weights_reason="all dimensions matter alike",
            )
        ],
        information={f.name: "given" for f in fields(InformationAttributes)},
        legal={f.name: "given" for f in fields(LegalAttributes)},
        value={f.name: "given" for f in fields(ValueAttributes)},
        quality=QualityMessage(columns=columns),
    )


def _failed(detail: str) -> Misconfigured:
    return Misconfigured(
        "drill.failed", re.sub(r"\s+", " ", detail), remedy="see the exchange's own words above"
    )
