"""A sandbox chain: a real EVM behind JSON-RPC on 127.0.0.1, for the demo and the tests, never for a market.

`python -m ledger.chain --port 0` makes a chain of its own whose only money is on a freshly generated key, prints one
line of JSON, `{"url", "chain_id", "funded_key"}`, and serves until its standard input closes or a signal ends it.
Whoever has the address can read the chain: web3 in another process, or any other client.

The chain is eth-tester's with the py-evm backend; it mines a block for each transaction and forgets everything at its
end. A chain that the operator of a market runs proves nothing to anyone: it is there so that the way to a real chain
is walked in full, with real transactions, real reverts and real fees.

Starting costs about two seconds, nearly all of it spent importing web3 and py-evm; `SandboxChain` returns at once and
waits only when its address is first asked for, so that a program that needs the chain later can do other work first.
"""

import argparse
import json
import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import orjson

from ledger.anchor import address_of, new_key, recursion_limit_kept
from ledger.errors import AnchorError

REQUEST_LIMIT = 262_144  # bytes of one HTTP body; a deployment of the anchor contract takes under 3,000
BATCH_LIMIT = 50  # calls in one JSON-RPC batch
IDLE_SECONDS = 30  # a connection that says nothing is closed after this
START_SECONDS = 60  # a loaded machine may take twenty times the usual two seconds to import py-evm
STOP_SECONDS = 5

FUNDS_WEI = 10**24  # a million ether, for about 30 million anchors
_CLIENT_VERSION = "data-asset-exchange-sandbox/1"

# What a public node offers. eth-tester would also sign with built-in keys, move its clock and undo blocks.
_METHODS = frozenset(
    {
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_estimateGas",
        "eth_gasPrice",
        "eth_getBalance",
        "eth_getBlockByHash",
        "eth_getBlockByNumber",
        "eth_getCode",
        "eth_getLogs",
        "eth_getStorageAt",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        "eth_sendRawTransaction",
        "eth_syncing",
    }
)
_UNSIGNED = frozenset({"eth_call", "eth_estimateGas"})

# JSON-RPC 2.0 section 5.1; 3 and -32000 are what go-ethereum answers for a revert and for any other refusal.
_PARSE_ERROR, _INVALID_REQUEST, _NO_METHOD, _INVALID_PARAMS, _REFUSED, _REVERTED = (
    -32700,
    -32600,
    -32601,
    -32602,
    -32000,
    3,
)


class Node:
    """One chain in memory; answers JSON-RPC requests one at a time, whoever asks."""

    def __init__(self, key: bytes) -> None:
        """Start at block 0 with all money (`FUNDS_WEI`) on the address of `key`."""
        with recursion_limit_kept():
            from eth_tester import EthereumTester, PyEVMBackend
            from web3 import EthereumTesterProvider, Web3

        self._funded = address_of(key)
        account = {"balance": FUNDS_WEI, "nonce": 0, "code": b"", "storage": {}}
        self.tester = EthereumTester(PyEVMBackend(genesis_state={bytes.fromhex(self._funded[2:]): account}))
        provider = EthereumTesterProvider(self.tester)
        web3 = Web3(provider, middleware=[])
        self._call = provider.request_func(web3, web3.middleware_onion)
        self._lock = threading.Lock()
        self.chain_id = int(self._call("eth_chainId", [])["result"])

    def mine(self, blocks: int) -> None:
        """Put so many empty blocks on the chain."""
        with self._lock:
            self.tester.mine_blocks(blocks)

    def state(self) -> Any:
        """The chain as it is now, to which `reorganise` can set it back."""
        with self._lock:
            return self.tester.take_snapshot()

    def reorganise(self, state: Any, blocks: int) -> None:
        """Take back every block since `state` was taken and put so many empty ones in their place."""
        with self._lock:
            self.tester.revert_to_snapshot(state)
            self.tester.mine_blocks(blocks)

    def answer(self, request: bytes) -> bytes:
        """Answer one HTTP body, a call or a batch of them. Never raises: what is wrong is a JSON-RPC error."""
        try:
            # Not the json module: py-evm raises Python's recursion limit so far that a body of brackets alone would
            # run that module through the end of the stack. orjson keeps a limit of its own.
            asked = orjson.loads(request)
        except ValueError as error:
            return _encode(_error(None, _PARSE_ERROR, f"the body is not JSON: {error}"))
        if not isinstance(asked, list):
            return _encode(self._answer_one(asked))
        if not 1 <= len(asked) <= BATCH_LIMIT:
            return _encode(_error(None, _INVALID_REQUEST, f"a batch has 1 to {BATCH_LIMIT} calls"))
        return _encode([self._answer_one(one) for one in asked])

    def _answer_one(self, asked: object) -> dict[str, Any]:
        if not isinstance(asked, dict):
            return _error(None, _INVALID_REQUEST, "a call is a JSON object")
        call_id = asked.get("id")
        if isinstance(call_id, bool) or not isinstance(call_id, int | str):
            return _error(None, _INVALID_REQUEST, "id must be a number or a string")
        method, params = asked.get("method"), asked.get("params", [])
        if asked.get("jsonrpc") != "2.0" or not isinstance(method, str):
            return _error(call_id, _INVALID_REQUEST, 'a call has jsonrpc "2.0" and a method')
        if not isinstance(params, list):
            return _error(call_id, _INVALID_PARAMS, "params must be a list")
        if method == "web3_clientVersion":
            return {"jsonrpc": "2.0", "id": call_id, "result": _CLIENT_VERSION}
        if method not in _METHODS:
            return _error(call_id, _NO_METHOD, f"the method {method} does not exist or is not offered here")
        return self._ask_chain(call_id, method, params)

    def _ask_chain(self, call_id: int | str, method: str, params: list[Any]) -> dict[str, Any]:
        from eth_tester.exceptions import TransactionFailed

        if method in _UNSIGNED and params and isinstance(params[0], dict):
            # A real node asks no balance of a caller that sends nothing; py-evm does, of whoever is named.
            params = [{"from": self._funded, **params[0]}, *params[1:]]
        try:
            with self._lock:
                result = self._call(method, params)["result"]
        except TransactionFailed as error:
            return _error(call_id, _REVERTED, str(error))
        except Exception as error:
            # py-evm and eth-tester raise a type of their own for each of many causes, all of them the caller's.
            return _error(call_id, _REFUSED, str(error) or type(error).__name__)
        return {"jsonrpc": "2.0", "id": call_id, "result": _wire(result)}


def _error(call_id: int | str | None, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call_id, "error": {"code": code, "message": message}}


def _encode(answer: object) -> bytes:
    return orjson.dumps(answer)


def _wire(value: Any) -> Any:
    """Put a Python value into Ethereum's JSON: quantities and bytes as 0x-hexadecimal."""
    match value:
        case bool() | str() | None:
            return value
        case int():
            return hex(value)
        case bytes():
            return "0x" + value.hex()
        case dict():
            return {k: _bloom(v) if k == "logsBloom" else _wire(v) for k, v in value.items()}
        case list() | tuple():
            return [_wire(v) for v in value]
        case _:
            raise TypeError(
                f"the chain answered with a {type(value).__name__}, which JSON-RPC has no form for"
            )


def _bloom(value: int) -> str:
    return f"0x{value:0512x}"


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self.send_error(411, "the request must state its Content-Length")
        elif len(length) > len(str(REQUEST_LIMIT)) or int(length) > REQUEST_LIMIT:
            self.send_error(413, f"a request has at most {REQUEST_LIMIT} bytes")
        else:
            self._send(200, self.server.node.answer(self.rfile.read(int(length))))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is not a call, also what the base class refuses (a GET, a broken header), as JSON-RPC."""
        self.request_version = self.protocol_version  # the base class takes what it cannot read for HTTP/0.9
        self.close_connection = True  # the body, if there is one, has not been read
        self._send(code, _encode(_error(None, _INVALID_REQUEST, message or explain or "not a JSON-RPC POST")))

    def _send(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: whoever started the chain has its own log."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, node: Node, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.node = node

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def serve(node: Node, port: int) -> _Server:
    """Serve the node in a thread of this process; port 0 takes a free one. End it with `shutdown()`, `server_close()`."""
    try:
        server = _Server(node, port)
    except OSError as error:
        raise AnchorError(
            f"port {port} of 127.0.0.1 cannot be opened: {error.strerror}",
            field="port",
            rule="the sandbox chain listens on a free port",
            remedy="stop what uses the port, or pass --port 0 to take a free one",
        ) from error
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sandbox chain until standard input closes."""
    parser = argparse.ArgumentParser(prog="python -m ledger.chain", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--port", type=int, default=0, help="port on 127.0.0.1; 0, the default, takes a free one"
    )
    port = parser.parse_args(arguments).port

    key = new_key()
    node = Node(key)
    try:
        server = serve(node, port)
    except AnchorError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"url": server.url, "chain_id": node.chain_id, "funded_key": key.hex()}), flush=True)
    try:
        while os.read(0, 65_536):  # nobody speaks here; the end of the stream is the end of the starter
            pass
    except KeyboardInterrupt:
        pass
    return 0


@dataclass(frozen=True, slots=True)
class _Started:
    url: str
    chain_id: int
    key: bytes


class SandboxChain:
    """A sandbox chain in a child process, which ends with this object's `stop`, its `with` block or this process.

    The child watches its standard input: the system closes that when this process dies, however it dies.
    """

    def __init__(self, port: int = 0) -> None:
        """Start the child and return at once; `url`, `chain_id` and `key` wait until it serves."""
        self._child = subprocess.Popen(
            [sys.executable, "-m", "ledger.chain", "--port", str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # an interrupt typed at the terminal is for us, who may still want to anchor
        )

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._child.pid

    @property
    def url(self) -> str:
        """Where the chain answers JSON-RPC."""
        return self._started.url

    @property
    def chain_id(self) -> int:
        """The chain's number, signed into each transaction."""
        return self._started.chain_id

    @property
    def key(self) -> bytes:
        """The private key, made by the child for this chain alone, that holds all its money."""
        return self._started.key

    @cached_property
    def _started(self) -> _Started:
        assert self._child.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            line = self._child.stdout.readline() if selector.select(START_SECONDS) else b""
        if not line.endswith(b"\n"):
            self.stop()
            raise AnchorError(
                f"the sandbox chain said nothing within {START_SECONDS} s, or ended (exit status {self._child.returncode})",
                field="chain",
                rule="the sandbox chain starts and prints its address",
                remedy="run `python -m ledger.chain` and read what it says",
            )
        said = json.loads(line)
        return _Started(said["url"], said["chain_id"], bytes.fromhex(said["funded_key"]))

    def stop(self) -> None:
        """End the child and wait for it; a second call does nothing."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.terminate()
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdin.close()
        self._child.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


if __name__ == "__main__":
    sys.exit(main())
