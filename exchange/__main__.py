"""`python -m exchange` and the command `exchange`."""

from __future__ import annotations

import gc
import sys

from rich.console import Console
from rich.markup import escape

from exchange.arrow import without_pandas
from exchange.errors import ExchangeError, Misconfigured
from ledger.errors import LedgerError
from pricing.errors import PricingError


def main() -> None:
    """Run the command line; what has to be changed is said in words, with exit status 2."""
    # What a start loads stays: looking through it again and again for garbage takes a third of the start's time.
    gc.set_threshold(50_000, 50, 100)
    without_pandas()
    from exchange.cli import app

    try:
        app()
    except (ExchangeError, LedgerError, PricingError) as problem:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        # The mind's errors have no detail beside the rule; a setting's message begins with its variable: neither is
        # said twice.
        detail = "refused" if isinstance(problem, PricingError) else problem.detail
        named = problem.field is None or detail.startswith(problem.field)
        said = detail if named else f"{problem.field}: {detail}"
        console.print(f"[bold red]✗[/] {escape(said)}")
        if problem.rule:
            console.print(f"  [dim]rule[/]    {escape(problem.rule)}")
        if problem.remedy:
            console.print(f"  [dim]remedy[/]  {escape(problem.remedy)}")
        sys.exit(2 if isinstance(problem, Misconfigured) else 1)


if __name__ == "__main__":
    main()
