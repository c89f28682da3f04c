"""The command line: one file a group of commands, put together here."""

from __future__ import annotations

import typer

from exchange.cli import (
    acceptance,
    anchor,
    appraise,
    audit,
    backup,
    bank,
    books,
    bulk,
    catalogue,
    cluster,
    complaints,
    contract,
    contributions,
    corrections,
    deletion,
    demand,
    demo,
    desensitize,
    drill,
    extract,
    holder,
    inquiries,
    keys,
    licence,
    lineage,
    listing,
    lookup,
    lot,
    market,
    meter,
    negotiate,
    parties,
    queue,
    ratings,
    recall,
    registration,
    replay,
    revenue,
    rules,
    sandbox,
    signin,
    simulate,
    tender,
    trade,
    treasury,
    usecases,
    webhook,
    witness,
)
from exchange.cli.branches import root

tree = typer.Typer(rich_markup_mode="rich")

SEE, FIND = "See it", "Find data (everybody)"
TRADE, BRING = "Trade (enterprises)", "Bring data (departments, appraisers)"
RUN, KEEP = "Run a market (operators)", "Keep it (operators)"
BANK, CHECK, OPEN = (
    "Money at the bank (banks, operators)",
    "Check it (regulators, strangers)",
    "Open sealed bids (holders)",
)

tree.command("demo", rich_help_panel=SEE)(demo.demo)
tree.command("sandbox", rich_help_panel=SEE)(sandbox.sandbox)
tree.command("clock", rich_help_panel=SEE)(sandbox.clock)
tree.add_typer(simulate.app, name="simulate", rich_help_panel=SEE)
tree.command("catalogue", rich_help_panel=FIND)(catalogue.catalogue)
tree.command("asset", rich_help_panel=FIND)(catalogue.asset)
tree.command("fetch", rich_help_panel=FIND)(catalogue.fetch)
tree.add_typer(complaints.app, name="complaints", rich_help_panel=FIND)
tree.add_typer(inquiries.app, name="inquiries", rich_help_panel=FIND)
for command in (
    trade.lots, trade.join, trade.bid, trade.order, trade.watch, trade.statement, trade.top_up, trade.withdraw,
    trade.withdrawals, trade.lookup, trade.receipt,
):  # fmt: skip
    tree.command(command.__name__.replace("_", "-"), rich_help_panel=TRADE)(command)
tree.add_typer(books.app, name="books", rich_help_panel=TRADE)
tree.add_typer(webhook.app, name="webhook", rich_help_panel=TRADE)
tree.add_typer(listing.app, name="listing", rich_help_panel=TRADE)
tree.add_typer(negotiate.app, name="negotiate", rich_help_panel=TRADE)
tree.add_typer(meter.app, name="meter", rich_help_panel=TRADE)
tree.add_typer(contract.app, name="contract", rich_help_panel=TRADE)
tree.add_typer(licence.app, name="licence", rich_help_panel=TRADE)
tree.add_typer(lot.app, name="lot", rich_help_panel=TRADE)
tree.add_typer(acceptance.app, name="acceptance", rich_help_panel=TRADE)
tree.add_typer(ratings.app, name="ratings", rich_help_panel=TRADE)
tree.add_typer(tender.app, name="tender", rich_help_panel=TRADE)
tree.add_typer(demand.app, name="demand", rich_help_panel=TRADE)
tree.add_typer(usecases.app, name="usecases", rich_help_panel=TRADE)
tree.add_typer(deletion.app, name="deletion", rich_help_panel=TRADE)
tree.add_typer(corrections.app, name="corrections", rich_help_panel=TRADE)
desensitize.app.command("extract")(extract.extract)
desensitize.app.command("look-up")(lookup.look_up)
desensitize.app.add_typer(queue.app, name="queue")
desensitize.app.command("send")(queue.send)
desensitize.app.command("show")(queue.show)
desensitize.app.command("fetch")(queue.fetch)
tree.add_typer(desensitize.app, name="desensitize", rich_help_panel=BRING)
tree.add_typer(lineage.app, name="lineage", rich_help_panel=BRING)
tree.add_typer(contributions.app, name="contributions", rich_help_panel=BRING)
tree.add_typer(registration.app, name="registration", rich_help_panel=BRING)
tree.command("declare", rich_help_panel=BRING)(bulk.declare)
tree.command("appraise", rich_help_panel=BRING)(appraise.appraise)
tree.add_typer(treasury.app, name="treasury", rich_help_panel=BRING)
tree.add_typer(bank.app, name="bank", rich_help_panel=BANK)
tree.command("init", rich_help_panel=RUN)(market.init)
tree.command("serve", rich_help_panel=RUN)(market.serve)
tree.command("settings", rich_help_panel=RUN)(market.settings)
tree.add_typer(revenue.app, name="revenue", rich_help_panel=CHECK)
tree.add_typer(rules.app, name="rulebook", rich_help_panel=RUN)
tree.add_typer(parties.app, name="parties", rich_help_panel=RUN)
tree.add_typer(signin.app, name="console", rich_help_panel=RUN)
tree.add_typer(backup.app, name="backup", rich_help_panel=KEEP)
tree.command("restore", rich_help_panel=KEEP)(backup.restore)
tree.command("recall", rich_help_panel=KEEP)(recall.recall)
tree.command("succeed", rich_help_panel=KEEP)(recall.succeed)
tree.add_typer(cluster.app, name="cluster", rich_help_panel=KEEP)
tree.command("drill", rich_help_panel=KEEP)(drill.drill)
tree.add_typer(anchor.app, name="anchor", rich_help_panel=KEEP)
tree.add_typer(keys.app, name="keys", rich_help_panel=KEEP)
tree.add_typer(audit.app, name="audit", rich_help_panel=CHECK)
tree.command("replay", rich_help_panel=CHECK)(replay.replay)
tree.add_typer(witness.app, name="witness", rich_help_panel=CHECK)
tree.add_typer(holder.app, name="holder", rich_help_panel=OPEN)

app = typer.Typer(
    name="exchange",
    cls=root(tree),
    callback=lambda: None,  # what is common to all commands: nothing
    help=(
        "An exchange for desensitized public data, on which nobody has to trust the operator.\n\n"
        "Try it: [bold]exchange demo[/bold] sells real public data in a sandbox of its own and has it audited.\n\n"
        "Build on it: [bold]exchange sandbox[/bold] runs a private market with keys, money and sample assets.\n\n"
        "Run it: [bold]exchange init[/bold], then [bold]exchange serve[/bold]. Settings are EXCHANGE_… variables; "
        "see [bold]exchange settings[/bold]."
    ),
    epilog=(
        "Exit status: 0 done; 1 refused, or what was checked does not hold; 2 the command line or a setting is wrong; 3 no "
        "answer: a write may have taken effect, repeat it with the same --id; 4 what came does not verify: keep it."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
