"""The three rights in an asset as grants: who holds which, and what may be permitted or moved; never more than is held. Pure.

数据二十条 (中共中央、国务院, 2022) parts the right to hold data, to process and use it, and to operate its products. A
registration makes one grant of each that was applied for, in the applicant's hands; a permit makes a grant out of another,
a transfer moves one. Ownership is no right here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from exchange.errors import Conflict, Forbidden, NotFound, Unprocessable
from exchange.rulebook import Rulebook

Right = Literal["right_hold", "right_use", "right_operate"]
RIGHTS: Final[tuple[Right, ...]] = get_args(Right)


@dataclass(frozen=True, slots=True)
class Grant:
    """One right in one party's hands until `ends_us`; `parent` is the grant that it was permitted out of."""

    id: str
    right: str
    holder: str
    parent: str | None
    exclusive: bool
    ends_us: int
    active: bool = True

    def to_json(self) -> dict[str, Any]:
        """As an entry states it."""
        return {
            "ends_us": str(self.ends_us),
            "exclusive": self.exclusive,
            "holder": self.holder,
            "id": self.id,
            "parent": self.parent,
            "right": self.right,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Grant:
        """The grant of an entry."""
        return cls(
            said["id"], said["right"], said["holder"], said["parent"], said["exclusive"], int(said["ends_us"])
        )

    def stands(self, now_us: int) -> bool:
        """Whether it still is one."""
        return self.active and now_us < self.ends_us


def held(grants: Iterable[Grant], grant: str | None, by: str, now_us: int) -> Grant:
    """The grant that `by` holds; NotFound where there is none, Forbidden where it is another's, Conflict where it ended."""
    found = next((one for one in grants if one.id == grant), None)
    if found is None:
        raise NotFound("right.unknown", f"no right {grant!r}", field="grant", remedy="check the identifier")
    if found.holder != by:
        raise Forbidden(
            "right.not_yours",
            "the right is another party's",
            field="grant",
            rule="a right is permitted or moved by who holds it",
            remedy="ask its holder",
        )
    if not found.stands(now_us):
        raise Conflict(
            "right.ended",
            "the right has ended",
            field="grant",
            rule="nobody grants what nobody holds any more",
            remedy="renew the registration first",
        )
    return found


def require_permit(
    grants: Iterable[Grant],
    parent: Grant,
    *,
    to: str,
    exclusive: bool,
    ends_us: int,
    now_us: int,
    rules: Rulebook,
) -> None:
    """Refuse a permit of what `parent` does not hold: longer, of another kind, twice, or beside an exclusive one."""
    if to == parent.holder:
        raise Unprocessable(
            "right.to_oneself",
            "the right is that party's already",
            field="to",
            rule="a right is permitted to somebody else",
            remedy="name another party",
        )
    if parent.right not in rules.words("registration.permitted_rights"):
        raise Unprocessable(
            "right.kind",
            f"{parent.right} is not permitted to others",
            field="grant",
            rule=f"permitted are {', '.join(rules.words('registration.permitted_rights'))} ({rules.cite('right.kind')})",
            remedy="move it by a transfer",
        )
    if parent.parent is not None and not rules.allows("registration.permitted_right_may_permit"):
        raise Unprocessable(
            "right.permitted",
            "the right was permitted itself",
            field="grant",
            rule=f"what was permitted is not permitted on ({rules.cite('right.permitted')})",
            remedy="ask who permitted it",
        )
    if not now_us < ends_us <= parent.ends_us:
        raise Unprocessable(
            "right.term",
            f"until {ends_us}, and the right that it comes from until {parent.ends_us}",
            field="ends_us",
            rule="a permit begins now and ends no later than what it comes from",
            remedy="shorten it, or renew the registration first",
        )
    others = [one for one in grants if one.parent == parent.id and one.stands(now_us)]
    if any(one.holder == to for one in others):
        raise Conflict(
            "right.granted_twice",
            "that party holds this right already",
            field="to",
            rule="no right is granted twice",
            remedy="wait for its end, or permit another right",
        )
    beside = any(one.exclusive for one in others) or (exclusive and bool(others))
    if beside and not rules.allows("registration.second_grant_beside_exclusive_allowed"):
        raise Conflict(
            "right.exclusive",
            "an exclusive permit stands" if any(one.exclusive for one in others) else "other permits stand",
            field="exclusive",
            rule=f"beside an exclusive permit there is no other ({rules.cite('right.exclusive')})",
            remedy="wait for its end, or permit it without exclusivity",
        )


def require_transfer(grant: Grant, *, to: str, rules: Rulebook) -> None:
    """Refuse to move a right to who holds it, or one that was permitted."""
    if to == grant.holder:
        raise Unprocessable(
            "right.to_oneself",
            "the right is that party's already",
            field="to",
            rule="a right is moved to somebody else",
            remedy="name another party",
        )
    if grant.parent is not None and not rules.allows("registration.permitted_right_may_move"):
        raise Unprocessable(
            "right.moved",
            "the right was permitted",
            field="grant",
            rule=f"what was permitted stays with whom it was permitted to ({rules.cite('right.moved')})",
            remedy="let it end, and ask who permitted it to permit it to the other party",
        )
