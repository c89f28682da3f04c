"""The one order in which an asset comes to market, as a fold of log entries: no SQL, so a replay runs it too.

    declared ─ risk assessment ─> assessed ─ authorization ─> authorized ─ desensitization ─> released
             ─ thematic aggregation ─> themed ─ registration ─> registered

Source: 廖福崇 (2022): risk assessment → department authorization → desensitization → thematic aggregation. Each step
is evidence by the index of its log entry; registration binds the four in a certificate. A new risk assessment
starts the path again, and so does a file that turns out to need a higher grade than was authorized.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Literal, cast, get_args

from exchange.errors import Conflict

Step = Literal["risk_assessment", "authorization", "desensitization", "aggregation"]
STEPS: Final[tuple[Step, ...]] = get_args(Step)

State = Literal["declared", "assessed", "authorized", "released", "themed", "registered"]
STATES: Final[tuple[State, ...]] = get_args(State)
"""In the order of the path: the n-th state has n steps behind it, `registered` has all four and a code."""

STEP_OF_KIND: Final[Mapping[str, Step]] = {
    "risk_assessed": "risk_assessment",
    "release_authorized": "authorization",
    "product_released": "desensitization",
    "theme_assigned": "aggregation",
}
"""Which log entries are steps."""

REMEDY: Final[Mapping[Step, str]] = {
    "risk_assessment": "file the risk assessment of `exchange desensitize scan`",
    "authorization": "let a second person of the department authorize the newest assessment",
    "desensitization": "run `exchange desensitize apply --authorization ID`, upload the file and release it",
    "aggregation": "assign the theme",
}


@dataclass(frozen=True, slots=True)
class Path:
    """Where an asset stands, and at which log index each step was taken that still counts."""

    state: State
    evidence: Mapping[Step, int]

    @classmethod
    def begin(cls) -> Path:
        """An asset that was just declared."""
        return cls("declared", {})

    @classmethod
    def of(cls, state: str, evidence: Mapping[str, str]) -> Path:
        """The path as a row keeps it."""
        if state not in STATES or set(evidence) - set(STEPS):
            raise ValueError(f"no path has the state {state!r} and the evidence {sorted(evidence)}")
        return cls(state, {cast(Step, step): int(index) for step, index in evidence.items()})

    def evidence_row(self) -> dict[str, str]:
        """The evidence as a row keeps it, numbers as strings."""
        return {step: str(index) for step, index in self.evidence.items()}

    def require(self, step: Step) -> None:
        """Conflict, naming the missing step, where `step` is not the next one.

        Out of order is also a step that was already taken, but for two: a risk assessment may be filed again
        at any time before registration, and a theme may be corrected.
        """
        if self.state == "registered":
            raise Conflict(
                "path.registered",
                "the asset is registered",
                field="asset",
                rule="a registered asset does not walk the path again",
                remedy="declare a new asset",
            )
        if step == "risk_assessment" or (step == "aggregation" and self.state == "themed"):
            return
        self._require_behind(STEPS[: STEPS.index(step)], step)
        if step in self.evidence:
            raise Conflict(
                f"path.{step}_taken",
                f"{words(step)} was already done",
                field="asset",
                rule="each step is taken once",
                remedy="go on, or file a new risk assessment to start again",
            )

    def require_all(self) -> None:
        """Conflict where the asset cannot be registered: a step is missing, or it is registered already."""
        if self.state == "registered":
            self.require("aggregation")
        self._require_behind(STEPS, "registration")

    def _require_behind(self, steps: tuple[Step, ...], wanted: str) -> None:
        for step in steps:
            if step not in self.evidence:
                raise Conflict(
                    f"path.{step}_missing",
                    f"{words(wanted)} needs {words(step)} first",
                    field="asset",
                    rule="risk assessment, then authorization, then desensitization, then thematic aggregation",
                    remedy=REMEDY[step],
                )

    def follow(self, kind: str, act: Mapping[str, Any], index: int) -> Path:
        """The path after log entry `index`; entries that are no step, and refused ones, leave it as it is.

        `act["sent_back"]` on a refused release returns the asset to its declaration.
        """
        if act.get("state") == "refused":
            if act.get("sent_back") is not True:
                return self
            self.require("risk_assessment")
            return Path.begin()
        if kind == "asset_registered":
            self.require_all()
            return replace(self, state="registered")
        step = STEP_OF_KIND.get(kind)
        if step is None:
            return self
        self.require(step)
        at = STEPS.index(step)
        kept = {taken: self.evidence[taken] for taken in STEPS[:at]}
        return Path(STATES[at + 1], {**kept, step: index})


def words(step: str) -> str:
    """A step as a sentence names it."""
    return {"aggregation": "thematic aggregation"}.get(step, step.replace("_", " "))


CHINA: Final = timezone(timedelta(hours=8))


def code(now_us: int, letters: str, chance: bytes) -> str:
    """The public registration code: `DA-2026-TR-1a2b3c4d`.

    DA, the year in China (UTC+8) of the registration, two letters of the kind of public data, and 32 bits of
    chance in hexadecimal; that it is unique is the register's to check.
    """
    year = datetime.fromtimestamp(now_us // 1_000_000, UTC).astimezone(CHINA).year
    return f"DA-{year:04}-{letters}-{chance[:4].hex()}"
