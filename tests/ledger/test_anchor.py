"""Anchors: put on a chain, read back by others, and every fault named with what to do."""

import json
import os
import re
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
    GWEI,
    METHODS,
    Anchor,
    Mined,
    address_of,
    anchor_reader,
    deploy,
    load_key,
    new_key,
    next_price_wei,
)
from ledger.chain import SandboxChain
from ledger.errors import AnchorError, UnansweredError
from tests.ledger.faulty import Faulty

ROOT_A, ROOT_B = b"\xaa" * 32, b"\xbb" * 32


@pytest.fixture(scope="module")
def chain() -> Iterator[SandboxChain]:
    with SandboxChain() as started:
        yield started


@pytest.fixture
def anchor(chain: SandboxChain) -> Anchor:
    return Anchor(chain.url, deploy(chain.url, chain.key), chain.key)


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


def record(chain: SandboxChain, anchor: Anchor, mined: Mined) -> dict[str, object]:
    return {"chain_id": chain.chain_id, "contract": anchor.address, "tx": mined.tx}


def test_an_anchor_is_read_back_from_the_contract_and_from_its_transaction(
    chain: SandboxChain, anchor: Anchor
) -> None:
    assert anchor.read() == (0, bytes(32))
    first = anchor.put(10, ROOT_A)
    second = anchor.put(11, ROOT_B)
    assert anchor.read() == (11, ROOT_B)
    assert anchor.read_tx(first.tx) == (10, ROOT_A)
    assert anchor.read_tx(second.tx) == (11, ROOT_B)
    assert second.succeeded
    assert second.block == first.block + 1 == anchor.height()
    assert anchor.mined(second.tx) == second
    assert second.gas_used <= 36_000


def test_the_transactions_are_legacy_ones_signed_for_their_chain(chain: SandboxChain, anchor: Anchor) -> None:
    signed = anchor.sign(1, ROOT_A)
    assert signed.raw[0] >= 0xC0  # a list of RLP, where a typed transaction begins with its type (EIP-2718)
    anchor.offer(signed)
    sent = Web3(HTTPProvider(chain.url)).eth.get_transaction(Web3.to_hex(hexstr=signed.tx))  # type: ignore[arg-type]
    assert int(sent["type"]) == 0
    assert (sent["v"] - 35) // 2 == chain.chain_id  # EIP-155


def test_another_process_reads_the_anchor_knowing_only_addresses(chain: SandboxChain, anchor: Anchor) -> None:
    mined = anchor.put(3, ROOT_A)
    program = (
        "import sys; from ledger.anchor import Anchor; size, root = Anchor(sys.argv[1], sys.argv[2]).read_tx(sys.argv[3]);"
        "print(size, root.hex())"
    )
    read = subprocess.run(
        [sys.executable, "-c", program, chain.url, anchor.address, mined.tx],
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout.split() == ["3", ROOT_A.hex()]


def test_a_judge_reads_the_anchors_of_a_bundle(chain: SandboxChain, anchor: Anchor) -> None:
    records = [record(chain, anchor, anchor.put(size, root)) for size, root in ((3, ROOT_A), (4, ROOT_B))]
    read = anchor_reader(chain.url)
    assert [read(one) for one in records] == [(3, ROOT_A), (4, ROOT_B)]
    with pytest.raises(AnchorError, match="not chain 1"):
        read(records[0] | {"chain_id": 1})


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
    assert anchor.proposed_owner() is None
    anchor.propose_owner(address_of(successor))
    assert anchor.proposed_owner() == address_of(successor)
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


def test_an_anchor_overtaken_by_a_larger_one_is_in_a_block_without_effect(faulty: Faulty) -> None:
    anchor = Anchor(faulty.url, deploy(faulty.url, faulty.key), faulty.key)
    before = faulty.node.tester.take_snapshot()
    anchor.propose_owner(address_of(new_key()))
    overtaken = anchor.sign(5, ROOT_A)
    faulty.node.tester.revert_to_snapshot(before)
    anchor.put(6, ROOT_B)
    anchor.offer(overtaken)
    sight = anchor.look([overtaken])
    assert sight.last_size == 6
    assert sight.mined is not None
    assert not sight.mined.succeeded
    with pytest.raises(AnchorError, match="did not change contract"):
        anchor.read_tx(overtaken.tx)


def test_of_two_anchors_of_one_number_one_takes_effect_and_the_other_is_told_gone(anchor: Anchor) -> None:
    first, second = anchor.sign(5, ROOT_A), anchor.sign(6, ROOT_B)
    assert first.number == second.number
    anchor.offer(second)
    with pytest.raises(AnchorError, match="refused"):
        anchor.offer(first)
    sight = anchor.look([first])
    assert (sight.last_size, sight.mined, sight.known) == (6, None, False)
    assert sight.count == first.number + 1
    both = anchor.look([first, second]).mined
    assert both is not None
    assert (both.tx, both.succeeded) == (second.tx, True)


@pytest.mark.parametrize("lost", ["eth_sendRawTransaction", "eth_getTransactionReceipt"])
def test_a_lost_answer_is_told_apart_and_looking_again_finds_the_anchor(faulty: Faulty, lost: str) -> None:
    anchor = Anchor(faulty.url, deploy(faulty.url, faulty.key), faulty.key)
    signed = anchor.sign(7, ROOT_A)
    faulty.drop = {lost}
    if lost == "eth_sendRawTransaction":
        with pytest.raises(UnansweredError):
            anchor.offer(signed)
    else:
        anchor.offer(signed)
        with pytest.raises(UnansweredError):
            anchor.look([signed])
    faulty.drop = set()
    assert anchor.read() == (7, ROOT_A)  # it had taken effect
    anchor.offer(signed)  # which is no fault
    mined = anchor.look([signed]).mined
    assert mined is not None
    assert mined.succeeded


def test_a_lost_question_leaves_nothing_behind_and_the_same_anchor_is_offered_again(faulty: Faulty) -> None:
    anchor = Anchor(faulty.url, deploy(faulty.url, faulty.key), faulty.key)
    signed = anchor.sign(7, ROOT_A)
    faulty.ignore = {"eth_sendRawTransaction"}
    with pytest.raises(UnansweredError):
        anchor.offer(signed)
    faulty.ignore = set()
    sight = anchor.look([signed])
    assert (sight.last_size, sight.mined, sight.known) == (0, None, False)
    anchor.offer(signed)
    assert anchor.look([signed]).mined is not None


def test_waiting_for_a_block_ends(faulty: Faulty) -> None:
    address = deploy(faulty.url, faulty.key)
    faulty.held = []
    slow = Anchor(faulty.url, address, faulty.key, settle_s=1)
    with pytest.raises(UnansweredError, match="no block"):
        slow.put(2, ROOT_A)


def test_a_reorganisation_takes_an_anchor_back_and_the_same_one_is_offered_again(faulty: Faulty) -> None:
    anchor = Anchor(faulty.url, deploy(faulty.url, faulty.key), faulty.key)
    before = faulty.node.tester.take_snapshot()
    signed = anchor.sign(8, ROOT_A)
    anchor.offer(signed)
    mined = anchor.mined(signed.tx)
    assert mined is not None
    faulty.node.tester.mine_blocks(2)
    assert anchor.height() - mined.block == 2
    faulty.node.tester.revert_to_snapshot(before)
    assert anchor.mined(signed.tx) is None
    assert anchor.read() == (0, bytes(32))
    anchor.offer(signed)
    assert anchor.read() == (8, ROOT_A)


def test_an_anchor_is_offered_dearer_under_its_own_number_until_the_limit(faulty: Faulty) -> None:
    anchor = Anchor(faulty.url, deploy(faulty.url, faulty.key), faulty.key)
    signed = anchor.sign(8, ROOT_A)
    dearer = anchor.dearer(signed)
    assert dearer is not None
    assert (dearer.number, dearer.size, dearer.root) == (signed.number, 8, ROOT_A)
    assert dearer.gas_price_wei * 8 >= signed.gas_price_wei * 9
    assert anchor.dearer(signed, limit_wei=signed.gas_price_wei) is None
    with pytest.raises(AnchorError, match="more than the 1 that it may"):
        anchor.sign(9, ROOT_A, limit_wei=1)
    anchor.offer(dearer)
    found = anchor.look([signed, dearer]).mined
    assert found is not None
    assert (found.tx, found.succeeded) == (dearer.tx, True)


@pytest.mark.parametrize(
    ("price", "asked", "limit", "expected"),
    [
        (8 * GWEI, 1, 200 * GWEI, 9 * GWEI),
        (8 * GWEI, 20 * GWEI, 200 * GWEI, 20 * GWEI),
        (8 * GWEI, 300 * GWEI, 200 * GWEI, None),
        (8 * GWEI, 200 * GWEI, 200 * GWEI, 200 * GWEI),
        (180 * GWEI, 1, 200 * GWEI, None),
        (0, 0, 200 * GWEI, None),
        (1, 0, 2, 2),
    ],
)
def test_a_dearer_price_is_an_eighth_more_at_least_and_never_above_the_limit(
    price: int, asked: int, limit: int, expected: int | None
) -> None:
    assert next_price_wei(price, asked, limit) == expected


def test_a_node_is_asked_for_nothing_but_what_a_consortium_chain_offers_and_by_lower_case_addresses(
    faulty: Faulty,
) -> None:
    anchor = Anchor(faulty.url, deploy(faulty.url, faulty.key), faulty.key)
    signed = anchor.sign(1, ROOT_A)
    anchor.offer(signed)
    anchor.look([signed])
    anchor.dearer(signed)
    anchor.read_tx(signed.tx)
    anchor.height()
    anchor.owner()
    asked = [json.loads(body) for body in faulty.seen]
    assert {one["method"] for one in asked} == METHODS
    addresses = [found for body in faulty.seen for found in re.findall(rb'"0x[0-9a-fA-F]{40}"', body)]
    assert addresses
    assert all(found == found.lower() for found in addresses)


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
