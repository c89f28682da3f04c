"""The anchor contract: what is shipped is what its source compiles to, and the rules hold on a real EVM.

Run as a program it prints a fresh `anchor.json`, for when the source changed.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from hypothesis import given, settings
from hypothesis import strategies as st
from web3 import EthereumTesterProvider, Web3

import ledger

FOLDER = Path(ledger.__file__).parent / "contract"


def compiled() -> dict[str, Any]:
    """Compile the source and give what `anchor.json` must hold."""
    import vyper

    out = vyper.compile_code(
        (FOLDER / "anchor.vy").read_text(), output_formats=["abi", "bytecode", "bytecode_runtime"]
    )
    return {
        "compiler": f"vyper {vyper.__version__}",
        "evm_version": "paris",
        "abi": out["abi"],
        "bytecode": out["bytecode"],
        "runtime": out["bytecode_runtime"].removeprefix("0x"),
    }


@dataclass
class Deployed:
    """A fresh contract and the accounts around it."""

    web3: Web3
    contract: Any
    owner: str
    stranger: str

    def call(self, function: str, *arguments: object, by: str | None = None) -> Any:
        """Send a transaction and give its receipt."""
        sent = getattr(self.contract.functions, function)(*arguments).transact({"from": by or self.owner})
        return self.web3.eth.wait_for_transaction_receipt(sent)


@pytest.fixture(scope="module")
def chain() -> Web3:
    return Web3(EthereumTesterProvider(EthereumTester(PyEVMBackend())))


def deploy(web3: Web3) -> Deployed:
    owner, stranger = list(web3.eth.accounts)[:2]
    shipped = json.loads((FOLDER / "anchor.json").read_text())
    creation = web3.eth.contract(abi=shipped["abi"], bytecode=shipped["bytecode"]).constructor()
    receipt = web3.eth.wait_for_transaction_receipt(creation.transact({"from": owner}))
    contract = web3.eth.contract(address=receipt["contractAddress"], abi=shipped["abi"])
    return Deployed(web3, contract, owner, stranger)


@pytest.fixture
def anchor(chain: Web3) -> Deployed:
    return deploy(chain)


ROOT_A, ROOT_B = b"\xaa" * 32, b"\xbb" * 32


def test_the_shipped_contract_is_what_its_source_compiles_to() -> None:
    shipped = json.loads((FOLDER / "anchor.json").read_text())
    assert shipped == compiled(), (
        "run `make contract` to compile the source again, and deploy anew where it changed"
    )


def test_the_shipped_runtime_is_what_the_chain_keeps(anchor: Deployed) -> None:
    shipped = json.loads((FOLDER / "anchor.json").read_text())
    assert anchor.web3.eth.get_code(anchor.contract.address).hex() == shipped["runtime"]


def test_it_keeps_the_newest_size_and_root_and_says_so_in_an_event(anchor: Deployed) -> None:
    assert anchor.contract.functions.last().call() == [0, bytes(32)]
    anchor.call("anchor", 1, ROOT_A)
    receipt = anchor.call("anchor", 2**64 - 1, ROOT_B)
    assert anchor.contract.functions.last().call() == [2**64 - 1, ROOT_B]
    (event,) = anchor.contract.events.Anchored().process_receipt(receipt)
    assert dict(event["args"]) == {"size": 2**64 - 1, "root": ROOT_B}


@pytest.mark.parametrize("size", [0, 6, 7])
def test_a_size_that_is_not_larger_is_refused_and_changes_nothing(anchor: Deployed, size: int) -> None:
    anchor.call("anchor", 7, ROOT_A)
    with pytest.raises(TransactionFailed, match="size not larger"):
        anchor.call("anchor", size, ROOT_B)
    assert anchor.contract.functions.last().call() == [7, ROOT_A]


def test_an_empty_log_cannot_be_anchored(anchor: Deployed) -> None:
    with pytest.raises(TransactionFailed, match="size not larger"):
        anchor.call("anchor", 0, ROOT_A)


def test_only_the_owner_anchors(anchor: Deployed) -> None:
    with pytest.raises(TransactionFailed, match="not the owner"):
        anchor.call("anchor", 1, ROOT_A, by=anchor.stranger)
    assert anchor.contract.functions.last().call() == [0, bytes(32)]


def test_the_owner_changes_in_two_announced_steps_and_the_size_stays(anchor: Deployed) -> None:
    anchor.call("anchor", 9, ROOT_A)
    proposal = anchor.call("propose_owner", anchor.stranger)
    (event,) = anchor.contract.events.OwnerProposed().process_receipt(proposal)
    assert dict(event["args"]) == {"owner": anchor.owner, "proposed": anchor.stranger}
    assert anchor.contract.functions.owner().call() == anchor.owner
    with pytest.raises(TransactionFailed, match="not the owner"):
        anchor.call("anchor", 10, ROOT_B, by=anchor.stranger)

    acceptance = anchor.call("accept_owner", by=anchor.stranger)
    (event,) = anchor.contract.events.OwnerChanged().process_receipt(acceptance)
    assert dict(event["args"]) == {"previous": anchor.owner, "owner": anchor.stranger}
    assert anchor.contract.functions.owner().call() == anchor.stranger
    assert anchor.contract.functions.last().call() == [9, ROOT_A]
    with pytest.raises(TransactionFailed, match="not the owner"):
        anchor.call("anchor", 10, ROOT_B)
    with pytest.raises(TransactionFailed, match="size not larger"):
        anchor.call("anchor", 9, ROOT_B, by=anchor.stranger)
    anchor.call("anchor", 10, ROOT_B, by=anchor.stranger)


def test_nobody_takes_over_unannounced_or_after_a_withdrawal(anchor: Deployed) -> None:
    with pytest.raises(TransactionFailed, match="not the owner"):
        anchor.call("propose_owner", anchor.stranger, by=anchor.stranger)
    with pytest.raises(TransactionFailed, match="not the proposed owner"):
        anchor.call("accept_owner", by=anchor.stranger)
    anchor.call("propose_owner", anchor.stranger)
    anchor.call("propose_owner", "0x" + "00" * 20)
    with pytest.raises(TransactionFailed, match="not the proposed owner"):
        anchor.call("accept_owner", by=anchor.stranger)


def test_a_proposal_is_used_up_by_its_acceptance(anchor: Deployed) -> None:
    anchor.call("propose_owner", anchor.stranger)
    anchor.call("accept_owner", by=anchor.stranger)
    anchor.call("propose_owner", anchor.owner, by=anchor.stranger)
    anchor.call("accept_owner")
    with pytest.raises(TransactionFailed, match="not the proposed owner"):
        anchor.call("accept_owner", by=anchor.stranger)


def test_the_dearest_anchor_takes_51_000_gas_the_first_time_and_34_000_after(anchor: Deployed) -> None:
    first = anchor.call("anchor", 2**64 - 2, b"\xfe" * 32)["gasUsed"]  # no byte of it is a cheap zero
    second = anchor.call("anchor", 2**64 - 1, b"\xff" * 32)["gasUsed"]
    assert (first < 51_000, second < 34_000) == (True, True), (first, second)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["owner", "stranger"]), st.integers(0, 6) | st.integers(0, 2**64 - 1)),
        max_size=6,
    )
)
def test_any_row_of_calls_leaves_what_a_plain_model_says(chain: Web3, calls: list[tuple[str, int]]) -> None:
    anchor, size, root = deploy(chain), 0, bytes(32)
    for number, (by, asked) in enumerate(calls):
        offered = number.to_bytes(32)
        if by == "owner" and asked > size:
            anchor.call("anchor", asked, offered)
            size, root = asked, offered
        else:
            with pytest.raises(TransactionFailed):
                anchor.call("anchor", asked, offered, by=getattr(anchor, by))
    assert anchor.contract.functions.last().call() == [size, root]


if __name__ == "__main__":
    print(json.dumps(compiled(), indent=1))
