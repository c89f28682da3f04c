"""The questions that a declaration answers, asked on the terminal column by column; an empty answer takes what is proposed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.text import Text

from exchange.desensitization import policy as policies
from exchange.desensitization.detection.findings import KINDS, ROLES, Finding, Role
from exchange.desensitization.errors import PolicyRefused
from exchange.desensitization.policy import Hierarchy, Technique
from exchange.desensitization.policy.declaration import GENERALIZATIONS, Declaration, DeclaredColumn
from exchange.desensitization.policy.requirements import (
    LOSSES,
    USUAL_LOSS,
    AverageRisk,
    LossModel,
    PrivacyModel,
    TCloseness,
)
from exchange.desensitization.report import Language, word

if TYPE_CHECKING:
    from exchange.desensitization.propose import Proposer

Answer = TypeVar("Answer")

_DIRECT = ("suppress", "pseudonymize", "tokenize", "mask")
_SENSITIVE = ("keep", "suppress", "round", "mask", "clamp", "noise", "microaggregate")
_OTHER = ("keep", "suppress")
_HIERARCHIES = ("automatic", "whole", "interval", "date", "prefix", "region", "suppress")


class Wizard:
    """One conversation. Answers are lines of standard input, so that they can be piped; their end ends it by name."""

    def __init__(self, console: Console, language: Language) -> None:
        self.console = console
        self.language = language

    def declare(self, proposer: Proposer) -> tuple[Declaration, dict[str, list[str]]]:
        """A declaration for a table that was looked at, and what was found of each column, for its comments."""
        raw = proposer.raw
        self._say("ask_welcome", rows=raw.columns[0].rows, columns=len(raw.columns))
        k = self._whole("ask_k", 5, 1, 1_000_000)
        least = self._whole("ask_l", 2, 1, 1_000_000)
        limit_ppm = self._percent("ask_suppression", Decimal(4))
        assert limit_ppm is not None
        generalization = self._choice("ask_generalization", GENERALIZATIONS, "full_domain")
        columns: dict[str, DeclaredColumn] = {}
        notes: dict[str, list[str]] = {}
        for place, column in enumerate(raw.columns, start=1):
            finding = raw.finding(column.name)
            notes[column.name] = [self._found(finding)]
            self.console.print()
            self.console.print(Text(f"{place}/{len(raw.columns)}  {column.name}", style="bold"))
            self.console.print(Text(f"    {notes[column.name][0]}"), soft_wrap=True)
            columns[column.name] = self._column(proposer, column.name, finding)
        self.console.print()
        privacy: list[PrivacyModel] = []
        if any(column.role == "sensitive" for column in columns.values()):
            t = self._number("ask_t", None)
            if t is not None:
                privacy.append(TCloseness(None, t))
        average_ppm = self._percent("ask_average", None)
        if average_ppm is not None:
            privacy.append(AverageRisk(average_ppm))
        called = {name: (zh if self.language == "zh" else en) for name, (zh, en) in LOSSES.items()}
        loss = self._choice("ask_loss", tuple(LOSSES), USUAL_LOSS.name, called)
        declaration = Declaration(
            k=k,
            l=least,
            suppression_limit_ppm=limit_ppm,
            generalization=generalization,
            privacy=tuple(privacy),
            loss=LossModel(loss, aggregate="sum") if loss == "non_uniform_entropy" else LossModel(loss),
            columns=columns,
        )
        return declaration, notes

    def _column(self, proposer: Proposer, name: str, finding: Finding | None) -> DeclaredColumn:
        usual = proposer.role[name]
        role: Role = self._choice("ask_role", ROLES, usual)
        if finding is not None and not KINDS[finding.kind].presumed:
            strength = ("other", "sensitive", "quasi_identifier", "direct_identifier")
            if strength.index(role) < strength.index(usual):
                # A declaration makes no identifier less than its values show.
                self._say("ask_stays", role=word(usual, self.language))
                role = usual
        match role:
            case "direct_identifier":
                proposed = proposer.techniques[name]
                usual_one = "suppress" if proposed is None else policies.technique_to_json(proposed)["name"]
                technique = self._technique(_DIRECT, usual_one if usual_one in _DIRECT else "suppress")
                return DeclaredColumn(role, None, technique)
            case "quasi_identifier":
                return self._quasi(role)
            case "sensitive":
                text = finding is not None and finding.kind == "free_text"
                return DeclaredColumn(role, None, self._technique(_SENSITIVE, "suppress" if text else "keep"))
            case "other":
                return DeclaredColumn(role, None, self._technique(_OTHER, "keep"))

    def _quasi(self, role: Role) -> DeclaredColumn:
        kinds = {name: word(f"ask_{name}", self.language) for name in _HIERARCHIES}

        def made() -> DeclaredColumn:
            kind = self._choice("ask_hierarchy", _HIERARCHIES, "automatic", kinds)
            match kind:
                case "automatic":
                    return DeclaredColumn(role)
                case "suppress":
                    return DeclaredColumn(role, None, policies.Suppress())
                case "interval":
                    members: dict[str, Any] = {"origin": "0", "widths": self._list("ask_widths", "5 10 20")}
                case "date":
                    members = {"steps": self._list("ask_steps", "month quarter year")}
                case "prefix":
                    members = {"keep": self._list("ask_keep", "4 2")}
                case "region":
                    members = {"levels": self._list("ask_levels", "prefecture province")}
                case _:
                    members = {}
            hierarchy: Hierarchy = policies.hierarchy_from_json({"kind": kind, **members}, "hierarchy")
            return DeclaredColumn(role, hierarchy)

        return self._again(made)

    def _technique(self, known: Sequence[str], usual: str) -> Technique:
        called = {name: word(name, self.language) for name in known}

        def made() -> Technique:
            name = self._choice("ask_technique", known, usual, called)
            members: dict[str, Any] = {"name": name}
            match name:
                case "mask":
                    first, last = [*self._list("ask_mask", "1 0"), "0"][:2]
                    members |= {"keep_first": first, "keep_last": last}
                case "round":
                    members["step"] = self._line("ask_step", "10")
                case "clamp":
                    members["high"] = self._line("ask_high", "")
                case "noise":
                    members |= {"distribution": "uniform", "bound": self._line("ask_bound", "1")}
                case "microaggregate":
                    members["group"] = self._line("ask_group", "5")
                case _:
                    pass
            return policies.technique_from_json(members, "technique")

        return self._again(made)

    def _found(self, finding: Finding | None) -> str:
        """What a column was found to be, with its evidence and its forms, and no value."""
        if finding is None:
            return word("ask_nothing", self.language)
        kind = KINDS[finding.kind]
        said = [
            kind.zh if self.language == "zh" else kind.en,
            word(finding.by.replace(" ", "_"), self.language),
        ]
        if "values" in finding.by:
            said.append(f"{finding.checked} {word('of', self.language)} {finding.matched}")
        return f"{' · '.join(said)} · {kind.source}  {' | '.join(finding.samples)}".rstrip()

    def _choice(
        self, question: str, known: Sequence[Answer], usual: Answer, called: Mapping[Any, str] | None = None
    ) -> Answer:
        """One of the words, by its number or by itself."""
        names = called or {name: word(str(name), self.language) for name in known}
        listed = "  ".join(f"{place} {names[name]}" for place, name in enumerate(known, start=1))

        def read(line: str) -> Answer:
            if line.isascii() and line.isdigit() and 1 <= int(line) <= len(known):
                return known[int(line) - 1]
            for name in known:
                if line in (name, names[name]):
                    return name
            raise ValueError

        return self._ask(f"{word(question, self.language)}: {listed}", str(known.index(usual) + 1), read)

    def _whole(self, question: str, usual: int, low: int, high: int) -> int:
        def read(line: str) -> int:
            number = int(line)
            if not low <= number <= high:
                raise ValueError
            return number

        return self._ask(word(question, self.language), str(usual), read)

    def _percent(self, question: str, usual: Decimal | None) -> int | None:
        """A share given in percent, in parts per million."""

        def read(line: str) -> int | None:
            if not line:
                return None
            share = Decimal(line.rstrip("% "))
            if not 0 <= share <= 100 or (usual is None and share == 0):
                raise ValueError
            return int(share * 10_000)

        return self._ask(word(question, self.language), "" if usual is None else str(usual), read)

    def _number(self, question: str, usual: Decimal | None) -> Decimal | None:
        def read(line: str) -> Decimal | None:
            if not line:
                return None
            number = Decimal(line)
            if not 0 < number <= 1:
                raise ValueError
            return number

        return self._ask(word(question, self.language), "" if usual is None else str(usual), read)

    def _list(self, question: str, usual: str) -> list[str]:
        return self._line(question, usual).replace(",", " ").replace("，", " ").split()

    def _line(self, question: str, usual: str) -> str:
        return self._ask(word(question, self.language), usual, str)

    def _again(self, made: Callable[[], Answer]) -> Answer:
        """What the policy's own rules take, asked again until they do."""
        while True:
            try:
                return made()
            except PolicyRefused as refusal:
                if refusal.field == "answers":
                    raise
                self.console.print(Text(f"    ✗ {refusal.rule}; {refusal.remedy}", style="red"))

    def _ask(self, question: str, usual: str, read: Callable[[str], Answer]) -> Answer:
        """The answer to a question, asked again while it cannot be read."""
        while True:
            self.console.print(Text(f"  {question} [{usual}] "), end="", soft_wrap=True)
            line = sys.stdin.readline()
            if not line:
                raise PolicyRefused(
                    "the answers ended before the questions did",
                    field="answers",
                    rule="one line for each question; an empty one takes what stands in brackets",
                    remedy="answer on a terminal, or pipe more lines",
                )
            if not sys.stdin.isatty():
                self.console.print()
            try:
                return read(line.strip() or usual)
            except (ValueError, ArithmeticError):
                self._say("ask_again", style="red")

    def _say(self, name: str, style: str = "", **members: Any) -> None:
        self.console.print(Text(f"  {word(name, self.language).format(**members)}", style=style))
