"""What stands beside a listing: published discounts, and questions answered to all."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, v1
from exchange.client.wire import Steps
from exchange.messages.listings import (
    CriterionName,
    DiscountMessage,
    DiscountView,
    ListingAnswerMessage,
    ListingQuestionMessage,
    ListingQuestionView,
)


class Listings(Asking):
    """What stands beside a listing: published discounts, and questions answered to all."""

    def discounts(self, listing: str) -> Steps[list[DiscountView]]:
        """The register of a listing: who pays less by which criterion, how much, and how long."""
        return self._read(v1("listings", listing, "discounts"), list[DiscountView])

    def publish_discount(
        self,
        listing: str,
        criterion: CriterionName,
        off_ppm: int,
        *,
        starts_us: int,
        ends_us: int,
        at_least: int = 0,
        words: Sequence[str] = (),
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Publish a discount on a listing of yours; whoever meets its criterion has it. `outcome["id"]` names it."""
        message = DiscountMessage(
            criterion=criterion,
            off_ppm=off_ppm,
            starts_us=starts_us,
            ends_us=ends_us,
            at_least=at_least,
            words=list(words),
        )
        about = {"listing": listing, "off_ppm": str(off_ppm)}
        return self._write(v1("listings", listing, "discounts"), message, identifier, about)

    def end_discount(self, discount: str, *, identifier: str | None = None) -> Steps[Done]:
        """End a discount of yours from now on."""
        return self._write(v1("discounts", discount, "end"), None, identifier, {"discount": discount})

    def questions(self, listing: str) -> Steps[list[ListingQuestionView]]:
        """What was asked of a listing, with the answers; open questions only of your own, and to you."""
        return self._read(v1("listings", listing, "questions"), list[ListingQuestionView])

    def questions_waiting(self) -> Steps[list[ListingQuestionView]]:
        """Questions to your listings that wait for your answer, the first due in front."""
        return self._read("/v1/questions", list[ListingQuestionView])

    def ask_question(self, listing: str, text: str, *, identifier: str | None = None) -> Steps[Done]:
        """Ask the seller; everybody reads the question with its answer, and nobody who asked."""
        message = ListingQuestionMessage(text=text)
        return self._write(v1("listings", listing, "questions"), message, identifier, {"listing": listing})

    def answer_question(self, question: str, answer: str, *, identifier: str | None = None) -> Steps[Done]:
        """Answer a question to a listing of yours, to all."""
        message = ListingAnswerMessage(answer=answer)
        return self._write(v1("questions", question, "answer"), message, identifier, {"question": question})
