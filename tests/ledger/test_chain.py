"""The sandbox chain: a node that others read by its address, that refuses what is not a call, and dies with us."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st
from web3 import HTTPProvider, Web3

from ledger.anchor import address_of, new_key
from ledger.chain import BATCH_LIMIT, FUNDS_WEI, REQUEST_LIMIT, Node, SandboxChain
from ledger.errors import AnchorError


@pytest.fixture(scope="module")
def chain() -> Iterator[SandboxChain]:
    with SandboxChain() as started:
        yield started


@pytest.fixture(scope="module")
def node() -> Node:
    return Node(new_key())


def post(url: str, body: bytes, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def call(method: str, *params: object, call_id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call_id, "method": method, "params": list(params)}


def asked(node: Node, body: object) -> Any:
    return json.loads(node.answer(body if isinstance(body, bytes) else json.dumps(body).encode()))


def refuses_connections(url: str) -> bool:
    address = urlsplit(url)
    for _ in range(100):
        try:
            socket.create_connection((address.hostname, address.port), timeout=1).close()
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_its_money_is_on_a_key_made_for_this_chain_alone(chain: SandboxChain) -> None:
    web3 = Web3(HTTPProvider(chain.url))
    assert web3.eth.chain_id == chain.chain_id
    assert web3.eth.get_balance(Web3.to_checksum_address(address_of(chain.key))) == FUNDS_WEI
    first_builtin_key = address_of((1).to_bytes(32))
    assert web3.eth.get_balance(Web3.to_checksum_address(first_builtin_key)) == 0
    with SandboxChain() as other:
        assert other.key != chain.key


def test_it_listens_on_this_machine_alone(chain: SandboxChain) -> None:
    assert urlsplit(chain.url).hostname == "127.0.0.1"


def test_another_process_reads_the_chain_by_its_address(chain: SandboxChain) -> None:
    program = (
        "import sys; from web3 import HTTPProvider, Web3; print(Web3(HTTPProvider(sys.argv[1])).eth.chain_id)"
    )
    read = subprocess.run(
        [sys.executable, "-c", program, chain.url], capture_output=True, text=True, check=True
    )
    assert int(read.stdout) == chain.chain_id


def test_a_raw_transaction_is_in_a_block_when_the_node_has_answered(chain: SandboxChain) -> None:
    web3 = Web3(HTTPProvider(chain.url))
    sender, receiver = Account.from_key(chain.key), Account.from_key(new_key()).address
    signed = sender.sign_transaction(
        {
            "nonce": web3.eth.get_transaction_count(sender.address),
            "gasPrice": web3.eth.gas_price,
            "gas": 21_000,
            "to": receiver,
            "value": 5,
            "data": b"",
            "chainId": chain.chain_id,
        }
    )
    sent = web3.eth.send_raw_transaction(signed.raw_transaction)
    receipt = web3.eth.get_transaction_receipt(sent)
    assert (receipt["status"], receipt["gasUsed"]) == (1, 21_000)
    assert web3.eth.get_block(receipt["blockNumber"])["transactions"] == [sent]
    assert web3.eth.get_balance(receiver) == 5


def test_one_connection_carries_many_calls(chain: SandboxChain) -> None:
    connection = http.client.HTTPConnection(urlsplit(chain.url).netloc, timeout=20)
    for number in range(3):
        connection.request("POST", "/", json.dumps(call("eth_chainId", call_id=number)))
        answer = json.loads(connection.getresponse().read())
        assert answer == {"jsonrpc": "2.0", "id": number, "result": hex(chain.chain_id)}
    connection.close()


def test_a_request_over_the_limit_is_refused_unread(chain: SandboxChain) -> None:
    assert post(chain.url, b"", **{"Content-Length": str(REQUEST_LIMIT + 1)})[0] == 413
    assert post(chain.url, b"", **{"Content-Length": "9" * 5_000})[0] == 413
    fitting = json.dumps(call("eth_chainId")).encode().ljust(REQUEST_LIMIT)
    assert post(chain.url, fitting)[1]["result"] == hex(chain.chain_id)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"what is this\r\n\r\n", 400),
    ],
)
def test_what_is_not_a_call_gets_a_json_rpc_error(
    chain: SandboxChain, request_bytes: bytes, status: int
) -> None:
    address = urlsplit(chain.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(request_bytes)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = json.loads(answer.read())
    assert answer.status == status
    assert body["error"]["code"] == -32600
    assert body["error"]["message"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"1", -32600),
        ([call("eth_chainId")] * (BATCH_LIMIT + 1), -32600),
        ({"id": 1, "method": "eth_chainId"}, -32600),
        ({"jsonrpc": "2.0", "method": "eth_chainId"}, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "eth_chainId"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 7}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": {}}, -32602),
        (call("eth_sendTransaction", {"from": "0x" + "00" * 20}), -32601),
        (call("evm_revert", "0x1"), -32601),
        (call("testing_timeTravel", 2**40), -32601),
        (call("eth_getBalance"), -32000),
        (call("eth_getBalance", "nobody", "latest"), -32000),
        (call("eth_call", "nonsense"), -32000),
        (call("eth_sendRawTransaction", "0x00"), -32000),
        (call("eth_sendRawTransaction", "0x" + "f8" * 40), -32000),
    ],
)
def test_a_bad_call_is_answered_with_its_error_and_the_chain_goes_on(
    node: Node, body: object, code: int
) -> None:
    answer = asked(node, body)
    assert answer["error"]["code"] == code
    assert answer["error"]["message"]
    assert asked(node, call("eth_blockNumber"))["result"] == "0x0"


def test_a_batch_is_answered_call_by_call(node: Node) -> None:
    answers = asked(node, [call("eth_chainId", call_id=1), 5, call("nonsense", call_id=2)])
    assert [answer["id"] for answer in answers] == [1, None, 2]
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, -32600, -32601]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        ["eth_call", "eth_getBlockByNumber", "eth_getLogs", "eth_sendRawTransaction", "eth_getStorageAt"]
    ),
    st.lists(json_values, max_size=3),
)
def test_no_parameters_bring_the_node_down(node: Node, method: str, params: list[Any]) -> None:
    answer = asked(node, call(method, *params))
    assert answer["id"] == 1
    assert ("result" in answer) != ("error" in answer)
    assert asked(node, call("eth_chainId"))["result"] == hex(node.chain_id)


def test_stopping_it_closes_the_port_and_may_be_repeated() -> None:
    chain = SandboxChain()
    url = chain.url
    chain.stop()
    chain.stop()
    assert refuses_connections(url)


def test_stopping_it_before_it_has_started_leaves_no_process() -> None:
    chain = SandboxChain()
    chain.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(chain.pid, 0)


def test_it_dies_when_its_starter_is_killed() -> None:
    program = (
        "import sys, time; from ledger.chain import SandboxChain; c = SandboxChain(); print(c.url, flush=True);"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        url = starter.stdout.readline().strip()
        assert post(url, json.dumps(call("eth_chainId")).encode())[0] == 200
        starter.kill()
    assert refuses_connections(url)


@pytest.mark.parametrize("end", ["SIGTERM", "the end of its input"])
def test_it_ends_quietly(end: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "ledger.chain"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        said = json.loads(child.stdout.readline())
        assert set(said) == {"url", "chain_id", "funded_key"}
        if end == "SIGTERM":
            child.send_signal(signal.SIGTERM)
        else:
            child.stdin.close()
        assert child.wait(20) == (-signal.SIGTERM if end == "SIGTERM" else 0)
        assert child.stderr.read() == ""


def test_a_taken_port_is_reported_with_what_to_do(chain: SandboxChain) -> None:
    port = urlsplit(chain.url).port
    assert port is not None
    said = subprocess.run(
        [sys.executable, "-m", "ledger.chain", "--port", str(port)],
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert f"port {port} of 127.0.0.1 cannot be opened" in said.stderr
    assert "--port 0" in said.stderr
    second = SandboxChain(port)
    with pytest.raises(AnchorError, match="ended"):
        _ = second.url
