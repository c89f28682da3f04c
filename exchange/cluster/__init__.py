"""A synchronous standby that takes over and hands back, by engines that others wrote: Patroni and etcd.

`plan` writes and explains their configuration, `look` says whether a running cluster keeps what the exchange promises
on its behalf, `Loopback` is a cluster on this machine, for drills and tests. The exchange's own part, to answer, sign and
show nothing that the standby did not confirm, is in `exchange.gate`.
"""

from __future__ import annotations

from exchange.cluster.checking import Finding, look
from exchange.cluster.loopback import Loopback
from exchange.cluster.plan import Member, Node, Passwords, Plan

__all__ = ["Finding", "Loopback", "Member", "Node", "Passwords", "Plan", "look"]
