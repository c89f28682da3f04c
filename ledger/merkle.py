"""The Merkle tree of RFC 9162 §2.1 (the same as RFC 6962 §2.1) over SHA-256: roots, proofs and their checks.

A tree of n leaves is kept as its *edge*: the roots of the perfect subtrees that the binary digits of n name,
largest first. The edge alone is enough to append, to give the new root and to prove every new leaf, so a
writer holds at most 63 hashes whatever the size of the log.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from ledger.errors import ProofError

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

Node = Callable[[int, int], bytes]
"""`node(level, i)`: the hash of the i-th perfect subtree of 2**level leaves, counted from the left."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf: SHA-256(0x00 ‖ data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree: its size and the roots of its perfect subtrees, largest first."""

    size: int
    peaks: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if self.size < 0 or self.size.bit_count() != len(self.peaks):
            raise ProofError(
                f"a tree of {self.size} leaves has {max(self.size, 0).bit_count()} peaks, not {len(self.peaks)}",
                field="peaks",
                rule="one perfect subtree for each binary one of the size",
                remedy="store size and peaks together and read them together",
            )

    @classmethod
    def empty(cls) -> Edge:
        return cls(0, ())

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Edge:
        """Read back what `to_bytes` wrote; ProofError where the length does not fit the size."""
        if len(data) % HASH_BYTES:
            raise ProofError(
                f"{len(data)} bytes are not whole hashes",
                field="peaks",
                rule="32 bytes a peak",
                remedy="store the bytes that to_bytes gave",
            )
        return cls(size, tuple(data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)))

    def to_bytes(self) -> bytes:
        """The peaks one after the other, largest first, 32 bytes each."""
        return b"".join(self.peaks)

    def root(self) -> bytes:
        """The Merkle tree hash of the whole tree; `EMPTY_ROOT` for none."""
        if not self.peaks:
            return EMPTY_ROOT
        *larger, bag = self.peaks
        for peak in reversed(larger):
            bag = sha256(b"\x01" + peak + bag).digest()
        return bag

    def append(self, leaf_hashes: Sequence[bytes]) -> Edge:
        """The edge after these leaves, in this order."""
        if len(leaf_hashes) == 1:
            return self._append_one(leaf_hashes[0])
        if not leaf_hashes:
            return self
        levels, kept = _grow(self, leaf_hashes)
        return _edge(self.size + len(leaf_hashes), levels, kept)

    def _append_one(self, node: bytes) -> Edge:
        # Adding one carries through the low ones of the size: each is a peak that the new leaf completes to a pair.
        kept = len(self.peaks) - (self.size ^ self.size + 1).bit_length() + 1
        for peak in self.peaks[: kept - 1 if kept else None : -1]:
            node = sha256(b"\x01" + peak + node).digest()
        return Edge(self.size + 1, (*self.peaks[:kept], node))


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of these leaves."""
    return Edge.empty().append(leaf_hashes).root()


def append_with_proofs(edge: Edge, leaf_hashes: Sequence[bytes]) -> tuple[Edge, list[tuple[bytes, ...]]]:
    """The edge after these leaves, and for each of them its inclusion proof in the new tree.

    Needs nothing of the log but the old edge. Leaves that share an upper path share the work for it.
    """
    if not leaf_hashes:
        return edge, []
    levels, kept = _grow(edge, leaf_hashes)
    grown = _edge(edge.size + len(leaf_hashes), levels, kept)
    tails = _tails(levels, kept)
    above: list[tuple[bytes, ...]] = []
    for level in range(len(levels) - 1, -1, -1):
        nodes = levels[level]
        paths: list[tuple[bytes, ...]] = []
        add = paths.append
        for at, path in zip(range(0, len(nodes), 2), above, strict=False):
            add((nodes[at + 1], *path))
            add((nodes[at], *path))
        if len(nodes) & 1:
            add(tuple(tails[level]))
        above = paths[1:] if edge.size >> level & 1 else paths
    return grown, above


def append_with_json_proofs(edge: Edge, leaf_hashes: Sequence[bytes]) -> tuple[Edge, list[str]]:
    """As `append_with_proofs`, each proof as the text of a JSON array of standard base64 strings.

    Every sibling is encoded once and every shared upper path is written once, then copied.
    """
    if not leaf_hashes:
        return edge, []
    levels, kept = _grow(edge, leaf_hashes)
    grown = _edge(edge.size + len(leaf_hashes), levels, kept)
    tails = _tails(levels, kept)
    above: list[str] = []  # each the inside of an array that is already closed: `"…","…"]`
    for level in range(len(levels) - 1, -1, -1):
        nodes = levels[level]
        pairs = len(nodes) >> 1
        texts = [_quoted(node) for node in nodes[: pairs * 2]]
        paths: list[str] = []
        add = paths.append
        for at, path in zip(range(0, pairs * 2, 2), above, strict=True):
            joint = path if path == "]" else "," + path
            add(texts[at + 1] + joint)
            add(texts[at] + joint)
        if len(nodes) & 1:
            add(",".join(map(_quoted, tails[level])) + "]")
        above = paths[1:] if edge.size >> level & 1 else paths
    return grown, ["[" + path for path in above]


def _quoted(node: bytes) -> str:
    return '"' + b2a_base64(node, newline=False).decode("ascii") + '"'


def _grow(edge: Edge, leaf_hashes: Sequence[bytes]) -> tuple[list[list[bytes]], list[bytes]]:
    """The nodes that the leaves complete, a list a level, and the old peaks above all of them.

    Where an old peak is the left sibling of the first new node of its level it stands before it, so every
    list begins at an even position of its level: pairs are parents, a single last node is a new peak.
    """
    kept = list(edge.peaks)
    levels: list[list[bytes]] = []
    nodes = list(leaf_hashes)
    size = edge.size
    while nodes:
        if size & 1:
            nodes.insert(0, kept.pop())
        levels.append(nodes)
        pairs = iter(nodes)
        nodes = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]
        size >>= 1
    return levels, kept


def _edge(size: int, levels: list[list[bytes]], kept: list[bytes]) -> Edge:
    return Edge(size, (*kept, *(nodes[-1] for nodes in reversed(levels) if len(nodes) & 1)))


def _tails(levels: list[list[bytes]], kept: list[bytes]) -> list[list[bytes]]:
    """For each level with a new peak, the path from that peak up: all smaller peaks as one hash, then the larger ones."""
    new_peaks = [nodes[-1] for nodes in levels if len(nodes) & 1]
    larger = new_peaks + kept[::-1]
    tails: list[list[bytes]] = []
    bag: bytes | None = None
    seen = 0
    for nodes in levels:
        if not len(nodes) & 1:
            tails.append([])
            continue
        seen += 1
        tails.append(larger[seen:] if bag is None else [bag, *larger[seen:]])
        bag = nodes[-1] if bag is None else sha256(b"\x01" + nodes[-1] + bag).digest()
    return tails


def subtree_root(start: int, end: int, node: Node) -> bytes:
    """The Merkle tree hash of the leaves start … end-1, from the perfect subtrees that make it up.

    `start` is a multiple of the smallest power of two that is not below end - start, as every subtree that
    RFC 9162 names is.
    """
    hashes = []
    while start < end:
        level = (end - start).bit_length() - 1
        hashes.append(node(level, start >> level))
        start += 1 << level
    bag = hashes.pop()
    while hashes:
        bag = node_hash(hashes.pop(), bag)
    return bag


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """The path of RFC 9162 §2.1.3.1 for one leaf in the tree of `size` leaves; ProofError outside it."""
    if not 0 <= index < size:
        raise ProofError(
            f"leaf {index} is not in a tree of {size}",
            field="index",
            rule="0 <= index < size (RFC 9162 §2.1.3.1)",
            remedy="ask for a leaf that the checkpoint covers",
        )
    path: list[bytes] = []
    level, at, last = 0, index, size - 1  # on this level, the leaf's subtree and the last subtree of the tree
    while last:
        if at & 1:
            path.append(node(level, at - 1))
        elif at + 1 < last:
            path.append(node(level, at + 1))
        elif at < last:  # the sibling ends the tree and may be imperfect
            path.append(subtree_root(at + 1 << level, size, node))
        level, at, last = level + 1, at >> 1, last >> 1
    return path


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """The proof of RFC 9162 §2.1.4.1 that the tree of `new` leaves begins with the tree of `old` leaves.

    ProofError for old = 0: everything begins with nothing, so such a proof would prove nothing.
    """
    _consistency_sizes(old, new)
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(subtree_root(middle, end, node))
            end = middle
        else:
            path.append(subtree_root(start, middle, node))
            start, whole = middle, False
    if not whole:
        path.append(subtree_root(start, end, node))
    path.reverse()
    return path


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check an inclusion proof by RFC 9162 §2.1.3.2; `leaf` is the leaf's hash. ProofError where it does not hold."""
    if not 0 <= index < size:
        raise ProofError(
            f"leaf {index} is not in a tree of {size}",
            field="index",
            rule="0 <= index < size (RFC 9162 §2.1.3.2)",
            remedy="take index and size from the same receipt",
        )
    _whole_hashes([leaf, root, *proof], "proof")
    position, last = index, size - 1
    computed = leaf
    for sibling in proof:
        if last == 0:
            raise _wrong_length("longer", "inclusion")
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            computed = node_hash(computed, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise _wrong_length("shorter", "inclusion")
    if computed != root:
        raise ProofError(
            f"leaf {index} hashes to another root than the checkpoint's",
            field="proof",
            rule="the path from the leaf ends in the root (RFC 9162 §2.1.3.2)",
            remedy="do not trust this leaf; ask the log for its proof again and keep both answers",
        )


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check a consistency proof by RFC 9162 §2.1.4.2. ProofError where it does not hold, and for old = 0."""
    _consistency_sizes(old, new)
    _whole_hashes([old_root, new_root, *proof], "proof")
    path = list(proof)
    if old == new:
        if path:
            raise _wrong_length("longer", "consistency")
        if old_root != new_root:
            raise _fork(old, new)
        return
    if old.bit_count() == 1:  # the old tree is one perfect subtree: the verifier knows its root already
        path.insert(0, old_root)
    if not path:
        raise _wrong_length("shorter", "consistency")
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    from_old = from_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise _wrong_length("longer", "consistency")
        if position & 1 or position == last:
            from_old = node_hash(sibling, from_old)
            from_new = node_hash(sibling, from_new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            from_new = node_hash(from_new, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise _wrong_length("shorter", "consistency")
    if from_old != old_root or from_new != new_root:
        raise _fork(old, new)


def _split(size: int) -> int:
    """The largest power of two below `size` (RFC 9162 §2.1.1)."""
    return 1 << (size - 1).bit_length() - 1


def _consistency_sizes(old: int, new: int) -> None:
    if not 0 < old <= new:
        raise ProofError(
            f"no consistency from size {old} to size {new}",
            field="old",
            rule="0 < old <= new (RFC 9162 §2.1.4); from size 0 nothing is proven",
            remedy="start from a checkpoint with at least one leaf",
        )


def _whole_hashes(hashes: Sequence[bytes], field: str) -> None:
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise ProofError(
                f"a hash of {len(value)} bytes",
                field=field,
                rule="every hash has 32 bytes (SHA-256)",
                remedy="send each hash whole",
            )


def _wrong_length(how: str, kind: str) -> ProofError:
    return ProofError(
        f"the {kind} proof is {how} than these sizes need",
        field="proof",
        rule="the sizes fix the length of the proof (RFC 9162 §2.1.3.2, §2.1.4.2)",
        remedy="take sizes and proof from the same answer",
    )


def _fork(old: int, new: int) -> ProofError:
    return ProofError(
        f"the tree of {new} leaves does not begin with the tree of {old}",
        field="proof",
        rule="a log only grows (RFC 9162 §2.1.4)",
        remedy="keep both checkpoints: together they show that the log rewrote its history",
    )
