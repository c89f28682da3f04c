"""The command line: one file a group of commands, put together here."""

from __future__ import annotations

import typer

from exchange.cli import (
    anchor,
    appraise,
    audit,
    backup,
    cluster,
    demo,
    desensitize,
    drill,
    extract,
    holder,
    keys,
    market,
    recall,
    simulate,
    witness,
)

app = typer.Typer(
    name="exchange",
    help=(
        "An exchange for desensitized public data, on which nobody has to trust the operator.\n\n"
        "Try it: [bold]exchange demo[/bold] sells real public data in a sandbox of its own and has it audited.\n\n"
        "Run it: [bold]exchange init[/bold], then [bold]exchange serve[/bold]. Settings are EXCHANGE_… variables; "
        "see [bold]exchange settings[/bold]."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("demo", rich_help_panel="See it")(demo.demo)
app.command("init", rich_help_panel="Run it")(market.init)
app.command("serve", rich_help_panel="Run it")(market.serve)
app.command("settings", rich_help_panel="Run it")(market.settings)
app.add_typer(backup.app, name="backup", rich_help_panel="Keep it")
app.command("restore", rich_help_panel="Keep it")(backup.restore)
app.command("recall", rich_help_panel="Keep it")(recall.recall)
app.command("succeed", rich_help_panel="Keep it")(recall.succeed)
app.add_typer(cluster.app, name="cluster", rich_help_panel="Keep it")
app.command("drill", rich_help_panel="Keep it")(drill.drill)
app.add_typer(anchor.app, name="anchor", rich_help_panel="Keep it")
app.add_typer(keys.app, name="keys", rich_help_panel="Keep it")
app.add_typer(audit.app, name="audit", rich_help_panel="Check it (regulators, strangers)")
app.add_typer(witness.app, name="witness", rich_help_panel="Check it (regulators, strangers)")
app.add_typer(simulate.app, name="simulate", rich_help_panel="Run it")
app.add_typer(holder.app, name="holder", rich_help_panel="Open sealed bids (holders)")
app.command("appraise", rich_help_panel="Value data (departments, appraisers)")(appraise.appraise)
desensitize.app.command("extract")(extract.extract)
app.add_typer(desensitize.app, name="desensitize", rich_help_panel="Bring data (departments)")
