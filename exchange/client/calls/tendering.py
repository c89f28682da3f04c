"""Sealed tenders: publication, clarifications, bids that are sealed here, and the opening by who holds a key."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, digest_of, v1
from exchange.client.calls.record import TheRecord
from exchange.client.errors import Unproven
from exchange.client.wire import Steps
from exchange.messages.market import OfferMessage
from exchange.messages.statute import WhyMessage
from exchange.messages.tenders import (
    AnswerMessage,
    AssessorsMessage,
    EnvelopeMessage,
    HandedView,
    HolderKeyMessage,
    HolderKeyView,
    JoinMessage,
    MarksMessage,
    ProtestDecisionMessage,
    ProtestMessage,
    QuestionMessage,
    ScoringRuleMessage,
    SealedView,
    SharesMessage,
    SignsView,
    TenderDetail,
    TendererView,
    TenderExplanationView,
    TenderMessage,
    TenderView,
)

if TYPE_CHECKING:
    from pricing.sealed_bids import Committee, HolderKey, SealedLot


class Tendering(TheRecord, Asking):
    """Sealed tenders."""

    def publish_holder_key(self, public: str, *, identifier: str | None = None) -> Steps[Done]:
        """Publish the public half of your party's key, as `exchange holder keygen` printed it."""
        message = HolderKeyMessage(public=public)
        return self._write("/v1/holder-keys", message, identifier, {"public": public})

    def holder_keys(self) -> Steps[list[HolderKeyView]]:
        """The public keys of the parties that open tenders together."""
        return self._read("/v1/holder-keys", list[HolderKeyView])

    def publish_tender(
        self,
        asset: str,
        offer: OfferMessage,
        rule: ScoringRuleMessage,
        *,
        holders: Sequence[str],
        threshold: int,
        deposit_fen: int,
        deadline_us: int,
        opens_us: int,
        terms: str,
        qualification: Sequence[str] = (),
        again_of: str | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Tender one grant; `outcome["id"]` is the tender. `offer.price_fen` is the estimate, `holders` are parties that have
        published a key, `threshold` of whom open it; `again_of` is the tender that came to nothing before.
        """
        message = TenderMessage(
            asset=asset,
            offer=offer,
            rule=rule,
            holders=list(holders),
            threshold=threshold,
            deposit_fen=deposit_fen,
            deadline_us=deadline_us,
            opens_us=opens_us,
            terms=terms,
            qualification=list(qualification),
            again_of=again_of,
        )
        return self._write("/v1/tenders", message, identifier, {"asset": asset})

    def tenders(self) -> Steps[list[TenderView]]:
        """All tenders, newest first."""
        return self._read_all("/v1/tenders", TenderView)

    def tender(self, tender: str) -> Steps[TenderDetail]:
        """One tender: terms and clarifications, the course of its opening, marks, award and protests."""
        return self._read(v1("tenders", tender), TenderDetail)

    def cancel_tender(self, tender: str, reason: str, *, identifier: str | None = None) -> Steps[Done]:
        """Call a tender off before its deadline; every deposit goes back (its supplier, the regulator)."""
        message = WhyMessage(reason=reason)
        return self._write(v1("tenders", tender, "cancellation"), message, identifier, {"tender": tender})

    def halt_tender(self, tender: str, reason: str, *, identifier: str | None = None) -> Steps[Done]:
        """Halt a tender before its deadline: nobody joins or bids meanwhile (administrator, regulator)."""
        message = WhyMessage(reason=reason)
        return self._write(v1("tenders", tender, "halt"), message, identifier, {"tender": tender})

    def resume_tender(self, tender: str, *, identifier: str | None = None) -> Steps[Done]:
        """Let a halted tender go on, `outcome["deadline_us"]` is its deadline now (administrator, regulator)."""
        return self._write(v1("tenders", tender, "resumption"), None, identifier, {"tender": tender})

    def ask_tender(self, tender: str, question: str, *, identifier: str | None = None) -> Steps[Done]:
        """Ask what a tender's terms mean; the answer is for everybody, your name for nobody."""
        message = QuestionMessage(question=question)
        return self._write(v1("tenders", tender, "questions"), message, identifier, {"tender": tender})

    def answer_tender(
        self, tender: str, question: str, answer: str, *, identifier: str | None = None
    ) -> Steps[Done]:
        """Answer a question, for everybody to read (the tender's supplier)."""
        path, about = v1("tenders", tender, "questions", question, "answer"), {"question": question}
        return self._write(path, AnswerMessage(answer=answer), identifier, about)

    def join_tender(
        self,
        tender: str,
        *,
        drafter: str,
        agent: str,
        manager: str,
        account: str,
        purpose: str = "",
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Have the deposit held and get a code for this tender, `outcome["code"]`; Refused where it is not covered.

        Who drafted the bid, who hands it in, who would run the work and the account that the deposit comes from are sealed in
        the log and shown the regulator.
        """
        message = JoinMessage(drafter=drafter, agent=agent, manager=manager, account=account, purpose=purpose)
        return self._write(v1("tenders", tender, "tenderers"), message, identifier, {"tender": tender})

    def tenderer(self, tender: str) -> Steps[TendererView]:
        """Your own place on a tender that you joined: code, deposit, envelopes; NotFound otherwise."""
        return self._read(v1("tenders", tender, "tenderer"), TendererView)

    def bid_sealed(
        self,
        tender: str,
        price_fen: int,
        proposal: str | None = None,
        *,
        holders: Mapping[str, str] | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Seal a price here and hand the envelope in, in the place of the one before; the price never leaves this process.

        It is sealed to the holders that the exchange names. That these are the ones of the publication is held to your own
        verified receipt of joining, where the log says it; `holders`, party to public key in hex, got elsewhere, makes sure
        that their keys are theirs (`Unproven` otherwise, before anything is sent). `proposal` is the SHA-256 of the document
        that the assessors mark. Each call seals anew: after `Unknown` look the identifier up instead of sending it again.
        """
        from pricing.sealed_bids import Context, SealedPrice, seal

        place = yield from self.tenderer(tender)
        committee = yield from self._committee(tender, place, holders)
        bid_id = self.fresh_identifier()
        sealed = seal(
            SealedPrice(price_fen),
            Context(tender, place.code, bid_id),
            committee,
            secrets.token_bytes(32),
        )
        message = EnvelopeMessage(sealed=sealed.to_json(), proposal=proposal)
        about = {"tender": tender, "code": place.code, "bid_id": bid_id, "digest": sealed.digest}
        return (yield from self._write(v1("tenders", tender, "envelopes"), message, identifier, about))

    def _committee(
        self, tender: str, place: TendererView, holders: Mapping[str, str] | None
    ) -> Steps[Committee]:
        """Who opens a tender, held to what the log told this bidder and to the keys that it got elsewhere."""
        from pricing.sealed_bids import Committee

        said = (yield from self.tender(tender)).committee
        committee = Committee.from_json({**said, "threshold": int(said["threshold"])})
        joined = (yield from self.receipt(place.index)).said()["act"]
        if joined.get("committee") != committee.digest.hex():
            raise Unproven("it is another one than this party's entry of joining names", field="committee")
        named = {name: public.hex() for name, public in committee.holders}
        if holders is not None and named != dict(holders):
            raise Unproven(
                f"the exchange names {sorted(named)} with other keys than yours", field="committee"
            )
        return committee

    def withdraw_envelope(self, tender: str, *, identifier: str | None = None) -> Steps[Done]:
        """Take your envelope back before the deadline; Refused after it."""
        return self._write(
            v1("tenders", tender, "envelopes", "withdrawal"), None, identifier, {"tender": tender}
        )

    def hand_in_proposal(self, tender: str, path: Path, *, identifier: str | None = None) -> Steps[Done]:
        """Send the proposal whose SHA-256 you sealed, while the bids are being marked; another file is refused."""
        yield from self._put(v1("tenders", tender, "proposal"), path)
        about = {"tender": tender, "digest": digest_of(path)}
        return (yield from self._write(v1("tenders", tender, "proposal"), None, identifier, about))

    def tender_proposal(self, tender: str, code: str, path: Path) -> Steps[None]:
        """Fetch a bidder's proposal to `path` (that bidder, the department, its assessors, the regulator).

        Unproven, and nothing stays, where it is another file than the one whose SHA-256 was sealed.
        """
        envelopes = (yield from self.tender(tender)).envelopes
        sealed = next((one.proposal for one in envelopes if one.code == code), None)
        yield from self._save(v1("tenders", tender, "proposals", code), {}, path)
        if (found := digest_of(path)) != sealed:
            path.unlink()
            raise Unproven(f"what arrived hashes to {found}, sealed was {sealed}", field="proposal")

    def sealed_tender(self, tender: str) -> Steps[SealedLot]:
        """The sealed bids with their committee, once the deadline is over: what a tender is opened from."""
        from pricing.errors import SealError
        from pricing.sealed_bids import SealedLot

        view = yield from self._read(v1("tenders", tender, "sealed"), SealedView)
        try:
            return SealedLot.from_json(
                {
                    **view.model_dump(),
                    "ends_at_us": view.ends_at_us,
                    "opens_at_us": view.opens_at_us,
                }
            )
        except SealError as error:
            raise Unproven(str(error), field="sealed") from error

    def tender_shares(self, tender: str) -> Steps[list[HandedView]]:
        """What each holder handed in at the opening, good and refused, with what was forged."""
        return self._read(v1("tenders", tender, "shares"), list[HandedView])

    def hand_shares(
        self, tender: str, key: HolderKey, *, at_us: int | None = None, identifier: str | None = None
    ) -> Steps[Done]:
        """Open your share of every envelope here and hand them in (a holder); the key never leaves this process.

        Nothing is opened before the opening's time by this machine's clock, whatever the exchange says of the time: `at_us`
        is another clock to go by, such as a sandbox's. `ValueError` before that.
        """
        from pricing.sealed_bids import check, open_share

        sealed = yield from self.sealed_tender(tender)
        now_us = time.time_ns() // 1000 if at_us is None else at_us
        if now_us < sealed.ceremony.opens_at_us:
            raise ValueError(
                f"tender {tender} is opened in {(sealed.ceremony.opens_at_us - now_us) // 1_000_000 + 1} s"
            )
        submissions = {}
        for bid in sealed.bids:
            check(bid, bid.context, sealed.committee)
            submissions[bid.digest] = open_share(bid, sealed.committee, key).to_json()
        return (yield from self.hand_submissions(tender, submissions, identifier=identifier))

    def hand_submissions(
        self, tender: str, submissions: Mapping[str, Mapping[str, object]], *, identifier: str | None = None
    ) -> Steps[Done]:
        """Hand in shares that were opened elsewhere, as `exchange holder open` wrote them. Refused, and named, where forged."""
        message = SharesMessage(submissions={digest: dict(one) for digest, one in submissions.items()})
        return self._write(v1("tenders", tender, "shares"), message, identifier, {"tender": tender})

    def why_tender(self, tender: str) -> Steps[TenderExplanationView]:
        """Why your party won or lost a tender, from the opened bids and the marks alone, in Chinese and English."""
        return self._read(v1("tenders", tender, "explanation"), TenderExplanationView)

    def tender_signs(self, tender: str) -> Steps[SignsView]:
        """Signs of a rigged tender, as the screens found them at the opening (regulator)."""
        return self._read(v1("tenders", tender, "signs"), SignsView)

    def appoint_assessors(
        self, tender: str, people: Sequence[str], *, identifier: str | None = None
    ) -> Steps[Done]:
        """Name the persons who mark the bids (its supplier); Refused, with the way, where one is related to a bidder or a side."""
        message = AssessorsMessage(people=list(people))
        return self._write(v1("tenders", tender, "assessors"), message, identifier, {"tender": tender})

    def mark_tender(
        self, tender: str, marks: Mapping[str, Mapping[str, int]], *, identifier: str | None = None
    ) -> Steps[Done]:
        """Mark every valid bid, points by code and criterion (an assessor); `tender(…)` lists bids and criteria."""
        message = MarksMessage(marks={code: dict(of) for code, of in marks.items()})
        return self._write(v1("tenders", tender, "marks"), message, identifier, {"tender": tender})

    def file_protest(self, tender: str, reason: str, *, identifier: str | None = None) -> Steps[Done]:
        """Protest against an award while the time for it runs; `outcome["protest"]` is the protest."""
        message = ProtestMessage(reason=reason)
        return self._write(v1("tenders", tender, "protests"), message, identifier, {"tender": tender})

    def decide_protest(
        self,
        tender: str,
        protest: str,
        decision: Literal["uphold", "dismiss"],
        answer: str,
        *,
        remedy: Literal["rescore", "annul"] | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Uphold a protest, with `remedy`, or dismiss it; the answer is for everybody (regulator)."""
        message = ProtestDecisionMessage(decision=decision, answer=answer, remedy=remedy)
        about = {"tender": tender, "protest": protest, "decision": decision}
        path = v1("tenders", tender, "protests", protest, "decision")
        return self._write(path, message, identifier, about)
