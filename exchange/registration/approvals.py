"""Which approvals of a file stand, and how they end."""

from __future__ import annotations

from sqlmodel import col, select

from exchange.acts import Transaction
from exchange.tables import Approval


async def standing(tx: Transaction, asset: str) -> list[Approval]:
    """The approvals that stand, the first level first."""
    query = select(Approval).where(col(Approval.asset) == asset, col(Approval.state) == "given")
    return list(await tx.session.scalars(query.order_by(col(Approval.level))))


async def end_standing(tx: Transaction, asset: str) -> list[str]:
    """Make them void with this entry, which names each."""
    ended = await standing(tx, asset)
    for approval in ended:
        approval.state, approval.ended_index = "void", tx.index
    return [approval.id for approval in ended]
