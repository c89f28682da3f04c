"""`python -m exchange` and the command `exchange`."""

from __future__ import annotations

import sys

from rich.console import Console

from exchange.arrow import without_pandas
from exchange.errors import ExchangeError, Misconfigured
from ledger.errors import LedgerError


def main() -> None:
    """Run the command line; what has to be changed is said in words, with exit status 2."""
    without_pandas()
    from exchange.cli import app

    try:
        app()
    except (ExchangeError, LedgerError) as problem:
        console = Console(stderr=True, highlight=False)
        console.print(
            f"[bold red]✗[/] {problem.field}: {problem}" if problem.field else f"[bold red]✗[/] {problem}"
        )
        if problem.rule:
            console.print(f"  [dim]rule[/]    {problem.rule}")
        if problem.remedy:
            console.print(f"  [dim]remedy[/]  {problem.remedy}")
        sys.exit(2 if isinstance(problem, Misconfigured) else 1)


if __name__ == "__main__":
    main()
