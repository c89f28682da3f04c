# pragma version 0.4.3
# pragma evm-version paris
"""
@title  Anchor of a transparency log
@license Apache-2.0
@notice Keeps the newest size and root that a log's operator put on this chain. A size only ever grows,
        so the operator cannot put a shorter or a different log of the same size here afterwards.
@dev    Compiled for `paris`, which consortium chains that lag behind mainnet run as well.
        Vyper gives each variable a slot of its own, and a slot is what costs: owner and size, which every
        call reads together, share `head` by hand, the size in its lowest 64 bits, the owner in the 160 above.
"""

event Anchored:
    size: indexed(uint64)
    root: bytes32

event OwnerProposed:
    owner: indexed(address)
    proposed: indexed(address)

event OwnerChanged:
    previous: indexed(address)
    owner: indexed(address)

SIZE_BITS: constant(uint256) = 64
SIZE_MASK: constant(uint256) = 2**64 - 1

head: uint256
root: bytes32
proposed_owner: public(address)


@deploy
def __init__():
    self.head = convert(msg.sender, uint256) << SIZE_BITS
    log OwnerChanged(previous=empty(address), owner=msg.sender)


@external
def anchor(size: uint64, root: bytes32):
    """
    @notice Put the root of the log of `size` leaves on the chain.
    @dev    Owner only; `size` is larger than every size before it, so the first one is at least 1.
    """
    head: uint256 = self.head
    owner: uint256 = head >> SIZE_BITS
    assert owner == convert(msg.sender, uint256), "not the owner"
    assert convert(size, uint256) > head & SIZE_MASK, "size not larger"
    self.head = (owner << SIZE_BITS) | convert(size, uint256)
    self.root = root
    log Anchored(size=size, root=root)


@external
@view
def last() -> (uint64, bytes32):
    """
    @return The newest size and its root; 0 and zeros before the first anchor.
    """
    return convert(self.head & SIZE_MASK, uint64), self.root


@external
@view
def owner() -> address:
    return self._owner()


@external
def propose_owner(proposed: address):
    """
    @notice Announce the next owner, who has no power before `accept_owner`. The zero address withdraws.
    """
    assert msg.sender == self._owner(), "not the owner"
    self.proposed_owner = proposed
    log OwnerProposed(owner=msg.sender, proposed=proposed)


@external
def accept_owner():
    """
    @notice Take over the anchor; only the announced owner can, which shows that its key works.
    """
    assert msg.sender == self.proposed_owner, "not the proposed owner"
    previous: address = self._owner()
    self.head = (convert(msg.sender, uint256) << SIZE_BITS) | (self.head & SIZE_MASK)
    self.proposed_owner = empty(address)
    log OwnerChanged(previous=previous, owner=msg.sender)


@internal
@view
def _owner() -> address:
    return convert(self.head >> SIZE_BITS, address)
