"""The procedure of every act of registration as a fold of log entries: no SQL, so a replay judges it too.

    applied ─ acceptance ─> accepted ─ formal review ─> noticed ─ the notice has ended ─> concluded
       └────────────┴─────────────────────┴── returned, rejected, withdrawn

Source: 发改数据规〔2025〕26号, 第三章 (申请、受理、形式审核、公示、赋码). Two persons of the registrar take the two decisions; anybody
comments on a notice, a party objects to it, and an objection that nobody has decided holds the act. An act of which the law
asks no notice is concluded as soon as it passed the review. Every period is the rulebook's, in working days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Final, Literal, cast, get_args

from exchange.errors import Conflict, ExchangeError, Unprocessable
from exchange.rulebook import Rulebook, day_of
from exchange.rulebook.days import first_us

ActOfRegistration = Literal["initial", "permit", "transfer", "change", "correct", "renew", "cancel"]
ACTS: Final[tuple[ActOfRegistration, ...]] = get_args(ActOfRegistration)
"""What can be applied for: the first registration, a right permitted to another or moved to one, a change of what is
registered, the correction of a slip, a longer term, the end."""

Stage = Literal["applied", "accepted", "noticed", "concluded", "returned", "rejected", "withdrawn"]
UNDER_WAY: Final[tuple[Stage, ...]] = ("applied", "accepted", "noticed")

CONCLUSIONS: Final = ("asset_registered", "registration_cancelled", "registration_concluded")
"""The kinds of entry by which an act takes effect: the first registration's, the end's, and every other's."""

KINDS: Final = frozenset(
    {
        "registration_applied",
        "registration_accepted",
        "registration_reviewed",
        "registration_withdrawn",
        "objection_filed",
        "objection_decided",
        *CONCLUSIONS,
    }
)
"""Which log entries are steps of the procedure."""

REMEDY: Final[Mapping[Stage, str]] = {
    "applied": "let the registrar accept it",
    "accepted": "let a second registrar review it",
    "noticed": "wait until its public notice has ended",
    "concluded": "apply for a further act",
    "returned": "mend what was found, and apply again",
    "rejected": "read why, and apply again once the reason is gone",
    "withdrawn": "apply again",
}


@dataclass(frozen=True, slots=True)
class Procedure:
    """Where an application stands, and who decided what of it; `open_objections` hold its conclusion."""

    act: ActOfRegistration
    asset: str
    party: str
    clerk: str | None = None
    stage: Stage = "applied"
    registrar: str | None = None
    acceptor: str | None = None
    reviewer: str | None = None
    ends_us: int | None = None
    open_objections: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def begin(cls, act: Mapping[str, Any]) -> Procedure:
        """An application as its entry states it; ValueError where it asks for no act of registration."""
        if act["act"] not in ACTS:
            raise ValueError(f"no act of registration {act['act']!r}")
        counter = act["counter"]
        clerk = None if counter is None else counter["clerk"]
        return cls(cast(ActOfRegistration, act["act"]), act["asset"], act["party"], clerk)

    def require(self, *stages: Stage) -> None:
        """Conflict where the application stands at none of `stages`."""
        if self.stage not in stages:
            raise Conflict(
                "application.stage",
                f"the application is {self.stage}",
                field="application",
                rule="apply, acceptance, formal review, public notice, effect: one after the other, each once",
                remedy=REMEDY[self.stage],
            )

    def may_handle(self, party: str, rules: Rulebook) -> ExchangeError | None:
        """Why a registrar decides nothing of this application: it is its own, or another registrar's case already."""
        if party == self.party and not rules.allows("registration.registrar_may_register_own"):
            return Unprocessable(
                "registration.own",
                "the application is the registrar's own",
                field="application",
                rule=f"nobody registers the own assets ({rules.cite('registration.own')})",
                remedy="let another registrar handle it",
            )
        if self.registrar not in (None, party):
            return Unprocessable(
                "registration.other_registrar",
                "another registrar accepted the application",
                field="application",
                rule="the registrar that accepted an application carries it to its end",
                remedy="leave it to that registrar",
            )
        return None

    def may_review(self, person: str, rules: Rulebook) -> ExchangeError | None:
        """Why a person may not review: who entered or accepted an application is not its second registrar."""
        if person in (self.acceptor, self.clerk) and not rules.allows("registration.acceptor_may_review"):
            return Unprocessable(
                "registration.four_eyes",
                "the reviewer entered or accepted the application",
                field="reviewer",
                rule=f"four eyes: a second registrar reviews ({rules.cite('registration.four_eyes')})",
                remedy="let another registrar review it",
            )
        return None

    def may_decide_objection(self, person: str, rules: Rulebook) -> ExchangeError | None:
        """Why a person may not decide an objection: it is against what that person let pass."""
        if person == self.reviewer and not rules.allows("registration.reviewer_may_decide_objection"):
            return Unprocessable(
                "objection.four_eyes",
                "the decider reviewed the application",
                field="decider",
                rule=f"who let it pass does not judge the objection ({rules.cite('objection.four_eyes')})",
                remedy="let another registrar decide it",
            )
        return None

    def require_running(self, now_us: int, rules: Rulebook) -> None:
        """Conflict where no notice runs: comments and objections come while it does."""
        self.require("noticed")
        if self.ends_us is None or now_us >= self.ends_us:
            raise Conflict(
                "notice.over",
                "the notice has ended",
                field="application",
                rule=f"a notice runs {rules.value('registration.notice_working_days')} working days ({rules.cite('notice.over')})",
                remedy="write to the registrar: a registration can be revoked",
            )

    def require_due(self, now_us: int, rules: Rulebook) -> None:
        """Conflict where the act may not take effect yet: its notice runs, or an objection is undecided."""
        self.require("noticed")
        if self.open_objections and not rules.allows("registration.objection_releases_code"):
            raise Conflict(
                "notice.objected",
                f"{len(self.open_objections)} objections are undecided",
                field="application",
                rule=f"an objection holds the act until it is decided ({rules.cite('notice.objected')})",
                remedy="decide the objection",
            )
        early = self.ends_us is None or now_us < self.ends_us
        if early and not rules.allows("registration.code_before_notice_ends_allowed"):
            raise Conflict(
                "notice.running",
                f"the notice runs until {self.ends_us}",
                field="application",
                rule=f"the act takes effect when its notice has ended ({rules.cite('notice.running')})",
                remedy="wait: the market's clock does it",
            )

    def follow(
        self, kind: str, act: Mapping[str, Any], *, by: str, party: str, time_us: int, rules: Rulebook
    ) -> Procedure:
        """The procedure after an entry that `by` of `party` brought at `time_us`; raises where it may not have come.

        An entry that says it was refused leaves all as it is, but for a conclusion: that act can have no effect any more.
        """
        if act["state"] == "refused":
            return replace(self, stage="rejected") if kind in CONCLUSIONS else self
        match kind:
            case "registration_accepted":
                self.require("applied")
                _raise(self.may_handle(party, rules))
                stage: Stage = "accepted" if act["state"] == "accepted" else "returned"
                return replace(self, stage=stage, registrar=party, acceptor=by)
            case "registration_reviewed":
                self.require("accepted")
                _raise(self.may_handle(party, rules))
                _raise(self.may_review(by, rules))
                if act["state"] != "noticed":
                    return replace(self, stage=_negative(act["state"]), reviewer=by)
                ends_us = notice_ends_us(self.act, time_us, rules)
                if int(act["ends_us"]) != ends_us:
                    raise ValueError(f"a notice until {act['ends_us']}, by the rules until {ends_us}")
                return replace(self, stage="noticed", reviewer=by, ends_us=ends_us)
            case "registration_withdrawn":
                self.require(*UNDER_WAY)
                return replace(self, stage="withdrawn")
            case "objection_filed":
                self.require_running(time_us, rules)
                return replace(self, open_objections=self.open_objections | {act["objection"]})
            case "objection_decided":
                self.require("noticed")
                _raise(self.may_handle(party, rules))
                _raise(self.may_decide_objection(by, rules))
                if act["objection"] not in self.open_objections:
                    raise Conflict(
                        "objection.decided",
                        "the objection is decided",
                        field="objection",
                        rule="an objection is decided once",
                        remedy="read its answer",
                    )
                left = self.open_objections - {act["objection"]}
                stage = "rejected" if act["state"] == "upheld" else "noticed"
                return replace(self, stage=stage, open_objections=left)
            case _ if kind in CONCLUSIONS:
                self.require_due(time_us, rules)
                if kind != conclusion_of(self.act):
                    raise ValueError(f"the act {self.act} does not take effect by {kind}")
                return replace(self, stage="concluded")
            case _:
                raise ValueError(f"{kind} is no step of the procedure")


def _raise(problem: ExchangeError | None) -> None:
    if problem is not None:
        raise problem


def _negative(state: str) -> Stage:
    if state not in ("returned", "rejected"):
        raise ValueError(f"a review does not end in {state!r}")
    return cast(Stage, state)


def notice_ends_us(act: ActOfRegistration, since_us: int, rules: Rulebook) -> int:
    """When the notice of an act that passed its review ends: at once where the rules ask for none."""
    working_days = rules.value("registration.notice_working_days")
    if act not in rules.words("registration.noticed_acts") or not working_days:
        return since_us
    return rules.calendar.deadline(since_us, working_days).ends_us


def due_us(since_us: int, rule: str, rules: Rulebook) -> int:
    """Until when a registrar has to take its next step."""
    return rules.calendar.deadline(since_us, rules.value(rule)).ends_us


def conclusion_of(act: ActOfRegistration) -> str:
    """The kind of entry by which an act takes effect."""
    return {"initial": "asset_registered", "cancel": "registration_cancelled"}.get(
        act, "registration_concluded"
    )


def months_later_us(now_us: int, months: int) -> int:
    """When a term in months ends: after the day of the same number, or the last of a shorter month (民法典 §§201-202)."""
    begun = day_of(now_us)
    years, month = divmod(begun.month - 1 + months, 12)
    year, month = begun.year + years, month + 1
    length = (date(year + month // 12, month % 12 + 1, 1) - date(year, month, 1)).days
    return first_us(date(year, month, min(begun.day, length)) + timedelta(days=1))
