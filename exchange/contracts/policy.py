"""A licence as an ODRL policy (W3C ODRL Information Model 2.2, JSON-LD), and the judge of a use under it.

What delivery obeys is the policy itself: it is asked before a link is made, before every first byte, and again while a
file is on its way. Terms beyond the core vocabulary (bytes delivered) are of a profile of ours, as §2.1 asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

CONTEXT: Final = "http://www.w3.org/ns/odrl.jsonld"
PROFILE: Final = "urn:data-asset-exchange:odrl:1"
BYTES: Final = f"{PROFILE}#bytes"
DAY_US: Final = 86_400_000_000
ANY: Final = "any"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Use:
    """What somebody is about to do under a licence: at which moment, for which purpose and where, as which call, and how
    many bytes are delivered with it. None: the caller says nothing of it, and uses it as agreed.
    """

    now_us: int
    calls: int = 0
    bytes: int = 0
    purpose: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """The constraint of a policy that a use does not keep."""

    operand: str
    operator: str
    bound: str
    actual: str


def policy_of(values: Mapping[str, str]) -> dict[str, Any]:
    """The ODRL agreement of a contract's values: use is permitted within purpose, region, term and quota, and the data
    is deleted after the end; sub-licensing, and of an exclusive use any further grant by the supplier, is prohibited.
    """
    target, assigner, assignee = (
        _urn(kind, values[name])
        for kind, name in (("asset", "asset"), ("party", "seller"), ("party", "buyer"))
    )
    starts_us, ends_us = int(values["starts_us"]), int(values["ends_us"])
    term = [
        _constraint("dateTime", "gteq", _moment(starts_us)),
        _constraint("dateTime", "lt", _moment(ends_us)),
    ]
    limits = list(term)
    for operand, member in (("purpose", "purposes"), ("spatial", "regions")):
        if values[member] != ANY:
            limits.append(_constraint(operand, "isAnyOf", values[member].split(",")))
    for operand, member in (("count", "calls_at_most"), (BYTES, "bytes_at_most")):
        if values[member] != "unlimited":
            limits.append(_constraint(operand, "lteq", _typed("integer", values[member])))
    party = {"assigner": assigner, "assignee": assignee, "target": target}
    permissions: list[dict[str, Any]] = [{**party, "action": "use", "constraint": limits}]
    prohibitions: list[dict[str, Any]] = []
    if values["sublicence"] == "allowed":
        permissions.append({**party, "action": "grantUse", "constraint": limits})
    else:
        prohibitions.append({**party, "action": "grantUse"})
    if values["grant"] == "exclusive":
        # Here the supplier is who is bound: it grants nobody else the same within the term.
        prohibitions.append(
            {
                "assigner": assignee,
                "assignee": assigner,
                "target": target,
                "action": "grantUse",
                "constraint": term,
            }
        )
    erased_us = ends_us + int(values["deletion_days"]) * DAY_US
    erase = {
        **party,
        "action": "delete",
        "constraint": [_constraint("dateTime", "lteq", _moment(erased_us))],
    }
    return {
        "@context": CONTEXT,
        "@type": "Agreement",
        "obligation": [erase],
        "permission": permissions,
        "profile": PROFILE,
        "prohibition": prohibitions,
        "uid": _urn("licence", values["licence"]),
    }


def permit(policy: Mapping[str, Any], use: Use) -> Broken | None:
    """The first constraint on use that does not hold, or None where the use is permitted.

    A constraint that this judge does not know is not kept: nothing is permitted by what nobody understood.
    """
    uses = [rule for rule in policy["permission"] if rule["action"] == "use"]
    broken: Broken | None = Broken("action", "eq", "use", "none is permitted")
    for rule in uses:
        broken = next(filter(None, (_breach(one, use) for one in rule["constraint"])), None)
        if broken is None:
            return None
    return broken


def _breach(constraint: Mapping[str, Any], use: Use) -> Broken | None:
    operand, operator, right = (constraint[name] for name in ("leftOperand", "operator", "rightOperand"))
    match operand, operator:
        case "dateTime", "gteq" | "lt":
            bound = microseconds(right["@value"])
            kept = use.now_us >= bound if operator == "gteq" else use.now_us < bound
            actual = _iso(use.now_us)
        case "purpose", "isAnyOf":
            kept, actual = use.purpose is None or use.purpose in right, str(use.purpose)
        case "spatial", "isAnyOf":
            kept, actual = use.region is None or _within(use.region, right), str(use.region)
        case "count", "lteq":
            kept, actual = use.calls <= int(right["@value"]), str(use.calls)
        case _ if (operand, operator) == (BYTES, "lteq"):
            kept, actual = use.bytes <= int(right["@value"]), str(use.bytes)
        case _:
            kept, actual = False, "not understood"
    if kept:
        return None
    bound_text = right["@value"] if isinstance(right, Mapping) else ", ".join(right)
    return Broken(operand.rpartition("#")[2], operator, bound_text, actual)


def _within(region: str, regions: Sequence[str]) -> bool:
    """A subdivision (ISO 3166-2) lies within its country."""
    return region in regions or region.partition("-")[0] in regions


def microseconds(text: str) -> int:
    """An `xsd:dateTime` of a policy as microseconds since the epoch."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def _iso(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _moment(us: int) -> dict[str, str]:
    return _typed("dateTime", _iso(us))


def _typed(kind: str, value: str) -> dict[str, str]:
    return {"@type": f"http://www.w3.org/2001/XMLSchema#{kind}", "@value": value}


def _constraint(operand: str, operator: str, right: Any) -> dict[str, Any]:
    return {"leftOperand": operand, "operator": operator, "rightOperand": right}


def _urn(kind: str, name: str) -> str:
    return f"urn:data-asset-exchange:{kind}:{name}"
