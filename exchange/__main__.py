"""`python -m exchange` and the command `exchange`."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape

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
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        # A setting's message begins with its variable: it is not said twice.
        named = problem.field is None or problem.detail.startswith(problem.field)
        said = problem.detail if named else f"{problem.field}: {problem.detail}"
        console.print(f"[bold red]✗[/] {escape(said)}")
        if problem.rule:
            console.print(f"  [dim]rule[/]    {escape(problem.rule)}")
        if problem.remedy:
            console.print(f"  [dim]remedy[/]  {escape(problem.remedy)}")
        sys.exit(2 if isinstance(problem, Misconfigured) else 1)


if __name__ == "__main__":
    main()
