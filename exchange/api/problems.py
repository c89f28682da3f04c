"""Which problems a route can answer, read from the code that answers: a list kept by hand would go stale.

From a function the code is followed into every function of the exchange that it names, and each construction of an
`ExchangeError` on the way is a problem that the function may raise. What is found is at least what can happen: a method
of the gate, of a transaction or of the vault counts wherever something of its name is called. The tests hold every
answer that they see to it.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from exchange import acts, database, gate, shelves, vault
from exchange.api import doorway
from exchange.errors import ExchangeError, Misconfigured, NotFound
from exchange.registration.path import STEPS
from ledger import postings
from pricing.auctions import Reason
from pricing.sale import Shortage

HANDS: Mapping[str, tuple[type, ...]] = {
    "caller": (acts.Caller,),
    "callers": (doorway.Callers,),
    "database": (database.Database,),
    "gate": (gate.Gate,),
    "quota": (doorway.Quota,),
    "shelf": (shelves.Directory, shelves.InBucket),
    "tx": (acts.Transaction,),
    "vault": (vault.Vault,),
}
"""What routes and rooms are handed, by the names that it has everywhere."""

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "assessment.{}": tuple(
        f"assessment.{field}"
        for field in (
            "policy_digest", "report", "exempt_from_k", "impacts", "policy.requirements.k", "policy.requirements.l",
            "state_secret", "trade_secret",
        )
    ),
    "asset.{}": ("asset.kind", "asset.summary", "asset.theme", "asset.title"),
    "bid.{}": (
        *(f"bid.{reason}" for reason in Reason),
        *(f"bid.{reason}" for reason in ("above_limit", "unsigned", "expired", "suspended", "stopped")),
    ),
    "licence.{}": tuple(
        f"licence.{why}"
        for why in ("suspended", "revoked", "annulled", "term", "purpose", "region", "quota", "policy")
    ),
    "order.{}": ("order.above_limit", "order.unsigned"),
    "path.{}_missing": tuple(f"path.{step}_missing" for step in STEPS),
    "path.{}_taken": tuple(f"path.{step}_taken" for step in STEPS),
    "release.{}": tuple(
        f"release.{rule}"
        for rule in (
            "certificate", "undeclared_column", "not_as_declared", "grade", "biometric", "direct_identifier",
            "exemption", "identifiers_not_declared", "k_anonymity", "l_diversity", "privacy_model",
        )
    ),
    "sale.{}": tuple(f"sale.{reason}" for reason in Shortage),
    # Transfers are made by rooms, whole and well formed: what else the ledger refuses would be a defect.
    "transfer.{}": tuple(
        f"transfer.{reason}"
        for reason in postings.Reason
        if reason.startswith(("accounts_must_be", "amount_", "debit_", "credit_", "exceeds_", "overflows_"))
    ),
    "{}.unknown": (),  # of `Transaction.find`, whose callers name the thing
}  # fmt: skip
"""Codes of which a part is computed, and what they can come to."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem by its code; rule and remedy where they are the same every time."""

    status: int
    code: str
    title: str
    rule: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What some functions can answer beside success: problems, and whether some of these go on the record (as 422)."""

    problems: tuple[Problem, ...]
    recorded: bool


def answers(functions: Iterable[Callable[..., Any]]) -> Answers:
    """What any of `functions` may raise, by status and code, and whether they record refusals."""
    seen: set[Any] = set()
    waiting: list[Any] = [one for one in functions if inspect.isfunction(one)]
    found: dict[tuple[int, str], Problem] = {}
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        source = _source(one)
        waiting.extend(source.names)
        for problem in source.problems:
            found.setdefault((problem.status, problem.code), problem)
    ordered = sorted(found.values(), key=lambda problem: (problem.status, problem.code))
    return Answers(tuple(ordered), acts.refusal in seen)


@dataclass(frozen=True, slots=True)
class _Source:
    """What the text of one function names, and which problems it makes itself."""

    names: tuple[Any, ...] = ()
    problems: tuple[Problem, ...] = ()


@cache
def _source(one: Any) -> _Source:
    if isinstance(one, type):
        if issubclass(one, ExchangeError) or any(one in kinds for kinds in HANDS.values()):
            return _Source()
        return _Source(tuple(_methods(one)))
    tree = _definitions(one.__module__).get(one.__qualname__)
    if tree is None:  # made by a decorator or a library
        return _Source()
    space = vars(sys.modules[one.__module__])
    # What a caller is told is decided by another task of the gate: all of it counts.
    names: list[Any] = list(_methods(gate.Gate)) if one is gate.Gate.perform else []
    itself = space.get(one.__qualname__.partition(".")[0])
    problems: list[Problem] = []
    for node in _inside(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="find"), args=[_, _, ast.Constant(value=str(what))]):
                problems.append(
                    Problem(404, f"{what}.unknown", NotFound.title, remedy="check the identifier")
                )
            case ast.Call() if (kind := _error(node.func, space)) is not None and not _of_one_code(kind):
                problems += _made(kind, node, one)
            case ast.Name() | ast.Attribute() if (kind := _error(node, space)) is not None and (
                code := _of_one_code(kind)
            ):
                # Named is enough: whoever catches it lets it pass, or knows of somebody who raises it.
                problems.append(Problem(kind.status, code, kind.title))
        names += _meant(node, space, itself)
    return _Source(tuple(name for name in names if _ours(name)), tuple(problems))


def _inside(tree: ast.AST) -> Iterator[ast.AST]:
    """What a definition does: its annotations say nothing of that."""
    for child in ast.iter_child_nodes(tree):
        if (
            isinstance(child, ast.arguments)
            or child is getattr(tree, "annotation", None)
            or child is getattr(tree, "returns", None)
        ):
            continue
        yield child
        yield from _inside(child)


def _meant(node: ast.AST, space: Mapping[str, Any], itself: Any) -> list[Any]:
    """The functions and classes that a name in the text stands for."""
    found = _resolved(node, space)
    if found is not None:
        return [found if isinstance(found, type) or inspect.isfunction(found) else type(found)]
    if isinstance(node, ast.Attribute):
        hands = (itself,) if (word := _word(node.value)) == "self" else HANDS.get(word, ())
        methods = (inspect.getattr_static(hand, node.attr, None) for hand in hands if isinstance(hand, type))
        return [method for method in methods if inspect.isfunction(method)]
    return []


def _word(node: ast.AST) -> str:
    """What a thing is called where it is used: `gate` in `self._gate`, `vault` in `vault_of(request)`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Call(func=ast.Name(id=name)):
            return name.removeprefix("_").removesuffix("_of")
    return ""


def _methods(kind: type) -> Iterator[Any]:
    return (method for method in vars(kind).values() if inspect.isfunction(method) and _ours(method))


def _resolved(node: ast.AST, space: Mapping[str, Any]) -> Any:
    match node:
        case ast.Name(id=name):
            return space.get(name)
        case ast.Attribute(value=ast.Name(id=name), attr=member) if inspect.ismodule(
            module := space.get(name)
        ):
            return getattr(module, member, None)
    return None


def _ours(name: Any) -> bool:
    return getattr(name, "__module__", "").startswith("exchange.") and hasattr(name, "__qualname__")


@cache
def _text(module: str) -> ast.Module:
    """What is written in a module, parsed once."""
    return ast.parse(inspect.getsource(sys.modules[module]))


@cache
def _definitions(module: str) -> dict[str, ast.AST]:
    """The functions of a module by their qualified names."""
    found: dict[str, ast.AST] = {}

    def look(tree: ast.AST, path: str) -> None:
        for child in ast.iter_child_nodes(tree):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found[path + child.name] = child
                look(
                    child,
                    f"{path}{child.name}."
                    if isinstance(child, ast.ClassDef)
                    else f"{path}{child.name}.<locals>.",
                )

    look(_text(module), "")
    return found


def _error(node: ast.AST, space: Mapping[str, Any]) -> type[ExchangeError] | None:
    found = _resolved(node, space)
    return found if isinstance(found, type) and issubclass(found, ExchangeError) else None


def _of_one_code(kind: type[ExchangeError]) -> str | None:
    """The code of a class that has one, which its constructor hands on; None of the others."""
    init = _definitions(kind.__module__).get(f"{kind.__qualname__}.__init__")
    for node in () if init is None else ast.walk(init):
        match node:
            case ast.Call(func=ast.Attribute(attr="__init__"), args=[ast.Constant(value=str(code)), *_]):
                return code
    return None


def _made(kind: type[ExchangeError], call: ast.Call, where: Any) -> list[Problem]:
    """The problems that one construction can be."""
    if issubclass(kind, Misconfigured):
        return []
    texts = {
        word.arg: str(word.value.value) for word in call.keywords if isinstance(word.value, ast.Constant)
    }
    return [
        Problem(kind.status, code, kind.title, texts.get("rule"), texts.get("remedy"))
        for code in _codes(call.args[0], where)
    ]


def _codes(said: ast.expr, where: Any) -> list[str]:
    """What a code can come to; one that is handed in is a literal where the function is called."""
    match said:
        case ast.Constant(value=str(code)):
            return [code]
        case ast.JoinedStr(values=parts):
            frame = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
            return list(FAMILIES[frame])
        case ast.Name(id=name):
            codes = [code for value in _handed(where, name) for code in _codes(value, where)]
            assert codes, f"{where.__qualname__}: nobody calls it with a code"
            return codes
    raise TypeError(
        f"{where.__module__}.{where.__qualname__}: a code is a literal, or of a family that is listed"
    )


def _handed(function: Any, name: str) -> Iterator[ast.expr]:
    """What callers in the exchange hand to a parameter."""
    at = list(inspect.signature(function).parameters).index(name)
    for module in [m for m in sys.modules if m.startswith("exchange.")]:
        if vars(sys.modules[module]).get(function.__name__) is function or function.__module__ in module:
            for node in ast.walk(_text(module)):
                if (
                    isinstance(node, ast.Call)
                    and getattr(node.func, "attr", getattr(node.func, "id", None)) == function.__name__
                    and len(node.args) > at
                ):
                    yield node.args[at]
