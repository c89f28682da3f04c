"""The one order in which an asset comes to market, as a fold of log entries: no SQL, so a replay runs it too.

    declared ─ risk assessment ─> assessed ─ authorization ─> authorized ─ desensitization ─> released
             ─ thematic aggregation ─> themed ─ application ─> applied ─ its procedure ─> registered

Source: 廖福崇 (2022): risk assessment → department authorization → desensitization → thematic aggregation. Each step
is evidence by the index of its log entry; registration binds the four in a certificate. A new risk assessment
starts the path again, and so do an approver who returns the file, and a file that turns out to need a higher grade than
was authorized. Of several levels of approval the last one is the authorization. Who applied takes no step until the
application came to its end (`exchange.registration.procedure`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Literal, cast, get_args

from exchange.errors import Conflict

Step = Literal["risk_assessment", "authorization", "desensitization", "aggregation"]
STEPS: Final[tuple[Step, ...]] = get_args(Step)

State = Literal[
    "declared", "assessed", "authorized", "released", "themed", "applied", "registered", "expired", "cancelled", "revoked"
]  # fmt: skip
STATES: Final[tuple[State, ...]] = get_args(State)
"""In the order of the path: the first five have as many steps behind them as their place, the others all four;
`registered` has a code that stands, the last three one that does not any more."""

ENDS: Final[Mapping[str, State]] = {
    "registration_expired": "expired",
    "registration_cancelled": "cancelled",
    "registration_revoked": "revoked",
}
"""Which log entries end a registration."""

STEP_OF_KIND: Final[Mapping[str, Step]] = {
    "risk_assessed": "risk_assessment",
    "release_authorized": "authorization",
    "product_released": "desensitization",
    "theme_assigned": "aggregation",
}
"""Which log entries are steps."""

PROCEDURE_KINDS: Final = frozenset(
    {
        "registration_applied",
        "registration_accepted",
        "registration_reviewed",
        "registration_withdrawn",
        "objection_decided",
        "asset_registered",
        *ENDS,
    }
)
"""Which log entries put an asset before the registrar, take it back from there, register it or end that."""

REMEDY: Final[Mapping[Step, str]] = {
    "risk_assessment": "file the risk assessment of `exchange desensitize scan`",
    "authorization": "let every level of approval authorize the newest assessment, each by another person",
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
        if self.state == "applied":
            raise Conflict(
                "path.applied",
                "an application for the asset's registration is under way",
                field="asset",
                rule="what is before the registrar stays as it is",
                remedy="withdraw the application first",
            )
        if self.state in STATES[STATES.index("registered") :]:
            raise Conflict(
                "path.registered",
                f"the asset is {self.state}",
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
        """Conflict where nobody can apply for the asset: a step is missing, or it is applied for or registered already."""
        if self.state in STATES[STATES.index("applied") :]:
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

        `act["sent_back"]` on a refused release returns the asset to its declaration, and so does an approver's refusal. Of
        the procedure's entries those of an `initial` act count; a registration that names no application is one of before
        there was a procedure.
        """
        if kind in PROCEDURE_KINDS:
            return self._proceed(kind, act)
        if act.get("state") == "refused":
            if act.get("sent_back") is not True:
                return self
            self.require("risk_assessment")
            return Path.begin()
        step = STEP_OF_KIND.get(kind)
        if step is None:
            return self
        self.require(step)
        if act.get("state") == "approved":
            return self
        if act.get("state") == "returned":
            return Path.begin()
        at = STEPS.index(step)
        kept = {taken: self.evidence[taken] for taken in STEPS[:at]}
        return Path(STATES[at + 1], {**kept, step: index})

    def _proceed(self, kind: str, act: Mapping[str, Any]) -> Path:
        """The path after an entry of the procedure, or of a registration's end."""
        refused = act.get("state") == "refused"
        if kind in ENDS:
            if not refused and self.state != "registered":
                raise ValueError(f"a registration that is {self.state} ends")
            return self if refused else replace(self, state=ENDS[kind])
        if kind == "asset_registered" and "application" not in act:
            if refused:
                return self
            self.require_all()
            return replace(self, state="registered")
        if kind == "asset_registered":
            if self.state != "applied":
                raise ValueError(f"an asset that is {self.state} is registered")
            return replace(self, state="themed" if refused else "registered")
        if act["act"] != "initial" or refused:
            return self
        if kind == "registration_applied":
            self.require_all()
            return replace(self, state="applied")
        if self.state != "applied":
            raise ValueError(f"{kind} for an asset that is {self.state}")
        return self if act["state"] in ("accepted", "noticed", "dismissed") else replace(self, state="themed")


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
