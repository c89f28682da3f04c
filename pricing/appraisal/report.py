"""The appraisal of a data asset: all that it rests on, each step of it, and a value that a stranger computes again.

After 数据资产评估指导意见 (中评协〔2023〕17号). The information, legal and value attributes must be present or there
is no report; each approach says why it fits, and where there are several, why they weigh what they weigh. Each
approach is exact and rounded once, half up, to the fen; the conclusion is their weighted mean, rounded the same way.

Where figures are uncertain, the report says what each of them moves (sensitivity: the exact value at both bounds,
the rest as stated) and how far all of them together move the value (a range by `pricing.monte_carlo`). The seed is
the SHA-256 of the inputs, so that nobody picks the draws.

Equal inputs give equal bytes and one digest. Amounts are fen, rates and coefficients parts per million.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from fractions import Fraction
from hashlib import sha256
from typing import Any, Final

from pricing.appraisal.approaches import (
    Approach,
    Figures,
    Formula,
    Number,
    Reason,
    Step,
    nearest,
    silence,
)
from pricing.appraisal.attributes import (
    Groups,
    InformationAttributes,
    LegalAttributes,
    ValueAttributes,
    attribute_words,
    blank_attributes,
)
from pricing.appraisal.comparison import Market, Residual
from pricing.appraisal.cost import Cost
from pricing.appraisal.income import Direct, Excess, Incremental, Relief, Share
from pricing.appraisal.reading import read
from pricing.canonical import Json, canonical
from pricing.errors import AppraisalError, PricingError
from pricing.money import PPM, Rounding, quotient, require_shares, require_whole
from pricing.monte_carlo import DRAWS_LEAST, DRAWS_MOST, GENERATOR, Drawn, Shape, Spread, simulate
from pricing.quality import Quality, ValueIndicators

FORMAT: Final = "appraisal@1"
PARAMETERS_FORMAT: Final = "appraisal-parameters@1"
UNCERTAIN_LIMIT: Final = 64
"""Each is valued exactly at both bounds, and drawn; a reader would not look at more."""

APPROACHES: Final[tuple[type[Approach], ...]] = (
    Cost,
    Direct,
    Share,
    Relief,
    Excess,
    Incremental,
    Market,
    Residual,
)
"""In the order in which a report holds them; each at most once."""

_KINDS: Final = {kind.approach: kind for kind in APPROACHES}
_ORDER: Final = {kind: position for position, kind in enumerate(APPROACHES)}


@dataclass(frozen=True, slots=True)
class Uncertain:
    """A figure that may lie elsewhere: `parameter` is its path (`relief.royalty_ppm`), the bounds are included."""

    parameter: str
    low: int
    high: int
    reason: str
    source: str
    shape: Shape = "triangular"


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that an appraisal rests on. `valued_on` is the valuation date (评估基准日), ISO 8601.

    What is stated in another order is the same: approaches and uncertain figures are kept in one order. The
    *parameters* are everything but what is measured; `appraiser` states them, and `version` counts up when
    they change, so that a signature over `parameters` says what was stated when.
    """

    asset: str
    purpose: str
    valued_on: str
    approaches: tuple[Approach, ...]
    information: InformationAttributes
    legal: LegalAttributes
    value: ValueAttributes
    quality: Quality | None = None
    indicators: ValueIndicators | None = None
    weighting_reason: str = ""
    uncertain: tuple[Uncertain, ...] = ()
    draws: int = 100_000
    appraiser: str = ""
    version: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "approaches", tuple(sorted(self.approaches, key=lambda a: _ORDER[type(a)])))
        object.__setattr__(self, "uncertain", tuple(sorted(self.uncertain, key=lambda u: u.parameter)))

    @property
    def groups(self) -> Groups:
        """The three groups of attributes by their names."""
        return (("information", self.information), ("legal", self.legal), ("value", self.value))

    def to_json(self) -> dict[str, Json]:
        return {
            "appraiser": self.appraiser,
            "approaches": [each.to_json() for each in self.approaches],
            "asset": self.asset,
            "draws": self.draws,
            "indicators": None if self.indicators is None else self.indicators.to_json(),
            "information": asdict(self.information),
            "legal": asdict(self.legal),
            "purpose": self.purpose,
            "quality": None if self.quality is None else self.quality.to_json(),
            "uncertain": [asdict(each) for each in self.uncertain],
            "value": asdict(self.value),
            "valued_on": self.valued_on,
            "version": self.version,
            "weighting_reason": self.weighting_reason,
        }

    @property
    def parameters(self) -> bytes:
        """What the appraiser states and signs, canonical: the asset by name, and all but what is measured."""
        members = {**self.to_json(), "format": PARAMETERS_FORMAT}
        del members["quality"], members["indicators"]
        return canonical(members)

    @classmethod
    def from_json(
        cls, members: Any, *, quality: Quality | None = None, indicators: ValueIndicators | None = None
    ) -> Inputs:
        """Read inputs from JSON; what is given as measured stands in for what is written."""
        if not isinstance(members, Mapping):
            raise AppraisalError(
                field="inputs", rule="must be an object", remedy="give them as they were written"
            )
        apart = ("approaches", "quality", "indicators")
        rest = {name: member for name, member in members.items() if name not in apart}
        found = members.get("approaches", ())
        if quality is None and members.get("quality") is not None:
            quality = Quality.from_json(members["quality"])
        if indicators is None and members.get("indicators") is not None:
            indicators = ValueIndicators.from_json(members["indicators"])
        stated: _Stated = read(_Stated, rest, "")
        approaches = tuple(
            _approach(each, f"approaches[{i}]")
            for i, each in enumerate(found if isinstance(found, list | tuple) else [found])
        )
        return cls(
            approaches=approaches,
            quality=quality,
            indicators=indicators,
            **{name: getattr(stated, name) for name in _Stated.__slots__},
        )


@dataclass(frozen=True, slots=True)
class _Stated:
    """The members of inputs whose shape does not hang on which approach it is."""

    asset: str
    purpose: str
    valued_on: str
    information: InformationAttributes
    legal: LegalAttributes
    value: ValueAttributes
    weighting_reason: str = ""
    uncertain: tuple[Uncertain, ...] = ()
    draws: int = 100_000
    appraiser: str = ""
    version: int = 1


def _approach(members: Any, field: str) -> Approach:
    name = members.get("approach") if isinstance(members, Mapping) else None
    if not isinstance(name, str) or name not in _KINDS:
        raise AppraisalError(
            field=f"{field}.approach",
            rule=f"must be one of {', '.join(_KINDS)}, not {name!r:.60}",
            remedy="name an approach",
        )
    found: Approach = read(_KINDS[name], {k: v for k, v in members.items() if k != "approach"}, field)
    return found


@dataclass(frozen=True, slots=True)
class Valued:
    """What one approach came to: its steps, its reasons, its value."""

    approach: Approach
    steps: tuple[Step, ...]
    reasons: tuple[Reason, ...]
    value_fen: int

    def to_json(self) -> dict[str, Json]:
        return {
            "approach": self.approach.approach,
            "formula": self.approach.formula,
            "reasons": [asdict(reason) for reason in self.reasons],
            "steps": [asdict(step) for step in self.steps],
            "value_fen": self.value_fen,
            "weight_ppm": self.approach.weight_ppm,
        }


@dataclass(frozen=True, slots=True)
class Swing:
    """What one uncertain figure moves: the conclusion with it at its low and at its high bound."""

    parameter: str
    base: int
    low: int
    high: int
    at_low_fen: int
    at_high_fen: int

    @property
    def width_fen(self) -> int:
        return abs(self.at_high_fen - self.at_low_fen)


@dataclass(frozen=True, slots=True)
class Signature:
    """An Ed25519 signature over the canonical parameters, and the key that it verifies under; both in hex."""

    public_key: str
    signature: str

    def __post_init__(self) -> None:
        for field, length in (("public_key", 64), ("signature", 128)):
            if not re.fullmatch(f"[0-9a-f]{{{length}}}", getattr(self, field)):
                raise AppraisalError(
                    field=f"signature.{field}",
                    rule=f"must be {length} lower-case hexadecimal digits",
                    remedy="give it as `exchange appraise --key` wrote it",
                )


@dataclass(frozen=True, slots=True)
class Report:
    """The appraisal: inputs, each approach, sensitivity, range, value. Equal inputs give equal bytes."""

    inputs: Inputs
    valued: tuple[Valued, ...]
    value_fen: int
    sensitivity: tuple[Swing, ...]
    seed: str
    spread: Spread | None
    signature: Signature | None = None

    def to_json(self) -> dict[str, Json]:
        spread: dict[str, Json] | None = None
        if self.spread is not None:
            spread = {**asdict(self.spread), "generator": GENERATOR, "seed": self.seed}
        return {
            "approaches": [each.to_json() for each in self.valued],
            "format": FORMAT,
            "inputs": self.inputs.to_json(),
            "parameters_digest": sha256(self.inputs.parameters).hexdigest(),
            "range": spread,
            "sensitivity": [asdict(each) for each in self.sensitivity],
            "signature": None if self.signature is None else asdict(self.signature),
            "source": "中评协〔2023〕17号",
            "streams": list(self.streams),
            "value_fen": self.value_fen,
        }

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams whose excess earnings this report counts, by `stream_key`."""
        return tuple(stream_key(each.stream) for each in self.inputs.approaches if isinstance(each, Excess))

    @property
    def canonical(self) -> bytes:
        return canonical(self.to_json())

    @property
    def digest(self) -> str:
        return sha256(self.canonical).hexdigest()


def appraise(inputs: Inputs, signature: Signature | None = None) -> Report:
    """Value an asset, or AppraisalError naming what is missing or cannot be.

    A `signature` over the inputs' parameters is carried along; `require_signature` says whether it holds.
    """
    _check(inputs)
    if signature is not None and not inputs.appraiser.strip():
        raise AppraisalError(
            field="appraiser", rule="must be stated where parameters are signed", remedy="name who signs"
        )
    valued = tuple(_valued(approach, inputs.quality) for approach in inputs.approaches)
    value_fen = _conclude(inputs, {each.approach.approach: each.value_fen for each in valued})
    if not inputs.uncertain:
        return Report(inputs, valued, value_fen, (), "", None, signature)
    drawn = _drawn(inputs)
    seed = sha256(canonical(inputs.to_json())).digest()
    try:
        spread = simulate(lambda at: _drawn_value(inputs, at), drawn, seed=seed, draws=inputs.draws)
    except PricingError as refused:
        raise AppraisalError(
            field=f"uncertain: {refused.field}", rule=refused.rule, remedy=refused.remedy
        ) from refused
    sensitivity = _sensitivity(inputs, valued, drawn)
    return Report(inputs, valued, value_fen, sensitivity, seed.hex(), spread, signature)


def _valued(approach: Approach, quality: Quality | None) -> Valued:
    steps: list[Step] = []

    def tell(zh: str, en: str, formula: Formula, number: Number, unit: str = "fen") -> None:
        formula_zh, formula_en = (formula, formula) if isinstance(formula, str) else formula
        rounding = Rounding.EXACT if Fraction(number).denominator == 1 else Rounding.HALF_UP
        steps.append(Step(zh, en, formula_zh, formula_en, nearest(Fraction(number)), unit, rounding))

    number = approach.value(_exactly(approach.figures()), quality, tell)
    tell("评估值 P", "value P", approach.formula, number)
    return Valued(approach, tuple(steps), approach.reasons(quality), _amount(approach, number))


def _exactly(figures: Mapping[str, int]) -> Figures:
    return Figures({path: Fraction(figure) for path, figure in figures.items()}, Fraction)


def _amount(approach: Approach, number: Fraction) -> int:
    """The value of one approach in fen, half up."""
    if number < 0:
        raise AppraisalError(
            field=approach.approach,
            rule=f"the figures leave less than nothing: {nearest(number)} fen",
            remedy="an asset that earns less than its costs is not valued by this approach",
        )
    return require_whole(nearest(number), f"{approach.approach}: value_fen", error=AppraisalError)


def _conclude(inputs: Inputs, values_fen: Mapping[str, int]) -> int:
    """The weighted mean, half up."""
    total = sum(values_fen[each.approach] * each.weight_ppm for each in inputs.approaches)
    return quotient(total, PPM, Rounding.HALF_UP)


def _drawn_value(inputs: Inputs, at: Mapping[str, Any]) -> Number:
    """The conclusion in doubles, with the figures of `at` drawn."""
    total: Number = 0.0
    for approach in inputs.approaches:
        prefix = f"{approach.approach}."
        numbers = {path: at.get(prefix + path, float(figure)) for path, figure in approach.figures().items()}
        value = approach.value(Figures(numbers, float), inputs.quality, silence)
        total = total + value * (approach.weight_ppm / PPM)
    return total


def _sensitivity(inputs: Inputs, valued: tuple[Valued, ...], drawn: list[Drawn]) -> tuple[Swing, ...]:
    """What each figure moves by itself, the widest first."""
    base = {each.approach.approach: each.value_fen for each in valued}
    approaches = {each.approach: each for each in inputs.approaches}
    swings = []
    for each in drawn:
        name, _, path = each.name.partition(".")
        approach = approaches[name]
        at_bounds = []
        for bound in (each.low, each.high):
            at = _exactly({**approach.figures(), path: bound})
            moved = _amount(approach, approach.value(at, inputs.quality, silence))
            at_bounds.append(_conclude(inputs, {**base, name: moved}))
        swings.append(Swing(each.name, each.mode, each.low, each.high, at_bounds[0], at_bounds[1]))
    return tuple(sorted(swings, key=lambda swing: (-swing.width_fen, swing.parameter)))


def _drawn(inputs: Inputs) -> list[Drawn]:
    """The uncertain figures with what is stated for them as their mode."""
    approaches = {each.approach: each for each in inputs.approaches}
    found = []
    for position, each in enumerate(inputs.uncertain):
        name, _, path = each.parameter.partition(".")
        figures = approaches[name].figures() if name in approaches else {}
        field = f"uncertain[{position}]"
        if path not in figures:
            known = [f"{kind}.{figure}" for kind, a in approaches.items() for figure in a.figures()]
            raise AppraisalError(
                field=f"{field}.parameter",
                rule=f"{each.parameter!r} is no figure of this appraisal",
                remedy=f"name one of {', '.join(known[:12])}{', …' if len(known) > 12 else ''}",
            )
        require_whole(each.low, f"{field}.low", error=AppraisalError)
        require_whole(each.high, f"{field}.high", most=approaches[name].most(path), error=AppraisalError)
        try:
            found.append(Drawn(each.parameter, each.low, figures[path], each.high, each.shape))
        except PricingError as refused:
            raise AppraisalError(
                field=f"{field}: {refused.field}", rule=refused.rule, remedy=refused.remedy
            ) from refused
    return found


def _check(inputs: Inputs) -> None:
    """All that must be said, and can be, before anything is computed."""
    if missing := missing_attributes(inputs):
        names = ", ".join(f"{name} {attribute_words(name, 'zh')}" for name in missing)
        raise AppraisalError(
            field=missing[0],
            rule=f"information, legal and value attributes must be present (中评协〔2023〕17号); missing: {names}",
            remedy="give each of them",
        )
    kinds = [each.approach for each in inputs.approaches]
    if not kinds or len(set(kinds)) != len(kinds):
        raise AppraisalError(
            field="approaches",
            rule="must be at least one, and none twice",
            remedy="state each approach once, with all its figures",
        )
    said = [("asset", inputs.asset), ("purpose", inputs.purpose)]
    if len(inputs.approaches) > 1:
        said.append(("weighting_reason", inputs.weighting_reason))
    for approach in inputs.approaches:
        said += [(f"{approach.approach}.{path}", text) for path, text in approach.said()]
    for i, each in enumerate(inputs.uncertain):
        said += [(f"uncertain[{i}].reason", each.reason), (f"uncertain[{i}].source", each.source)]
    for field, text in said:
        if not text.strip():
            raise AppraisalError(
                field=field, rule="must be stated", remedy="write it: what has no reason cannot be checked"
            )
    _check_date(inputs.valued_on)
    require_whole(inputs.version, "version", least=1, error=AppraisalError)
    require_whole(inputs.draws, "draws", least=DRAWS_LEAST, most=DRAWS_MOST, error=AppraisalError)
    if len(inputs.uncertain) > UNCERTAIN_LIMIT:
        raise AppraisalError(
            field="uncertain", rule=f"at most {UNCERTAIN_LIMIT} figures", remedy="name those that matter"
        )
    for approach in inputs.approaches:
        try:
            approach.check(inputs.quality)
        except AppraisalError as refused:
            raise AppraisalError(
                field=f"{approach.approach}.{refused.field}", rule=refused.rule, remedy=refused.remedy
            ) from refused
    try:
        require_shares([each.weight_ppm for each in inputs.approaches])
    except PricingError as refused:
        raise AppraisalError(
            field="approaches: weight_ppm",
            rule=refused.rule,
            remedy="weigh the approaches, together a million",
        ) from refused


def _check_date(written: str) -> None:
    try:
        read_back = date.fromisoformat(written).isoformat()
    except ValueError:
        read_back = ""
    if read_back != written:
        raise AppraisalError(
            field="valued_on",
            rule=f"must be a date as in 2026-01-31, not {written!r:.40}",
            remedy="give the valuation date",
        )


def missing_attributes(inputs: Inputs) -> tuple[str, ...]:
    """The attributes of the guideline that are blank, each as `group.name`; with any of them there is no report."""
    return blank_attributes(inputs.groups)


def stream_key(stream: str) -> str:
    """SHA-256 of a stream's name, without regard to case, width and spaces: it is compared, and need not be told."""
    return sha256(" ".join(unicodedata.normalize("NFKC", stream).casefold().split()).encode()).hexdigest()


def require_unclaimed(streams: Iterable[str], asset: str, taken: Mapping[str, str]) -> None:
    """Refuse to count excess earnings for `asset` that `taken` (`stream_key` to asset) counts for another.

    AppraisalError names the asset that has them.
    """
    for stream in streams:
        holder = taken.get(stream, asset)
        if holder != asset:
            raise AppraisalError(
                field="excess.stream",
                rule=f"the excess earnings of this stream are counted for {holder} already; none count twice "
                "(中评协〔2023〕17号)",
                remedy="value one of the assets by another approach, or charge the other one as a contributing asset",
            )


def claims(reports: Iterable[Report]) -> dict[str, str]:
    """Which asset counts which stream's excess earnings; AppraisalError where two count the same."""
    taken: dict[str, str] = {}
    for report in reports:
        require_unclaimed(report.streams, report.inputs.asset, taken)
        taken |= dict.fromkeys(report.streams, report.inputs.asset)
    return taken


def recompute(report: Report) -> Report:
    """Appraise again from the report's own inputs; AppraisalError names the first member that differs."""
    again = appraise(report.inputs, report.signature)
    theirs = report.to_json()
    for name, ours in again.to_json().items():
        if theirs[name] != ours:
            raise AppraisalError(
                field=name,
                rule=f"the inputs give {ours!r:.200}, the report says {theirs[name]!r:.200}",
                remedy="do not rely on the report",
            )
    return again


def require_signature(report: Report, verify: Callable[[bytes, bytes, bytes], bool]) -> Signature:
    """The signature of a report, or AppraisalError where there is none or `verify` finds it wrong.

    `verify(public_key, signature, message)` is Ed25519 (RFC 8032), from whichever library the caller trusts.
    """
    signature = report.signature
    if signature is None or not verify(
        bytes.fromhex(signature.public_key), bytes.fromhex(signature.signature), report.inputs.parameters
    ):
        raise AppraisalError(
            field="signature",
            rule="is not the appraiser's over these parameters: every figure, text and name but what is measured",
            remedy="sign the parameters as they stand, the asset by the name that the report gives it",
        )
    return signature


def read_report(written: bytes) -> Report:
    """Read a report's canonical bytes as a stranger: take the inputs alone, appraise, and compare every byte.

    AppraisalError when it does not read or when anything but the inputs' own consequence stands in it. Whether a
    signature in it holds is for `require_signature`.
    """
    try:
        report = json.loads(written)
        members, signature = report["inputs"], report["signature"]
    except (KeyError, TypeError, ValueError, RecursionError) as unreadable:
        raise AppraisalError(
            field="report",
            rule=f"cannot be read: {unreadable!r:.200}",
            remedy="give the bytes as they were published",
        ) from None
    report = appraise(
        Inputs.from_json(members), None if signature is None else read(Signature, signature, "signature")
    )
    if report.canonical != written:
        raise AppraisalError(
            field="report",
            rule=f"its inputs give digest {report.digest}, its bytes {sha256(written).hexdigest()}",
            remedy="do not rely on the report",
        )
    return report
