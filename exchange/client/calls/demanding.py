"""The demand board: what buyers want, and who has it."""

from __future__ import annotations

from exchange.client.answers import Done
from exchange.client.calls.asking import Asking, asked, v1
from exchange.client.wire import Steps
from exchange.messages.demands import DemandAnswerMessage, DemandDetail, DemandMessage, DemandView


class Demanding(Asking):
    """The demand board."""

    def demands(self, *, purpose: str | None = None, every: bool = False) -> Steps[list[DemandView]]:
        """What buyers want, newest first; `every` brings those that are over too."""
        params = asked(purpose=purpose, every="true" if every else None)
        return self._read_all("/v1/demands", DemandView, params)

    def demand(self, demand: str) -> Steps[DemandDetail]:
        """One want with its answers."""
        return self._read(v1("demands", demand), DemandDetail)

    def post_demand(
        self,
        subject: str,
        *,
        high_fen: int,
        term_days: int,
        open_days: int = 90,
        low_fen: int = 0,
        purpose: str = "",
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Put a want on the board, for everybody to see; `outcome["id"]` is the demand (buyer)."""
        message = DemandMessage(
            subject=subject,
            purpose=purpose,
            low_fen=low_fen,
            high_fen=high_fen,
            term_days=term_days,
            open_days=open_days,
        )
        return self._write("/v1/demands", message, identifier, {"high_fen": str(high_fen)})

    def answer_demand(
        self,
        demand: str,
        asset: str,
        words: str,
        *,
        listing: str | None = None,
        identifier: str | None = None,
    ) -> Steps[Done]:
        """Answer a want with an asset of yours, and its listing where it is on offer (supplier)."""
        message = DemandAnswerMessage(asset=asset, words=words, listing=listing)
        return self._write(v1("demands", demand, "answers"), message, identifier, {"demand": demand})

    def withdraw_demand(self, demand: str, *, identifier: str | None = None) -> Steps[Done]:
        """Take your want off the board."""
        return self._write(v1("demands", demand, "withdrawal"), None, identifier, {"demand": demand})
