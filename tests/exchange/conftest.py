"""A whole market in one process for the tests of rooms and routes: real database, gate, vault and application."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import httpx
import orjson
import pytest
from fastapi import FastAPI
from nacl.signing import SigningKey

from exchange import credentials, parties, rulebook, venue
from exchange.acts import CLOCK, Caller
from exchange.api import mount
from exchange.api.doorway import Callers
from exchange.contracts import contract_statement, terms_statement
from exchange.database import Addresses, Database, driver
from exchange.desensitization import department
from exchange.desensitization.certificate import Authorization
from exchange.desensitization.department import Scan
from exchange.desensitization.policy.declaration import Declaration
from exchange.desensitization.reading.limits import Limits
from exchange.gate import Gate
from exchange.registration import effects
from exchange.registration.rights import RIGHTS
from exchange.signing import key_id_of
from exchange.streams import Streams
from exchange.vault import Vault
from ledger import log
from ledger.checkpoint import Signer, Verifier
from ledger.entries import receipt_from_json, verify_receipt
from tests.exchange import contract

START_US = 1_790_000_000_000_000  # 2026-09-21
ORIGIN = "exchange.example/test"
SALT = bytes(range(32))
KEY = bytes(range(32, 64))

LAWFUL = rulebook.load("cn-venue")
NOTICE = "registration.notice_working_days"


def unnoticed(preset: str | None = None) -> rulebook.Rulebook:
    """The rules of the tests' market, which says of itself that it asks for no public notice: a code comes with the review."""
    rules = rulebook.load("cn-venue", preset)
    return replace(rules, rules={**rules.rules, NOTICE: replace(rules[NOTICE], value=0)})


RULES = unnoticed()

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def uscc(number: int) -> str:
    """A unified social credit code with a true check character (GB 32100), the `number`-th of its kind."""
    body = f"9144010{number:07d}MAX"[:17].ljust(17, "X")
    total = sum(_ALPHABET.index(c) * pow(3, n, 31) for n, c in enumerate(body))
    return body + _ALPHABET[-total % 31]


@dataclass
class House:
    """A market in one process: its rooms through `gate`, its routes through `http`, its clock in `now_us`."""

    gate: Gate
    vault: Vault
    folder: Path
    link_key: bytes
    now_us: int = START_US
    http: httpx.AsyncClient = field(init=False)
    app: FastAPI = field(init=False)
    administrator: Caller = field(init=False)  # the venue's own hand
    keys: dict[str, str] = field(default_factory=dict)
    registrars: list[Caller] = field(default_factory=list)
    signers: set[str] = field(default_factory=set)  # parties whose key for contracts is registered
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def chance(self, n: int) -> bytes:
        """Bytes that no other test run repeats by accident, and that this run repeats."""
        return hashlib.shake_256(b"%d" % next(self.numbers)).digest(n)

    async def act(self, decide: Any, act: Any, caller: Caller, key: str | None = None) -> dict[str, Any]:
        """Perform an act and give its outcome, the receipt verified."""
        reply = await self.gate.perform(decide, act, caller=caller, key=key or f"key-{next(self.numbers)}")
        answer = orjson.loads(reply.json())
        self.verify(answer)
        outcome: dict[str, Any] = answer["outcome"]
        return outcome

    def verify(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The body behind an answer's receipt, proven to be in the log."""
        receipt = receipt_from_json(answer["receipt"])
        verify_receipt(receipt, [Verifier.parse(self.gate.signer.vkey)])
        body: dict[str, Any] = orjson.loads(receipt.body)
        assert body["act"] == answer["outcome"]
        return body

    async def party(self, *roles: str, people: int = 1) -> list[Caller]:
        """Admit an organisation and give its people, each with an enrolled key."""
        number = next(self.numbers)
        party = await self.act(
            parties.register_party,
            parties.RegisterParty(uscc(number), f"party {number}", roles),
            self.administrator,
        )
        callers = []
        for n in range(people):
            token, secret = f"token-{number}-{n}", f"secret-{number}-{n}"
            invited = await self.act(
                parties.invite_person,
                parties.InvitePerson(party["id"], f"person {number}-{n}", credentials.key_digest(token)),
                self.administrator,
            )
            visitor = Caller("enrolment", "enrolment", frozenset())
            await self.act(
                credentials.enrol,
                credentials.Enrol(credentials.key_digest(token), credentials.key_digest(secret), "first key"),
                visitor,
            )
            self.keys[invited["id"]] = secret
            callers.append(Caller(invited["id"], party["id"], frozenset(roles)))
        return callers

    async def walk(
        self,
        supplier: list[Caller],
        work: Department,
        steps: int = 5,
        begun: str | None = None,
        **declared: Any,
    ) -> str:
        """Take a fresh asset, or one that was declared, `steps` steps along its path over HTTP (5: registered) and give its identifier."""
        assessor, approver = supplier
        title = {"title": "hospital visits", "kind": "health", **declared}
        asset: str = begun or (await self.done(assessor, "/v1/assets", title))["asset"]
        if steps >= 1:
            assessed = await self.done(assessor, f"/v1/assets/{asset}/assessments", work.filing())
        if steps >= 2:
            grant = {"assessment": assessed["assessment"]}
            granted = await self.done(approver, f"/v1/assets/{asset}/authorizations", grant)
        if steps >= 3:
            product, certificate = work.product(granted)
            digest = await self.upload(assessor, product)
            release = {
                "authorization": granted["authorization"],
                "product_digest": digest,
                "certificate": certificate,
            }
            await self.done(assessor, f"/v1/assets/{asset}/releases", release)
        if steps >= 4:
            await self.done(assessor, f"/v1/assets/{asset}/theme", {"theme": "medical_care"})
        if steps >= 5:
            await self.register(asset, assessor)
        return asset

    async def registrar(self) -> list[Caller]:
        """The two people of the registrar, admitted when somebody first applies for something."""
        if not self.registrars:
            self.registrars = await self.party("registrar", people=2)
        return self.registrars

    async def notice(self, asset: str, applicant: Caller, act: str = "initial", **asked: Any) -> str:
        """Apply for an act of registration and have it accepted and reviewed; gives the application, whose notice begins."""
        clerk, reviewer = await self.registrar()
        asked = {"rights": list(RIGHTS)} if act == "initial" and not asked else asked
        applied = await self.done(applicant, f"/v1/assets/{asset}/applications", {"act": act, **asked})
        path = f"/v1/applications/{applied['application']}"
        await self.done(clerk, f"{path}/acceptance", {"decision": "accept"})
        await self.done(reviewer, f"{path}/review", {"decision": "pass"})
        application: str = applied["application"]
        return application

    async def register(
        self, asset: str, applicant: Caller, act: str = "initial", **asked: Any
    ) -> dict[str, Any]:
        """The whole procedure up to the act's effect, whose outcome it gives."""
        application = await self.notice(asset, applicant, act, **asked)
        conclude = effects.Conclude(application)
        return await self.act(effects.conclude, conclude, CLOCK, f"conclude-{application}")

    async def sell(self, supplier: list[Caller], asset: str, *, term_days: int = 30) -> tuple[Caller, str]:
        """Appraise and list a registered asset at a fixed price, sell it, and give the buyer and the licence."""
        await self.done(supplier[0], f"/v1/assets/{asset}/appraisals", appraisal())
        offer = {"grant": "licence", "licences": "5", "term_days": str(term_days), "price_fen": "100000"}
        listed = await self.done(supplier[0], "/v1/listings", {"asset": asset, "offer": offer})
        await self.sign(supplier[0], f"/v1/listings/{listed['id']}/contract")
        return await self.sell_again(asset)

    async def sell_again(self, asset: str, *, signed: bool = True) -> tuple[Caller, str]:
        """Sell one more licence of a listed asset to a new buyer, who signs its contract."""
        listings = (await self.call(None, "GET", "/v1/listings")).json()
        listing = next(row["id"] for row in listings if row["asset"] == asset)
        bank, buyer = (await self.party("bank"))[0], (await self.party("buyer"))[0]
        top_up = {"party": buyer.party, "amount_fen": "1000000", "bank_reference": f"ref-{buyer.party}"}
        await self.done(bank, "/v1/top-ups", top_up)
        wanted = {"licences": "1", "purpose": "research"}
        sale = await self.done(buyer, f"/v1/listings/{listing}/purchases", wanted)
        if signed:
            await self.sign(buyer, f"/v1/trades/{sale['voucher']['trade']}/contract")
        return buyer, sale["voucher"]["licence"]

    async def sign(self, caller: Caller, path: str) -> dict[str, Any]:
        """Sign standing terms or a contract, whichever lies at `path`, with a key that the caller's party registers for it."""
        secret = SigningKey(hashlib.sha256(caller.party.encode()).digest())
        public = bytes(secret.verify_key)
        if caller.party not in self.signers:
            self.signers.add(caller.party)
            await self.done(caller, "/v1/signing-keys", {"public": public.hex(), "label": "contracts"})
        shown = (await self.call(caller, "GET", path)).json()
        if "trade" in shown:
            side: Literal["buyer", "seller"] = (
                "buyer" if shown["values"]["buyer"] == caller.party else "seller"
            )
            statement = contract_statement(shown["origin"], side, shown["digest"])
        else:
            statement = terms_statement(shown["origin"], shown["listing"], shown["digest"])
        signature = secret.sign(statement).signature.hex()
        message = {"digest": shown["digest"], "key": key_id_of(public), "signature": signature}
        outcome: dict[str, Any] = await self.done(caller, f"{path}/signature", message)
        return outcome

    async def sign_both(self, trade: str, *sides: Caller) -> None:
        """Sign the contract of a trade for its seller and its buyer."""
        for side in sides:
            await self.sign(side, f"/v1/trades/{trade}/contract")

    async def upload(self, caller: Caller, data: bytes) -> str:
        """Stage a file and give its digest."""
        digest = hashlib.sha256(data).hexdigest()
        response = await self.call(caller, "PUT", f"/v1/uploads/{digest}", content=data)
        assert response.status_code == 201, response.text
        assert response.json() == {"sha256": digest, "size_bytes": str(len(data))}
        return digest

    async def log_size(self) -> int:
        """How many entries the log has."""

        async def ask(session: Any) -> int:
            return (await log.read_head(await driver(session))).edge.size

        return await self.gate.read(ask)

    @staticmethod
    def appraisal(**changed: Any) -> dict[str, Any]:
        """What a department sends to have the patients' table appraised."""
        return appraisal(**changed)

    async def call(
        self,
        caller: Caller | None,
        method: str,
        path: str,
        json: Any = None,
        *,
        key: str | None = None,
        content: Any = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """One request over HTTP; a write carries a fresh identifier unless `key` gives one."""
        sent = dict(headers or {})
        if caller is not None:
            sent["Authorization"] = f"Bearer {self.keys[caller.person]}"
        if method == "POST":
            sent["Idempotency-Key"] = key or f"key-{next(self.numbers)}"
        return await self.http.request(method, path, json=json, content=content, headers=sent)

    async def done(self, caller: Caller, path: str, json: Any = None, *, key: str | None = None) -> Any:
        """POST that has to succeed: its outcome, the receipt verified."""
        response = await self.call(caller, "POST", path, json, key=key)
        assert response.status_code == 201, response.text
        self.verify(response.json())
        return response.json()["outcome"]

    async def refused(self, caller: Caller, path: str, json: Any = None, *, code: str) -> Any:
        """POST that has to be refused on the record: its outcome, the receipt verified."""
        response = await self.call(caller, "POST", path, json)
        assert response.status_code == 422, response.text
        assert response.headers["content-type"] == "application/problem+json"
        answer = response.json()
        assert answer["code"] == code
        assert answer["rule"]
        assert answer["remedy"]
        self.verify(answer)
        assert answer["outcome"]["state"] == "refused"
        return answer["outcome"]

    async def problem(
        self, caller: Caller | None, method: str, path: str, json: Any = None, *, status: int, code: str
    ) -> Any:
        """A request that has to fail without a trace in the log."""
        size = await self.log_size()
        response = await self.call(caller, method, path, json)
        assert (response.status_code, response.json()["code"]) == (status, code), response.text
        assert "receipt" not in response.json()
        assert await self.log_size() == size
        return response.json()


@pytest.fixture
async def house(request: pytest.FixtureRequest, database: Addresses, tmp_path: Path) -> AsyncIterator[House]:
    """A market that was just opened, its clock under the test's hand; an indirect parameter names a preset.

    It asks for no public notice.
    """
    async with opened(database, tmp_path, unnoticed(getattr(request, "param", None))) as found:
        yield found


@pytest.fixture
async def lawful(database: Addresses, tmp_path: Path) -> AsyncIterator[House]:
    """The same under the periods of the law."""
    async with opened(database, tmp_path, LAWFUL) as found:
        yield found


@asynccontextmanager
async def opened(database: Addresses, tmp_path: Path, rules: rulebook.Rulebook) -> AsyncIterator[House]:
    """A market under these rules."""
    engine = Database(database.app_url)
    gate = Gate(engine, Signer(ORIGIN, b"l" * 32), b"m" * 32, lambda: found.now_us)
    found = House(gate, Vault(tmp_path / "vault"), tmp_path, b"k" * 32)
    connection = await engine.connect()
    await log.create(connection, ORIGIN, 0)
    await connection.execute(
        "INSERT INTO market (id, sandbox, profile, offset_us, keys_version) VALUES (1, true, 'cn-venue', 0, 0)"
    )
    await connection.commit()
    await connection.close()
    await gate.start()
    opening = venue.OpenMarket(
        ORIGIN,
        gate.signer.vkey,
        True,
        "cn-venue",
        rules.stated(),
        uscc(0),
        "venue",
        "first",
        bytes(32),
    )
    opened = await found.act(venue.open_market, opening, Caller("init", "init", frozenset()))
    found.administrator = Caller(opened["person"], opened["administrator"], frozenset({"administrator"}))
    app = found.app = FastAPI()
    app.state.gate, app.state.vault, app.state.link_key = gate, found.vault, found.link_key
    app.state.callers = Callers(gate, found.link_key)
    app.state.webhook_loopback = False
    app.state.stopping = asyncio.Event()
    app.state.streams = Streams(app.state.gate, app.state.stopping)
    mount(app, sandbox_clock=True)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://exchange.test", event_hooks={"response": [contract.hold]}
    ) as found.http:
        yield found
    await gate.stop()
    await engine.close()


def appraisal(**changed: Any) -> dict[str, Any]:
    """What a department sends to have the patients' table appraised."""
    cost = {"kind": "collection", "amount_fen": "5000000", "description": "interfaces", "source": "ledger 12"}
    words = "stated for the test"
    return {
        "purpose": "listing",
        "valued_on": "2026-09-01",
        "approaches": [
            {
                "approach": "cost",
                "reason": "no comparable sale yet",
                "items": [cost, {**cost, "kind": "tax", "amount_fen": "30000"}],
                "profit_rate_ppm": "60000",
                "profit_source": "发改价格〔2025〕65号",
                "weights_reason": "all dimensions count alike",
                "factors": [
                    {"name": "remaining life", "factor_ppm": "900000", "reason": "new", "source": "plan"}
                ],
            }
        ],
        "information": dict.fromkeys(
            ("name", "structure", "dictionary", "scale", "period", "frequency", "storage"), words
        ),
        "legal": dict.fromkeys(
            (
                "authorizing_party",
                "right_holder",
                "right_path",
                "right_kind",
                "right_scope",
                "right_term",
                "right_limits",
            ),
            words,
        ),
        "value": dict.fromkeys(("region", "industry", "cost", "scenario", "quality", "scarcity"), words),
        "quality": {
            "columns": [
                {"name": "age", "kind": "integer", "minimum": "0", "maximum": "120"},
                {"name": "service", "kind": "text", "allowed": ["surgery", "medicine"]},
                {"name": "satisfaction", "kind": "integer", "minimum": "0", "maximum": "100"},
            ],
            "comparisons": [{"left": "age", "relation": "!=", "right": "satisfaction"}],
        },
        **changed,
    }


@dataclass
class Department:
    """The department's own machine: a raw table, its scan, and what it makes under an authorization."""

    folder: Path
    raw: Path
    scan: Scan

    def product(self, authorization: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        """The product's bytes and its certificate, made under an authorization of the exchange."""
        made = department.apply(
            self.raw,
            self.scan.policy,
            Authorization(
                authorization["authorization"],
                authorization["asset"],
                authorization["raw_digest"],
                authorization["policy_digest"],
                authorization["exempt_from_k"],
            ),
            salt=SALT,
            key=KEY,
            product=self.folder / "product.parquet",
            certificate=self.folder / "certificate.json",
            limits=Limits(),
        )
        return (self.folder / "product.parquet").read_bytes(), made.certificate

    def filing(self, **changed: Any) -> dict[str, Any]:
        """What the assessor files."""
        return {
            "raw_digest": self.scan.report["raw"]["digest"],
            "policy_digest": self.scan.policy.digest(),
            "policy": self.scan.policy.to_json(),
            "report": self.scan.report,
            "impacts": [
                {"harmed": "public_interest", "degree": "ordinary", "reason": "a leak would cost trust"}
            ],
            "declared": {"state_secret": False, "trade_secret": False, "privacy_consented": False},
            "exempt_from_k": self.scan.policy.exempt_from_k,
            **changed,
        }


def scanned(folder: Path, text: str) -> Department:
    """Scan a raw CSV as the department does."""
    folder.mkdir()
    raw = folder / "raw.csv"
    raw.write_text(text, encoding="utf-8")
    return Department(folder, raw, department.scan(raw, Declaration(), SALT, Limits()))


@pytest.fixture(scope="session")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Department:
    """A table with people in it."""
    chance = random.Random(1)
    lines = ["mobile,age,service,satisfaction"]
    for _ in range(400):
        mobile = f"13{chance.randrange(10**9):09d}"
        service = chance.choice(["surgery", "medicine", "emergency", "intensive care"])
        lines.append(f"{mobile},{20 + chance.randrange(40)},{service},{60 + chance.randrange(40)}")
    return scanned(tmp_path_factory.mktemp("department") / "patients", "\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Department:
    """A table with nobody in it."""
    lines = ["station,observed,temperature,humidity"]
    for n in range(120):
        lines.append(f"EWR,2026-01-{1 + n % 28:02d},{n % 17 - 3}.5,{40 + n % 50}")
    return scanned(tmp_path_factory.mktemp("department") / "weather", "\n".join(lines) + "\n")
