"""Finds the gates in source: refusals whose rule is a law's, or is quoted from the rulebook, with the codes they raise."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

LAW = re.compile(r"〔\d{4}〕|法释|条例|GB/T|GB \d|第.{1,5}条|Regulation \(EU\)|\barts?\. \d|annex [A-Z]\b")
"""How a text cites a law or a standard of the market; formats of the wire (RFC, C2SP) are no gates."""


@dataclass(frozen=True)
class Gate:
    """One refusal: where, its code (a pattern where parts are filled in), and the gates that its rule quotes."""

    line: int
    code: str
    quotes: tuple[str, ...]
    law: bool

    def is_called(self, code: str) -> bool:
        """Whether a code of the register is this one's."""
        return re.fullmatch(self.code, code) is not None


@cache
def nodes(source: str) -> tuple[ast.Call | ast.Subscript, ...]:
    """Every call and every look-up of a module, parsed once; the rest of its tree is let go."""
    return tuple(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call | ast.Subscript))


def text(node: ast.expr) -> str | None:
    """A string as a pattern, `.+` in the places of what is filled in; None for what is no string."""
    match node:
        case ast.Constant(value=str(said)):
            return re.escape(said)
        case ast.JoinedStr(values=values):
            return "".join(text(part) or ".+" for part in values)
        case _:
            return None


def gates(source: str) -> Iterator[Gate]:
    """Every refusal in a module's source that is a gate."""
    for node in nodes(source):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        code = text(node.args[0])
        rule = next((keyword.value for keyword in node.keywords if keyword.arg == "rule"), None)
        if code is None or rule is None:
            continue
        quotes = tuple(
            text(inner.args[0]) or ".+"
            for inner in ast.walk(rule)
            if isinstance(inner, ast.Call)
            and isinstance(inner.func, ast.Attribute)
            and inner.func.attr == "cite"
            and inner.args
        )
        cited = any(isinstance(inner, ast.Attribute) and inner.attr == "cite" for inner in ast.walk(rule))
        law = any(
            isinstance(inner, ast.Constant) and isinstance(inner.value, str) and LAW.search(inner.value)
            for inner in ast.walk(rule)
        )
        if quotes or cited or law:
            yield Gate(node.lineno, code, quotes, bool(law))


def raised(source: str) -> Iterator[str]:
    """The codes of every refusal in a module's source, as patterns."""
    for node in nodes(source):
        if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Name | ast.Attribute):
            code = text(node.args[0])
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if (
                code is not None
                and ("\\." in code or code.startswith(".+"))
                and name not in ("cite", "require", "get")
            ):
                yield code


def asked(source: str) -> Iterator[str]:
    """The rules that a module asks the rulebook for, by name."""
    for node in nodes(source):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="value" | "allows" | "word" | "words"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name
            case ast.Subscript(value=ast.Name(id="rules"), slice=ast.Constant(value=str(name))):
                yield name
