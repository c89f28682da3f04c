"""Door 2: the console, pages rendered on the server that stay live by themselves, public ones and those of who signed in."""

from fastapi import FastAPI

from exchange.web import (
    account,
    admin,
    appraising,
    bidding,
    complaint,
    console,
    contracts,
    demands,
    department,
    desk,
    enterprise,
    hosting,
    income,
    invoicing,
    notices,
    openings,
    pieces,
    regulator,
    rules,
    selling,
    sign_in,
    subscriptions,
    tenders,
)

DESKS: tuple[desk.DeskPage, ...] = (
    *admin.PAGES, *department.PAGES, *appraising.PAGES, *selling.PAGES, *income.PAGES, *enterprise.PAGES,
    *subscriptions.PAGES, *invoicing.PAGES, *tenders.PAGES, *bidding.PAGES, *hosting.PAGES, *demands.PAGES, *contracts.PAGES,
    *regulator.PAGES, *hosting.SUPERVISED, *notices.PAGES, *account.PAGES,
)  # fmt: skip
"""Every page of who signed in, in the order of the navigation: a further one is added to its module's `PAGES`."""

PUBLIC = (*openings.PAGES, *demands.PUBLIC, *rules.PAGES)
"""Pages of what is open to everybody, beside those of the console itself."""


def mount(app: FastAPI) -> None:
    """Add the console to an application whose `state.gate` and `state.door` serve it."""
    console.mount(
        app, PUBLIC, [*sign_in.PAGES, *complaint.PAGES, *notices.PUBLIC, *pieces.PAGES, *desk.routes(DESKS)]
    )


__all__ = ["DESKS", "PUBLIC", "mount"]
