"""Opens a sandbox that a developer can begin with at once: people with keys and money, sample assets, a lot and a listing."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from exchange.client import Exchange, SandboxBank
from exchange.errors import Unavailable
from exchange.messages.market import OfferMessage, Role
from exchange.messages.sandbox import Player, SandboxMessage
from exchange.sandbox.registering import Registrar, clock_of, registered
from exchange.sandbox.samples import SAMPLES, brought, costs, scanned
from exchange.sandbox.site import Site, code_of

MONEY_FEN = 1_000_000_00
"""What each enterprise has on its account."""

PRICE_FEN = 10_000_00
INCREMENT_FEN = 100_00
MINUTE_US = 60_000_000
DAY_US = 86_400_000_000

PEOPLE: tuple[tuple[str, Role, str], ...] = (
    ("regulator", "regulator", "监管机构 Regulator"),
    ("bank", "bank", "存管银行 Bank"),
    ("assessor", "supplier", "数据部门 Department"),
    ("approver", "supplier", "数据部门 Department"),
    ("clerk", "registrar", "登记机构 Registrar"),
    ("reviewer", "registrar", "登记机构 Registrar"),
    ("enterprise", "buyer", "企业甲 Enterprise"),
    ("rival", "buyer", "企业乙 Rival"),
)
"""Who is there beside the administrator: a name for each person, the role and the name of the party."""


@contextmanager
def opened(port: int, say: Callable[[str], None]) -> Iterator[SandboxMessage]:
    """A furnished sandbox for as long as the context lasts; all of it is gone afterwards."""
    with Site(port) as site, ExitStack() as stack:
        say("database, keys, log and chain")
        with ThreadPoolExecutor(len(SAMPLES)) as pool:
            # The departments scan while the market opens: neither needs the other.
            scans = [
                pool.submit(scanned, sample, site.directory(f"department-{sample.name}"), number)
                for number, sample in enumerate(SAMPLES)
            ]
            site.open()
            tables = [scan.result() for scan in scans]

        def client(key: str | None = None) -> Exchange:
            return stack.enter_context(Exchange(site.url, key, site.vkey))

        say("people and their keys")
        administrator = client()
        key = administrator.enrol(site.link)
        players = {"administrator": Player(party=administrator.me().id, key=key)}
        parties: dict[str, str] = {}
        for number, (name, role, organisation) in enumerate(PEOPLE, 2):
            if organisation not in parties:
                admitted = administrator.register_party(code_of(number), organisation, [role])
                parties[organisation] = admitted.outcome["id"]
            party = parties[organisation]
            players[name] = Player(party=party, key=client().enrol(administrator.invite(party, name).link))
        clients = {name: client(player.key) for name, player in players.items()}

        say("the bank, and money")
        bank_url = _bank(site, players["bank"].key, stack)
        message = SandboxMessage(
            url=site.url,
            vkey=site.vkey,
            chain_url=site.chain_url,
            bank_url=bank_url,
            folder=str(site.folder),
            people=players,
        )
        with SandboxBank(bank_url) as bank:
            for name in ("enterprise", "rival"):
                bank.pay_in(players[name].party, MONEY_FEN)
        assets = []
        for table in tables:
            say(f"asset: {table.sample.title}")
            assets.append(brought(table, clients["assessor"], clients["approver"]))
        say("registration: two registrars, a public notice, codes")
        registrar = Registrar(clients["clerk"], clients["reviewer"])
        applications = [(clients["assessor"], asset) for asset in assets]
        registered(applications, registrar, clock_of(administrator))
        for table, asset in zip(tables, assets, strict=True):
            clients["assessor"].appraise(asset, costs(table))
        seller = clients["approver"]
        licences = OfferMessage(grant="licence", licences=10, term_days=365, price_fen=PRICE_FEN)
        listing = seller.offer_fixed_price(assets[0], licences).outcome["id"]
        opens_us = seller.market().now_us + MINUTE_US
        lot = seller.open_lot(
            assets[1],
            OfferMessage(grant="licence", term_days=365, price_fen=PRICE_FEN),
            increment_fen=INCREMENT_FEN,
            deposit_fen=PRICE_FEN // 10,
            opens_us=opens_us,
            closes_us=opens_us + DAY_US,
        ).outcome["id"]
        administrator.move_clock(MINUTE_US)
        message = message.model_copy(update={"assets": assets, "listing": listing, "lot": lot})
        _leave_keys(site.folder, message)
        yield message


def _bank(site: Site, key: str, stack: ExitStack) -> str:
    """Start the bank as a process of its own, with the key of its clerk; returns its address."""
    folder = site.directory("bank")
    (folder / "key").touch(0o600)
    (folder / "key").write_text(key, encoding="ascii")
    child = subprocess.Popen(
        [sys.executable, "-m", "exchange", "bank", "serve", "--url", site.url, "--vkey", site.vkey,
         "--key-file", str(folder / "key"), "--folder", str(folder / "book"), "--port", "0"],
        env=site.environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip

    def end() -> None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    stack.callback(end)
    assert child.stdout is not None
    for line in child.stdout:
        found = re.search(r"bank on (http://\S+)", line)
        if found is not None:
            return found[1]
    raise Unavailable("sandbox.bank", "the sandbox's bank did not start", remedy="see its message above")


def _leave_keys(folder: Path, message: SandboxMessage) -> None:
    """Each person's key in a file, and for each an `env` file that the command line reads."""
    for name, player in message.people.items():
        for path, text in (
            (folder / f"{name}.key", player.key),
            (
                folder / f"{name}.env",
                "".join(
                    f"export {variable}={shlex.quote(value)}\n"
                    for variable, value in (
                        ("EXCHANGE_URL", message.url),
                        ("EXCHANGE_VKEY", message.vkey),
                        ("EXCHANGE_KEY_FILE", str(folder / f"{name}.key")),
                        ("EXCHANGE_BANK_URL", message.bank_url),
                    )
                ),
            ),
        ):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
