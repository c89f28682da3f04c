"""The contract under others' tools: schemathesis asks every route as every role, and a generated client trades.

No answer is a 5xx, has a status, a content type, a header or a body that the contract does not tell, or a problem whose
code it does not list. What is asked names things that exist as often as not, another party's among them.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from exchange.client import Exchange
from exchange.messages.market import HolderMessage
from ledger.checkpoint import Verifier
from ledger.entries import receipt_from_json, verify_receipt
from tests.conftest import PROJECT
from tests.stories.conftest import INCREMENT_FEN, START_FEN, Department, Venue, venue, weather  # noqa: F401  # fixtures

if TYPE_CHECKING:
    from schemathesis import Case

ROLES = ("nobody", "administrator", "regulator", "bank", "supplier", "buyer", "operator", "narrowed")
SHORT, LONG = 7, 300


@dataclass
class Scene:
    """A market in which everything that has an identifier exists, and a key of each role."""

    url: str
    schema: Any
    keys: dict[str, str | None]
    names: dict[str, list[str]]
    vkey: str
    product: str


def set_up(venue: Venue, weather: Department) -> Scene:  # noqa: F811
    operator = venue.admit("operator", holders=[HolderMessage(name="all of it", share_ppm=1_000_000)])
    owner = venue.admit("supplier", people=2)
    venue.agree(owner, operator, 100_000)
    asset = venue.registered_asset(owner, weather, operator=operator.id)
    lot = venue.open_lot(owner, asset)
    buyer, other = (venue.admit("buyer", fen=90_000_00) for _ in range(2))
    regulator = venue.admit("regulator")
    for member in (buyer, other):
        member.client.join_lot(lot)
    buyer.client.place_bid(lot, START_FEN, "a-bid")
    other.client.place_bid(lot, START_FEN + INCREMENT_FEN)
    keys: dict[str, str | None] = {
        "nobody": None,
        "administrator": venue.administrator.calls.wire.key,
        "regulator": regulator.secrets[0],
        "bank": venue.bank.secrets[0],
        "supplier": owner.secrets[0],
        "buyer": buyer.secrets[0],
        "operator": operator.secrets[0],
        "narrowed": buyer.client.add_key("looks only", scopes=["read"]),
    }
    dossier = owner.client.asset(asset)
    assert dossier.certificate is not None
    names = {
        "lot": [lot],
        "asset": [asset],
        "party": [owner.id, buyer.id, operator.id],
        "account": [str(member.client.me().account) for member in (buyer, other)] + ["venue:fees"],
        "code": [dossier.certificate.code],
        "authorization": [dossier.authorizations[0].id],
        "listing": [buyer.client.listings()[0].id],
        "index": ["0", "5", "20"],
        "key": ["a-bid"],
    }
    import schemathesis  # seconds and 55 MB, which only the process that runs these tests is to spend

    document = httpx.get(f"{venue.server.url}/openapi.json", timeout=60).json()
    schema = schemathesis.openapi.from_dict(document)
    assert dossier.product is not None
    return Scene(venue.server.url, schema, keys, names, venue.vkey, dossier.product.product_digest)


@pytest.fixture
def scene(venue: Venue, weather: Department) -> Scene:  # noqa: F811
    return set_up(venue, weather)


def operations(schema: Any) -> Iterator[Any]:
    for result in schema.get_all_operations():
        operation = result.ok()
        told = operation.definition.raw["responses"]
        if "text/event-stream" not in told.get("200", {}).get("content", {}):  # a stream has no end
            yield operation


def ask(scene: Scene, operation: Any, examples: int) -> int:
    """Ask one route as every role, with what the schema allows and with what it does not."""
    from schemathesis import GenerationMode
    from schemathesis.errors import SchemathesisError
    from schemathesis.specs.openapi import checks

    asked = 0
    told = operation.definition.raw["responses"]

    @st.composite
    def cases(draw: st.DrawFn) -> tuple[Case[Any], str]:
        mode = draw(
            st.sampled_from([GenerationMode.POSITIVE, GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
        )
        try:
            case: Case[Any] = draw(operation.as_strategy(generation_mode=mode))
        except SchemathesisError:  # nothing can be wrong about a route without parameters
            case = draw(operation.as_strategy())
        for name in case.path_parameters:
            if name in scene.names and draw(st.booleans()):
                case.path_parameters[name] = draw(st.sampled_from(scene.names[name]))
        body = case.body
        for name in body if isinstance(body, dict) else ():
            if name in scene.names and draw(st.booleans()):
                body[name] = draw(st.sampled_from(scene.names[name]))  # type: ignore[index,call-overload]  # a dict
        return case, draw(st.sampled_from(ROLES))

    @seed(int(hashlib.sha256(operation.label.encode()).hexdigest()[:8], 16))
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=False,
    )
    @given(cases())
    def run(drawn: tuple[Case[Any], str]) -> None:
        nonlocal asked
        case, role = drawn
        key = scene.keys[role]
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        response = case.call(base_url=scene.url, headers=headers, timeout=30)
        asked += 1
        where = f"{role}: {case.as_curl_command()} -> {response.status_code} {response.content[:300]!r}"
        if response.status_code == 404 and code_of(response) == "http.404":
            return  # what was drawn for a path reached no route at all
        assert response.status_code < 500, where
        if response.headers.get("content-type", [""])[0] == "application/problem+json":
            codes = told[str(response.status_code)].get("x-problem-codes", ())
            assert code_of(response) in codes, where
        case.validate_response(
            response,
            checks=[
                checks.status_code_conformance,
                checks.content_type_conformance,
                checks.response_headers_conformance,
                checks.response_schema_conformance,
            ],
        )

    run()

    return asked


def code_of(response: Any) -> Any:
    try:
        return json.loads(response.content)["code"]
    except (ValueError, KeyError, TypeError):
        return None


@pytest.mark.timeout(900)
def test_every_route_answers_every_role_as_the_contract_says(scene: Scene) -> None:
    asked = {operation.label: ask(scene, operation, SHORT) for operation in operations(scene.schema)}
    assert len(asked) > 70
    assert min(asked.values()) > 0


@pytest.mark.drill
@pytest.mark.timeout(7200)
def test_every_route_answers_every_role_for_long(scene: Scene) -> None:
    asked = {operation.label: ask(scene, operation, LONG) for operation in operations(scene.schema)}
    assert min(asked.values()) > 0


def test_a_client_that_was_generated_from_the_contract_drives_a_full_trade(
    scene: Scene, tmp_path: Path
) -> None:
    peers = PROJECT / ".venv" / "peers" / "bin"
    if not peers.is_dir():
        pytest.skip(f"no {peers}: run make setup and make test, which bring the peers' environment")
    contract = tmp_path / "openapi.json"
    contract.write_bytes(httpx.get(f"{scene.url}/openapi.json", timeout=60).content)
    generated = subprocess.run(
        [
            peers / "openapi-python-client", "generate", "--path", contract, "--meta", "none",
            "--output-path", tmp_path / "generated",
        ],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    warned = [
        line for line in (generated.stdout + generated.stderr).splitlines() if line.startswith("WARNING")
    ]
    assert warned == ["WARNING parsing GET /v1/audit/bundle within regulator."]  # a type that it cannot name
    order: dict[str, Any] = {
        "folder": str(tmp_path),
        "url": scene.url,
        "keys": {role: key or "nobody" for role, key in scene.keys.items()},
        "asset": scene.names["asset"][0],
        "party": scene.names["party"][1],
    }
    order["keys"]["nobody"] = scene.keys["regulator"]
    with subprocess.Popen(
        [peers / "python", Path(__file__).parent / "_generated.py"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as trading:  # fmt: skip
        assert trading.stdin is not None
        assert trading.stdout is not None
        trading.stdin.write(json.dumps(order) + "\n")
        trading.stdin.flush()
        if trade := trading.stdout.readline().strip():
            for role in ("supplier", "buyer"):
                with Exchange(scene.url, scene.keys[role], vkey=scene.vkey) as side:
                    side.add_signing_key("contracts")
                    side.sign_contract(trade)
        said, complained = trading.communicate("signed\n")
    assert trading.returncode == 0, complained
    came = json.loads(said)
    bought, bid, again = (receipt_from_json(receipt) for receipt in came["receipts"])
    for receipt in (bought, bid):
        verify_receipt(receipt, [Verifier.parse(scene.vkey)])
    assert again == bought
    assert came["paid"] == came["total"] > 500_000
    assert (came["would"], came["standing"]) == ("settled", "1010000")
    assert came["codes"][0] == came["codes"][1] == bid.said()["by"]
    assert (came["batch"], came["book"]) == ([201, 422], [None, None, "not_higher"])
    assert came["product"] == scene.product
    assert (came["accesses"], came["host"]) == (["link", "download"], "")
