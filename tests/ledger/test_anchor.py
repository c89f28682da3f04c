"""Anchors: put on a chain, read back by others, and every fault named with what to do."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from eth_account import Account
from web3 import HTTPProvider, Web3

from ledger.anchor import (
    Anchor,
    AnchorReceipt,
    AnchorUnknownError,
    SignedAnchor,
    address_of,
    anchor_reader,
    deploy,
    load_key,
    new_key,
)
from ledger.chain import Node, SandboxChain, serve
from ledger.errors import AnchorError

ROOT_A, ROOT_B = b"\xaa" * 32, b"\xbb" * 32


@pytest.fixture(scope="module")
def chain() -> Iterator[SandboxChain]:
    with SandboxChain() as started:
        yield started


@pytest.fixture
def anchor(chain: SandboxChain) -> Anchor:
    return Anchor(chain.url, deploy(chain.url, chain.key), chain.key)


class Faulty:
    """A node in this process, with a chain that a test can mend or undo and a wire that a test can cut."""

    def __init__(self) -> None:
        self.key = new_key()
        self.node = Node(self.key)
        self.drop: set[str] = set()  # requests naming these methods get no answer, after the node obeyed them
        self.ignore: set[str] = set()  # these do not even reach the node
        self.held: list[bytes] | None = (
            None  # where a list, transactions are taken and wait in it for a block
        )
        self._inner = serve(self.node, 0)
        faulty = self

        class Wire(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if any(method.encode() in body for method in faulty.ignore):
                    return
                asked = json.loads(body)
                if faulty.held is not None and asked["method"] == "eth_sendRawTransaction":
                    faulty.held.append(body)
                    sent = Web3.keccak(hexstr=asked["params"][0]).to_0x_hex()
                    answer = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": sent}).encode()
                else:
                    answer = faulty.node.answer(body)
                if any(method.encode() in body for method in faulty.drop):
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                """Keep the test's output clean."""

        self._wire = ThreadingHTTPServer(("127.0.0.1", 0), Wire)
        threading.Thread(target=self._wire.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._wire.server_address[1]}"

    def stop(self) -> None:
        for server in (self._wire, self._inner):
            server.shutdown()
            server.server_close()


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    started = Faulty()
    yield started
    started.stop()


def pay(chain: SandboxChain, receiver: str, wei: int) -> None:
    web3, sender = Web3(HTTPProvider(chain.url)), Account.from_key(chain.key)
    signed = sender.sign_transaction(
        {
            "nonce": web3.eth.get_transaction_count(sender.address),
            "gasPrice": web3.eth.gas_price,
            "gas": 21_000,
            "to": Web3.to_checksum_address(receiver),
            "value": wei,
            "data": b"",
            "chainId": chain.chain_id,
        }
    )
    web3.eth.send_raw_transaction(signed.raw_transaction)


def record(receipt: AnchorReceipt) -> dict[str, object]:
    return {"chain_id": receipt.chain_id, "contract": receipt.contract, "tx": receipt.tx}


def test_an_anchor_is_read_back_from_the_contract_and_from_its_transaction(
    chain: SandboxChain, anchor: Anchor
) -> None:
    assert anchor.read() == (0, bytes(32))
    first = anchor.put(10, ROOT_A)
    second = anchor.put(11, ROOT_B)
    assert anchor.read() == (11, ROOT_B)
    assert anchor.read_tx(first.tx) == (10, ROOT_A)
    assert anchor.read_tx(second.tx) == (11, ROOT_B)
    assert second == AnchorReceipt(
        chain.chain_id, anchor.address, second.tx, 11, ROOT_B, first.block + 1, second.gas_used
    )
    assert second.gas_used < 34_000


def test_the_transactions_are_legacy_ones_signed_for_their_chain(chain: SandboxChain, anchor: Anchor) -> None:
    signed = anchor.sign(1, ROOT_A)
    assert signed.raw[0] >= 0xC0  # a list of RLP, where a typed transaction begins with its type (EIP-2718)
    sent = Web3(HTTPProvider(chain.url)).eth.get_transaction(Web3.to_hex(hexstr=anchor.send(signed).tx))  # type: ignore[arg-type]
    assert int(sent["type"]) == 0
    assert (sent["v"] - 35) // 2 == chain.chain_id  # EIP-155


def test_another_process_reads_the_anchor_knowing_only_addresses(chain: SandboxChain, anchor: Anchor) -> None:
    receipt = anchor.put(3, ROOT_A)
    program = (
        "import sys; from ledger.anchor import Anchor; size, root = Anchor(sys.argv[1], sys.argv[2]).read_tx(sys.argv[3]);"
        "print(size, root.hex())"
    )
    read = subprocess.run(
        [sys.executable, "-c", program, chain.url, receipt.contract, receipt.tx],
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout.split() == ["3", ROOT_A.hex()]


def test_a_judge_reads_the_anchors_of_a_bundle(chain: SandboxChain, anchor: Anchor) -> None:
    receipts = [anchor.put(3, ROOT_A), anchor.put(4, ROOT_B)]
    read = anchor_reader(chain.url)
    assert [read(record(receipt)) for receipt in receipts] == [(3, ROOT_A), (4, ROOT_B)]
    with pytest.raises(AnchorError, match="not chain 1"):
        read(record(receipts[0]) | {"chain_id": 1})


def test_web3_leaves_the_recursion_limit_as_it_was() -> None:
    """py-evm raises it to 100,000, with which a JSON document of brackets alone ends the process."""
    program = (
        "import sys; from ledger.anchor import Anchor, address_of; from ledger.errors import AnchorError\n"
        "before = sys.getrecursionlimit()\n"
        "address_of(bytes([1] * 32))\n"
        "assert sys.getrecursionlimit() == before\n"
        "try: Anchor('http://127.0.0.1:9', '0x' + '11' * 20).read()\n"
        "except AnchorError: print('web3' in sys.modules, sys.getrecursionlimit() == before)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "True True\n"


def test_importing_the_module_loads_no_web3() -> None:
    program = "import sys, ledger.anchor, ledger.chain; print([m for m in ('web3', 'eth_account', 'eth') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
        == "[]\n"
    )


@pytest.mark.parametrize("size", [4, 5])
def test_a_size_that_is_not_larger_is_refused_before_it_costs_anything(anchor: Anchor, size: int) -> None:
    anchor.put(5, ROOT_A)
    with pytest.raises(AnchorError, match=f"size {size} is not larger than 5") as refused:
        anchor.put(size, ROOT_B)
    assert refused.value.field == "size"


@pytest.mark.parametrize(("size", "root"), [(0, ROOT_A), (-1, ROOT_A), (2**64, ROOT_A), (1, b"short")])
def test_what_is_no_checkpoint_is_refused_unsent(anchor: Anchor, size: int, root: bytes) -> None:
    with pytest.raises(AnchorError, match="1 to 2\\^64-1 leaves"):
        anchor.put(size, root)


def test_a_key_that_does_not_own_the_contract_is_named_with_the_owner(
    chain: SandboxChain, anchor: Anchor
) -> None:
    stranger = new_key()
    with pytest.raises(AnchorError) as refused:
        Anchor(chain.url, anchor.address, stranger).put(1, ROOT_A)
    assert refused.value.field == "key"
    assert address_of(stranger) in refused.value.detail
    assert address_of(chain.key) in refused.value.detail


def test_reading_takes_no_key_and_writing_does(chain: SandboxChain, anchor: Anchor) -> None:
    reader = Anchor(chain.url, anchor.address)
    assert reader.read() == (0, bytes(32))
    with pytest.raises(AnchorError, match="no key was given"):
        reader.put(1, ROOT_A)


def test_an_owner_without_funds_is_told_so(chain: SandboxChain) -> None:
    poor = new_key()
    with pytest.raises(AnchorError, match="pays for its transaction"):
        deploy(chain.url, poor)
    pay(chain, address_of(poor), 10**17)
    contract = Anchor(chain.url, deploy(chain.url, poor), poor)
    contract.put(1, ROOT_A)
    web3 = Web3(HTTPProvider(chain.url))
    left = web3.eth.get_balance(Web3.to_checksum_address(address_of(poor)))
    rest = left - 21_000 * web3.eth.gas_price - 1_000
    sender = Account.from_key(poor)
    web3.eth.send_raw_transaction(
        sender.sign_transaction(
            {
                "nonce": 2,
                "gasPrice": web3.eth.gas_price,
                "gas": 21_000,
                "to": Web3.to_checksum_address(address_of(chain.key)),
                "value": rest,
                "data": b"",
                "chainId": chain.chain_id,
            }
        ).raw_transaction
    )
    with pytest.raises(AnchorError, match="pays for its transaction") as refused:
        contract.put(2, ROOT_B)
    assert refused.value.field == "key"


def test_the_owner_changes_in_two_steps_and_only_the_new_one_anchors(
    chain: SandboxChain, anchor: Anchor
) -> None:
    successor = new_key()
    pay(chain, address_of(successor), 10**18)
    heir = Anchor(chain.url, anchor.address, successor)
    with pytest.raises(AnchorError, match="not the proposed owner"):
        heir.accept_owner()
    anchor.propose_owner(address_of(successor))
    assert anchor.owner() == address_of(chain.key)
    acceptance = heir.accept_owner()
    assert anchor.owner() == address_of(successor)
    heir.put(1, ROOT_A)
    with pytest.raises(AnchorError, match="the contract's owner is"):
        anchor.put(2, ROOT_B)
    with pytest.raises(AnchorError, match="calls accept_owner"):
        anchor.read_tx(acceptance)


def test_a_node_that_is_not_there_is_named_without_its_access_key() -> None:
    gone = Anchor("http://user:secret@127.0.0.1:9/v3/secret", "0x" + "11" * 20)
    with pytest.raises(AnchorError, match="cannot be reached") as refused:
        gone.read()
    assert "secret" not in str(refused.value)
    assert "start the node" in refused.value.remedy


def test_something_else_that_listens_is_not_taken_for_a_node() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with pytest.raises(AnchorError, match="answered with something else"):
        Anchor(f"http://127.0.0.1:{server.server_address[1]}", "0x" + "11" * 20).read()
    server.shutdown()
    server.server_close()


def test_the_wrong_chain_is_refused(chain: SandboxChain, anchor: Anchor) -> None:
    with pytest.raises(AnchorError, match=f"serves chain {chain.chain_id}, not chain 1") as refused:
        Anchor(chain.url, anchor.address, chain.key, chain_id=1).put(1, ROOT_A)
    assert refused.value.field == "chain_id"
    assert Anchor(chain.url, anchor.address, chain_id=chain.chain_id).read() == (0, bytes(32))


def test_an_address_without_the_contract_is_refused(chain: SandboxChain) -> None:
    with pytest.raises(AnchorError, match="no contract") as refused:
        Anchor(chain.url, "0x" + "11" * 20).read()
    assert refused.value.field == "contract"


def test_a_contract_of_other_code_is_refused(chain: SandboxChain) -> None:
    web3, sender = Web3(HTTPProvider(chain.url)), Account.from_key(chain.key)
    # init code that returns one byte of runtime code, 00 (STOP): it takes any call and keeps nothing
    signed = sender.sign_transaction(
        {
            "nonce": web3.eth.get_transaction_count(sender.address),
            "gasPrice": web3.eth.gas_price,
            "gas": 100_000,
            "value": 0,
            "data": "0x60016000f3",
            "chainId": chain.chain_id,
        }
    )
    created = web3.eth.get_transaction_receipt(web3.eth.send_raw_transaction(signed.raw_transaction))[
        "contractAddress"
    ]
    with pytest.raises(AnchorError, match="another contract"):
        Anchor(chain.url, str(created)).read()


def test_only_a_successful_call_of_this_contract_is_an_anchor(chain: SandboxChain, anchor: Anchor) -> None:
    elsewhere = Anchor(chain.url, deploy(chain.url, chain.key), chain.key)
    foreign = elsewhere.put(1, ROOT_A)
    with pytest.raises(AnchorError, match="did not change contract"):
        anchor.read_tx(foreign.tx)
    with pytest.raises(AnchorError, match="has no transaction"):
        anchor.read_tx("0x" + "00" * 32)


def test_an_anchor_overtaken_by_a_larger_one_reverts_and_is_not_taken_for_an_anchor(
    chain: SandboxChain, anchor: Anchor
) -> None:
    web3, sender = Web3(HTTPProvider(chain.url)), Account.from_key(chain.key)
    honest = anchor.sign(5, ROOT_A)
    later = sender.sign_transaction(
        {
            "nonce": web3.eth.get_transaction_count(sender.address) + 1,
            "gasPrice": web3.eth.gas_price,
            "gas": 100_000,
            "to": Web3.to_checksum_address(anchor.address),
            "value": 0,
            "data": "0xa6855208" + (5).to_bytes(32).hex() + ROOT_A.hex(),  # anchor(5, root)
            "chainId": chain.chain_id,
        }
    )
    overtaken = SignedAnchor(5, ROOT_A, later.hash.to_0x_hex(), bytes(later.raw_transaction))
    anchor.send(honest)
    with pytest.raises(AnchorError, match="without effect") as refused:
        anchor.send(overtaken)
    assert not isinstance(refused.value, AnchorUnknownError)
    with pytest.raises(AnchorError, match="did not change contract"):
        anchor.read_tx(overtaken.tx)


def test_two_anchors_of_one_number_are_told_apart(anchor: Anchor) -> None:
    first, second = (
        anchor.sign(5, ROOT_A),
        anchor.sign(6, ROOT_B),
    )  # both signed for the sender's next transaction
    anchor.send(second)
    with pytest.raises(AnchorError, match="refused") as refused:
        anchor.send(first)
    assert not isinstance(refused.value, AnchorUnknownError)
    assert anchor.read() == (6, ROOT_B)


@pytest.mark.parametrize("lost", ["eth_sendRawTransaction", "eth_getTransactionReceipt"])
def test_a_lost_answer_is_unknown_and_sending_again_finds_the_same_anchor(faulty: Faulty, lost: str) -> None:
    anchor = Anchor(faulty.url, deploy(faulty.url, faulty.key), faulty.key)
    faulty.drop = {lost}
    with pytest.raises(AnchorUnknownError) as unknown:
        anchor.put(7, ROOT_A)
    faulty.drop = set()
    assert "send this signed anchor again" in unknown.value.remedy
    assert anchor.read() == (7, ROOT_A)  # it had taken effect
    receipt = anchor.send(unknown.value.signed)
    assert (receipt.tx, receipt.size) == (unknown.value.signed.tx, 7)
    assert anchor.confirmations(receipt.tx) == 1


def test_a_lost_question_is_unknown_and_sending_again_anchors(faulty: Faulty) -> None:
    anchor = Anchor(faulty.url, deploy(faulty.url, faulty.key), faulty.key)
    faulty.ignore = {"eth_sendRawTransaction"}
    with pytest.raises(AnchorUnknownError) as unknown:
        anchor.put(7, ROOT_A)
    faulty.ignore = set()
    assert anchor.confirmations(unknown.value.signed.tx) == 0
    assert anchor.send(unknown.value.signed).size == 7


def test_a_transaction_that_no_block_takes_is_unknown(faulty: Faulty) -> None:
    address = deploy(faulty.url, faulty.key)
    faulty.held = []
    slow = Anchor(faulty.url, address, faulty.key, settle_s=1)
    with pytest.raises(AnchorUnknownError, match="no block") as unknown:
        slow.put(2, ROOT_A)
    (waiting,), faulty.held = faulty.held, None
    faulty.node.answer(waiting)
    assert slow.send(unknown.value.signed).size == 2


def test_an_anchor_survives_a_reorganisation_by_being_sent_again(faulty: Faulty) -> None:
    anchor = Anchor(faulty.url, deploy(faulty.url, faulty.key), faulty.key)
    before = faulty.node.tester.take_snapshot()
    signed = anchor.sign(8, ROOT_A)
    receipt = anchor.send(signed)
    faulty.node.tester.mine_blocks(2)
    assert anchor.confirmations(receipt.tx) == 3
    faulty.node.tester.revert_to_snapshot(before)
    assert anchor.confirmations(receipt.tx) == 0
    assert anchor.read() == (0, bytes(32))
    assert anchor.send(signed).tx == receipt.tx
    assert anchor.read() == (8, ROOT_A)


@pytest.mark.parametrize("address", ["", "0x12", "11" * 20, "0x" + "zz" * 20])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(AnchorError, match="is not an address"):
        Anchor("http://127.0.0.1:9", address)


@pytest.mark.parametrize("tx", ["", "0x12", "0x" + "zz" * 32])
def test_a_hash_that_is_none_is_refused(anchor: Anchor, tx: str) -> None:
    with pytest.raises(AnchorError, match="is not a transaction's hash"):
        anchor.read_tx(tx)


def test_a_key_file_that_only_its_owner_reads_is_loaded(tmp_path: Path) -> None:
    key, path = new_key(), tmp_path / "anchor.key"
    path.write_text("0x" + key.hex() + "\n")
    for mode in (0o600, 0o400):
        path.chmod(mode)
        assert load_key(path) == key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "anchor.key"
    path.write_text(new_key().hex())
    path.chmod(mode)
    with pytest.raises(AnchorError, match="only its owner") as refused:
        load_key(path)
    assert f"chmod 600 {path}" in refused.value.remedy


@pytest.mark.parametrize(
    "text", ["", "00" * 32, "ff" * 32, "12" * 31, "12" * 33, "zz" * 32, "12" * 32 + "\n" + "13" * 32]
)
def test_a_file_that_holds_no_key_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "anchor.key"
    path.touch(0o600)
    os.chmod(path, 0o600)
    path.write_text(text)
    with pytest.raises(AnchorError, match="holds no private key") as refused:
        load_key(path)
    assert "1212" not in str(refused.value)


def test_a_missing_key_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AnchorError, match=r"absent\.key"):
        load_key(tmp_path / "absent.key")
