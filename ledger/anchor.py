"""The newest checkpoint on a public chain: put there through web3, read back by anyone with a node's address.

The contract (`contract/anchor.vy`, compiled in `contract/anchor.json`) keeps one size and one root, and its size only
grows: an operator who anchors cannot later show a shorter log, nor another log of an anchored size. That holds as far
as the chain does; a chain run by the operator proves nothing, which is why a regulator's witness cosigns as well.

Transactions are legacy ones (type 0, one gas price), signed here and sent raw, so they work on mainnet, on sandbox
chains and on consortium chains alike, and the key never leaves this process. Addresses are lower-case throughout, in
what is asked of a node too: FISCO BCOS keeps contracts under their lower-case addresses. Of JSON-RPC the eleven methods
of `METHODS` are used, all of which it offers; fees are asked for with eth_gasPrice, because it has no eth_feeHistory, and
an anchor is found by its transaction, never by a scan of logs, which costs seconds on any chain.

A transaction is in one of three places: signed here, waiting at a node, or in a block. `sign` and `dearer` make one,
`offer` hands it to the node, `look` asks what became of it; none of them waits for a block, and `look` asks in an order
that makes its answer safe to act on. Whoever keeps what was signed before it is offered can end at any moment.

web3 takes seconds to import and is imported when a node is first asked, not with this module.
"""

import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from ledger.errors import AbsentError, AnchorError, UnansweredError

if TYPE_CHECKING:
    from eth_typing import ChecksumAddress, HexStr
    from web3 import Web3
    from web3.contract import Contract
    from web3.types import RPCEndpoint, TxData, TxParams, TxReceipt

ANSWER_SECONDS = 5  # for one question to the node
SETTLE_SECONDS = 120  # for a transaction to enter a block: ten blocks of the slowest chain in use
POLL_SECONDS = 0.05

METHODS = frozenset(
    {
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_estimateGas",
        "eth_gasPrice",
        "eth_getBalance",
        "eth_getCode",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        "eth_sendRawTransaction",
    }
)
"""All that is ever asked of a node (Ethereum JSON-RPC)."""

GWEI = 10**9
PRICE_LIMIT_WEI = 200 * GWEI  # an anchor for at most 0.0068 of the chain's coin

SIZE_LIMIT = 2**64
_CURVE_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141  # SEC 2, secp256k1

# The first anchor of a contract fills an empty slot, which costs 17,100 gas more than to change one (EIP-2929). After a
# reorganisation any anchor may come to be the first. A limit costs nothing where it is not used.
_SPARE_GAS = 20_000

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_TX = re.compile(r"0x[0-9a-fA-F]{64}")
_NO_FUNDS = re.compile(r"insufficient (funds|balance)|cannot afford|not enough cash", re.IGNORECASE)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SignedAnchor:
    """A transaction that anchors (size, root), signed and ready to be offered, as often as a fault makes necessary.

    `number` is its place among the transactions of its sender, of which a chain takes one only; `gas` is its limit.
    """

    size: int
    root: bytes
    chain_id: int
    tx: str
    number: int
    gas: int
    gas_price_wei: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction that a block has: which block, whether it took effect there, and what it took."""

    tx: str
    block: int
    block_hash: str
    succeeded: bool
    gas_used: int


@dataclass(frozen=True, slots=True)
class Sight:
    """What became of the transactions that were signed for one anchor, as far as one node knows.

    `last_size` is the contract's, `count` how many transactions of the sender blocks have. `mined` is the one of ours
    that took effect, or else the newest one where it is in a block without effect. `known` says that the node has the
    newest one, in a block or waiting.
    """

    last_size: int
    count: int
    mined: Mined | None
    known: bool


def next_price_wei(price_wei: int, asked_wei: int, limit_wei: int) -> int | None:
    """The price at which a waiting transaction is offered anew: what the node asks, and an eighth more at least.

    Nodes take a second transaction of the same number only where it pays more, go-ethereum from a tenth on. None where
    the limit forbids as much, and on a chain that asks nothing, where a price brings no transaction forward.
    """
    price = max(asked_wei, price_wei + -(-price_wei // 8))
    return price if price_wei < price <= limit_wei else None


def new_key() -> bytes:
    """Make a private key (32 bytes) from the system's random source."""
    return (1 + secrets.randbelow(_CURVE_ORDER - 1)).to_bytes(32)


def load_key(path: Path) -> bytes:
    """Read a private key, 64 hexadecimal digits, from a file that only its owner can read.

    Raises AnchorError when others may read the file, or when it holds no key.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(70).decode("ascii", "replace").strip().removeprefix("0x")
    except OSError as error:
        raise AnchorError(
            f"{path}: {error.strerror}",
            field="key",
            rule="the anchor's key is a readable file",
            remedy="give the path of the file that holds the key",
        ) from error
    if mode & 0o077:
        raise AnchorError(
            f"{path} has mode {mode:04o}",
            field="key",
            rule="only its owner may read the anchor's key (mode 0600)",
            remedy=f"run `chmod 600 {path}`, and replace the key if others may have read it",
        )
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text) or not 0 < int(text, 16) < _CURVE_ORDER:
        raise AnchorError(
            f"{path} holds no private key",
            field="key",
            rule="a key is 64 hexadecimal digits, a number from 1 to the order of secp256k1 less one",
            remedy="restore the key from its backup",
        )
    return bytes.fromhex(text)


@cache
def address_of(key: bytes) -> str:
    """Give the lower-case address whose transactions `key` signs."""
    with recursion_limit_kept():
        from eth_account import Account

    return str(Account.from_key(key).address).lower()


def deploy(rpc_url: str, key: bytes, *, chain_id: int | None = None, settle_s: int = SETTLE_SECONDS) -> str:
    """Put a new anchor contract on the chain, owned by `key`, and give its lower-case address."""
    chain = _Chain(rpc_url, chain_id, settle_s)
    tx, raw = chain.call(key, None, _artifact()["bytecode"])
    return str(chain.settle(tx, raw)["contractAddress"]).lower()


def anchor_reader(rpc_url: str) -> Callable[[Mapping[str, Any]], tuple[int, bytes]]:
    """Give a judge the chain's own word on the anchors of a bundle.

    The function takes one anchor's record (`chain_id`, `contract`, `tx`, …) and gives the size and root that its
    transaction put on the chain. It raises AnchorError when the chain shows no such anchor.
    """

    @cache
    def anchor(contract: str, chain_id: int) -> Anchor:
        return Anchor(rpc_url, contract, chain_id=chain_id)

    return lambda record: anchor(str(record["contract"]), int(record["chain_id"])).read_tx(str(record["tx"]))


class Anchor:
    """One anchor contract, seen through one node. With a key it writes; without, it only reads.

    Every method asks the node and raises AnchorError for what the node, the chain or the contract refuses.
    """

    def __init__(
        self,
        rpc_url: str,
        address: str,
        key: bytes | None = None,
        *,
        chain_id: int | None = None,
        settle_s: int = SETTLE_SECONDS,
    ) -> None:
        """Take the contract's address; `chain_id`, where given, is the only chain that will do. Asks nothing yet."""
        self.address = _checked_address(address, "contract")
        self._key = key
        self._chain = _Chain(rpc_url, chain_id, settle_s)

    def put(self, size: int, root: bytes) -> Mined:
        """Anchor a log of `size` leaves and wait until a block has it: for whoever has nothing else to do meanwhile.

        A caller that must survive its own end between offering and being answered uses `sign`, keeps the result, and
        then `offer` and `look`.
        """
        signed = self.sign(size, root)
        return _mined(self._chain.settle(_checked_tx(signed.tx), signed.raw))

    def sign(self, size: int, root: bytes, *, limit_wei: int = PRICE_LIMIT_WEI) -> SignedAnchor:
        """Sign the transaction that anchors (size, root), after asking the chain whether it can succeed.

        It gets the sender's next number and pays what the node asks. Raises AnchorError where that is more than
        `limit_wei` for a unit of gas.
        """
        if not 0 < size < SIZE_LIMIT or len(root) != 32:
            raise AnchorError(
                f"size {size} with a root of {len(root)} bytes",
                field="size",
                rule="an anchored log has 1 to 2^64-1 leaves and a root of 32 bytes",
                remedy="anchor a signed checkpoint of a log that is not empty",
            )
        key = self._owner_key()
        last, _ = self.read()
        if size <= last:
            raise AnchorError(
                f"size {size} is not larger than {last}, which is anchored",
                field="size",
                rule="the anchored size only grows",
                remedy="anchor a newer checkpoint; if the log is no longer as large as that, it was rolled back",
            )
        gas = self._chain.estimate(key, self.address, self._call(size, root)) + _SPARE_GAS
        price = self._chain.gas_price()
        if price > limit_wei:
            raise AnchorError(
                f"a unit of gas costs {price} wei now, more than the {limit_wei} that it may",
                field="price_limit",
                rule="no anchor costs more than was allowed",
                remedy="wait until the chain is cheaper, or allow more",
            )
        return self._signed(size, root, self._chain.next_number(key), gas, price)

    def dearer(self, signed: SignedAnchor, *, limit_wei: int = PRICE_LIMIT_WEI) -> SignedAnchor | None:
        """Sign the same again at a higher price, in place of one that no block takes; None where none is allowed.

        It keeps its number, so that at most one of the two ever takes effect; where a lower one has become free,
        because a transaction before it was dropped, it takes that one, without which neither could be mined.
        """
        price = next_price_wei(signed.gas_price_wei, self._chain.gas_price(), limit_wei)
        if price is None:
            return None
        number = min(signed.number, self._chain.next_number(self._writing_key()))
        return self._signed(signed.size, signed.root, number, signed.gas, price)

    def offer(self, signed: SignedAnchor) -> None:
        """Hand a signed anchor to the node. One that it has already, waiting or in a block, is no fault."""
        with self._chain.asking():
            self._chain.offer(_checked_tx(signed.tx), signed.raw)

    def look(self, signed: Sequence[SignedAnchor]) -> Sight:
        """Ask what became of the transactions signed for one anchor, oldest first; at least one.

        The contract is asked before the count and the count before the receipts, so that an effect which comes about
        in between shows in the later answers: what is seen of others' doing is never of our own.
        """
        last_size, _ = self.read()
        count = self._chain.count(self._writing_key())
        mined = None
        for one in reversed(signed):
            found = self.mined(one.tx) if one.number < count else None
            if found is not None and (found.succeeded or one is signed[-1]):
                mined = found
                if found.succeeded:
                    break
        known = mined is not None or self._chain.transaction(_checked_tx(signed[-1].tx)) is not None
        return Sight(last_size, count, mined, known)

    def mined(self, tx: str) -> Mined | None:
        """Find the block that has a transaction; None while none has it, and once that block is no longer the chain's."""
        receipt = self._chain.receipt(_checked_tx(tx))
        return None if receipt is None else _mined(receipt)

    def height(self) -> int:
        """Give the number of the newest block."""
        with self._chain.asking():
            return self._chain.web3.eth.block_number

    def read(self) -> tuple[int, bytes]:
        """Give the newest anchored size and root; size 0 before the first."""
        with self._chain.asking():
            size, root = self._contract.functions.last().call()
        return int(size), bytes(root)

    def read_tx(self, tx: str) -> tuple[int, bytes]:
        """Give the size and root that one transaction put on the chain, read from the transaction itself.

        Raises AbsentError where no block has the transaction, AnchorError unless it called this contract and succeeded.
        """
        tx_hash = _checked_tx(tx)
        sent, receipt = self._chain.transaction(tx_hash), self._chain.receipt(tx_hash)
        if sent is None or receipt is None:
            raise AbsentError(
                f"chain {self._chain.chain_id} has no transaction {tx}",
                field="tx",
                rule="an anchor is a transaction in a block of the chain",
                remedy="ask a node that is in step with the chain; if it does not have it either, nothing was anchored",
            )
        if str(sent["to"]).lower() != self.address or receipt["status"] != 1:
            raise AnchorError(
                f"transaction {tx} did not change contract {self.address}",
                field="tx",
                rule="an anchor is a successful call of the anchor contract",
                remedy="look for the transaction that did; this one anchors nothing",
            )
        with self._chain.asking():
            function, given = self._contract.decode_function_input(sent["input"])
        if function.fn_name != "anchor":
            raise AnchorError(
                f"transaction {tx} calls {function.fn_name}",
                field="tx",
                rule="an anchor is a call of `anchor(size, root)`",
                remedy="look for the transaction that anchored; this one did something else",
            )
        return int(given["size"]), bytes(given["root"])

    def owner(self) -> str:
        """Give the lower-case address that may anchor."""
        with self._chain.asking():
            return str(self._contract.functions.owner().call()).lower()

    def proposed_owner(self) -> str | None:
        """Give the lower-case address that may take the contract over; None where none was announced."""
        with self._chain.asking():
            found = str(self._contract.functions.proposed_owner().call()).lower()
        return None if int(found, 16) == 0 else found

    def propose_owner(self, address: str) -> str:
        """Announce the next owner, who has no power until it accepts; gives the transaction."""
        proposed = self._chain.web3.to_checksum_address(_checked_address(address, "owner"))
        return self._settle(self._owner_key(), "propose_owner", proposed)

    def accept_owner(self) -> str:
        """Take over the contract with this object's key, which the owner has proposed; gives the transaction."""
        return self._settle(self._writing_key(), "accept_owner")

    @cached_property
    def _contract(self) -> "Contract":
        """The contract at the address, after comparing its code with ours: a look-alike need not be monotone."""
        web3 = self._chain.web3
        address = web3.to_checksum_address(self.address)
        with self._chain.asking():
            code = web3.eth.get_code(address)
        if bytes(code) != bytes.fromhex(_artifact()["runtime"]):
            raise AnchorError(
                f"{self.address} on chain {self._chain.chain_id} is {'another contract' if code else 'no contract'}",
                field="contract",
                rule="an anchor's code is what ledger/contract/anchor.vy compiles to",
                remedy="check the contract's address and the node's chain, or deploy the contract",
            )
        return web3.eth.contract(address, abi=_artifact()["abi"])

    def _writing_key(self) -> bytes:
        if self._key is None:
            raise AnchorError(
                "no key was given",
                field="key",
                rule="writing to the chain takes the owner's key",
                remedy="give the key, or only read",
            )
        return self._key

    def _owner_key(self) -> bytes:
        key, owner = self._writing_key(), self.owner()
        if (ours := address_of(key)) != owner:
            raise AnchorError(
                f"the key signs for {ours}, the contract's owner is {owner}",
                field="key",
                rule="only the contract's owner anchors and names a successor",
                remedy="use the owner's key, or have the owner propose this address and then accept",
            )
        return key

    def _call(self, size: int, root: bytes) -> "HexStr":
        data: HexStr = self._contract.encode_abi("anchor", (size, root))
        return data

    def _signed(self, size: int, root: bytes, number: int, gas: int, price_wei: int) -> SignedAnchor:
        key, data = self._writing_key(), self._call(size, root)
        tx, raw = self._chain.sign(key, self.address, data, number, gas, price_wei)
        return SignedAnchor(size, root, self._chain.chain_id, tx, number, gas, price_wei, raw)

    def _settle(self, key: bytes, function: str, *arguments: object) -> str:
        tx, raw = self._chain.call(key, self.address, self._contract.encode_abi(function, arguments))
        self._chain.settle(tx, raw)
        return tx


class _Chain:
    """One node, and the way of a transaction through it."""

    def __init__(self, rpc_url: str, chain_id: int | None, settle_s: int) -> None:
        self._rpc_url = rpc_url
        self._expected = chain_id
        self._settle_s = settle_s

    @cached_property
    def web3(self) -> "Web3":
        with recursion_limit_kept():
            from web3 import HTTPProvider, Web3

        class Provider(HTTPProvider):
            """Asks with lower-case addresses, which web3 itself takes in mixed case alone."""

            def encode_rpc_request(self, method: "RPCEndpoint", params: Any) -> bytes:
                asked = super().encode_rpc_request(method, params)
                return re.sub(rb'"0x[0-9a-fA-F]{40}"', lambda found: found[0].lower(), asked)

        # No middleware: it would look names up in ENS, guess senders and ask for fees in ways not every chain answers.
        # No retries: the caller has its own pace, and knows what it may repeat.
        provider = Provider(
            self._rpc_url, request_kwargs={"timeout": ANSWER_SECONDS}, exception_retry_configuration=None
        )
        web3 = Web3(provider, middleware=[])
        with self.asking():
            found = web3.eth.chain_id
        if self._expected not in (None, found):
            raise AnchorError(
                f"{self._node} serves chain {found}, not chain {self._expected}",
                field="chain_id",
                rule="an anchor is written to, and read from, one chain",
                remedy=f"give the address of a node of chain {self._expected}",
            )
        return web3

    @property
    def chain_id(self) -> int:
        with self.asking():
            return self.web3.eth.chain_id

    def transaction(self, tx: "HexStr") -> "TxData | None":
        """Give a transaction that the node knows, whether or not a block has it."""
        return self._found(lambda: self.web3.eth.get_transaction(tx))

    def receipt(self, tx: "HexStr") -> "TxReceipt | None":
        """Give what became of a transaction, once a block has it."""
        return self._found(lambda: self.web3.eth.get_transaction_receipt(tx))

    def _found(self, ask: Callable[[], T]) -> T | None:
        with self.asking():
            from web3.exceptions import TransactionNotFound

            try:
                return ask()
            except TransactionNotFound:
                return None

    def gas_price(self) -> int:
        with self.asking():
            return self.web3.eth.gas_price

    def estimate(self, key: bytes, to: str | None, data: "HexStr") -> int:
        """Ask how much gas a call takes. Raises AnchorError where the contract would refuse it."""
        call: TxParams = {"from": self._address(key), "data": data}
        if to:
            call["to"] = self.web3.to_checksum_address(to)
        with self.asking():
            return self.web3.eth.estimate_gas(call)

    def count(self, key: bytes) -> int:
        """Count the sender's transactions that blocks have."""
        with self.asking():
            return self.web3.eth.get_transaction_count(self._address(key), "latest")

    def next_number(self, key: bytes) -> int:
        """Give the sender's next number, after those that wait at the node."""
        with self.asking():
            return self.web3.eth.get_transaction_count(self._address(key), "pending")

    def call(self, key: bytes, to: str | None, data: "HexStr") -> "tuple[HexStr, bytes]":
        """Sign a call of (or, without `to`, the creation of) a contract, at the node's price: its hash and bytes."""
        gas = self.estimate(key, to, data)
        return self.sign(key, to, data, self.next_number(key), gas, self.gas_price())

    def sign(
        self, key: bytes, to: str | None, data: "HexStr", number: int, gas: int, price_wei: int
    ) -> "tuple[HexStr, bytes]":
        """Sign a legacy transaction, for which the sender must have the money: its hash and bytes. Sends nothing."""
        with recursion_limit_kept():
            from eth_account import Account

        with self.asking():
            funds = self.web3.eth.get_balance(self._address(key))
        if funds < gas * price_wei:
            raise _no_funds(f"{address_of(key)} has {funds} wei of the {gas * price_wei} that this takes")
        fields = {"nonce": number, "gasPrice": price_wei, "gas": gas, "value": 0, "data": data}
        if to:
            fields["to"] = self.web3.to_checksum_address(to)
        signed = Account.sign_transaction({**fields, "chainId": self.chain_id}, key)
        return cast("HexStr", "0x" + signed.hash.hex()), bytes(signed.raw_transaction)

    def _address(self, key: bytes) -> "ChecksumAddress":
        return self.web3.to_checksum_address(address_of(key))

    def settle(self, tx: "HexStr", raw: bytes) -> "TxReceipt":
        """Send a signed transaction and wait for the block that has it. Raises AnchorError if it reverted there."""
        with self.asking():
            self.offer(tx, raw)
            receipt = self._wait(tx)
        if receipt["status"] != 1:
            raise _reverted(f"transaction {tx} is in block {receipt['blockNumber']}, without effect")
        return receipt

    def offer(self, tx: "HexStr", raw: bytes) -> None:
        from web3.exceptions import Web3RPCError

        try:
            self.web3.eth.send_raw_transaction(raw)
        except Web3RPCError:
            # Nodes refuse a transaction that they already have, each in words of its own.
            if self.transaction(tx) is None:
                raise

    def _wait(self, tx: "HexStr") -> "TxReceipt":
        from web3.exceptions import TimeExhausted

        try:
            return self.web3.eth.wait_for_transaction_receipt(tx, self._settle_s, POLL_SECONDS)
        except TimeExhausted as error:
            raise UnansweredError(
                f"no block of chain {self.chain_id} had transaction {tx} within {self._settle_s} s",
                field="tx",
                rule="a transaction takes effect when a block has it",
                remedy="wait until the chain takes transactions again",
            ) from error

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Say what to do about whatever a node does."""
        with recursion_limit_kept():
            from web3.exceptions import ContractLogicError, Web3Exception, Web3RPCError

        try:
            yield
        except AnchorError:
            raise
        except ContractLogicError as error:
            raise _reverted(str(error.message)) from error
        except Web3RPCError as error:
            said = str((error.rpc_response or {}).get("error", {}).get("message", error))
            if _NO_FUNDS.search(said):
                raise _no_funds(said) from error
            raise AnchorError(
                f"{self._node} refused: {said}",
                field="chain",
                rule="the node accepts the question or the transaction",
                remedy="try again; if it refuses again, something else may be using the same key, or the node is at fault",
            ) from error
        except OSError as error:
            raise UnansweredError(
                f"{self._node} cannot be reached: {type(error).__name__}",
                field="chain",
                rule="a node of the chain answers JSON-RPC over HTTP",
                remedy="start the node, or correct its address",
            ) from error
        except (Web3Exception, ValueError, TypeError, LookupError, AttributeError) as error:
            raise UnansweredError(
                f"{self._node} answered with something else: {error}"[:300],
                field="chain",
                rule="a node of the chain answers JSON-RPC over HTTP",
                remedy="correct the address: what listens there is not a node, or not a working one",
            ) from error

    @property
    def _node(self) -> str:
        """The node as errors may show it: path, query and user often carry an access key."""
        url = urlsplit(self._rpc_url)
        return f"{url.scheme}://{url.hostname}" + (f":{url.port}" if url.port else "")


@contextmanager
def recursion_limit_kept() -> Iterator[None]:
    """Undo what importing web3, eth_account or eth_tester does to this process.

    They load py-evm where that is installed, which raises Python's recursion limit from 1,000 to 100,000: from then on
    a request of nothing but brackets runs the json module through the end of the stack and takes the process along.
    """
    limit = sys.getrecursionlimit()
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@cache
def _artifact() -> dict[str, Any]:
    """Read what the contract's source compiles to: `abi`, `bytecode` to deploy, `runtime` as the chain keeps it."""
    artifact: dict[str, Any] = json.loads(files("ledger").joinpath("contract", "anchor.json").read_text())
    return artifact


def _checked_address(address: str, field: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise AnchorError(
            f"{address!r} is not an address",
            field=field,
            rule="an address is 0x and 40 hexadecimal digits",
            remedy="copy the whole address, as deploying the contract printed it",
        )
    return address.lower()


def _checked_tx(tx: str) -> "HexStr":
    if not _TX.fullmatch(tx):
        raise AnchorError(
            f"{tx!r} is not a transaction's hash",
            field="tx",
            rule="a transaction's hash is 0x and 64 hexadecimal digits",
            remedy="copy the whole hash",
        )
    return cast("HexStr", tx.lower())


def _mined(receipt: "TxReceipt") -> Mined:
    return Mined(
        receipt["transactionHash"].to_0x_hex(),
        receipt["blockNumber"],
        receipt["blockHash"].to_0x_hex(),
        receipt["status"] == 1,
        receipt["gasUsed"],
    )


def _no_funds(detail: str) -> AnchorError:
    return AnchorError(
        detail,
        field="key",
        rule="the sender pays for its transaction",
        remedy="send some of the chain's currency to the address of the key; an anchor takes under 34,000 gas, the first one 51,000",
    )


def _reverted(detail: str) -> AnchorError:
    return AnchorError(
        detail,
        field="contract",
        rule="the contract accepts the call",
        remedy="read the contract's owner and newest size again: another call came first",
    )
