"""Door 2: the console, pages rendered on the server that stay live by themselves, public ones and those of who signed in."""

from fastapi import FastAPI

from exchange.web import (
    account,
    admin,
    bidding,
    complaint,
    console,
    contracts,
    department,
    desk,
    enterprise,
    income,
    regulator,
    selling,
    sign_in,
    tenders,
)

DESKS: tuple[desk.DeskPage, ...] = (
    *admin.PAGES, *department.PAGES, *selling.PAGES, *income.PAGES, *enterprise.PAGES, *tenders.PAGES, *bidding.PAGES,
    *contracts.PAGES,
    *regulator.PAGES, *account.PAGES,
)  # fmt: skip
"""Every page of who signed in, in the order of the navigation: a further one is added to its module's `PAGES`."""


def mount(app: FastAPI) -> None:
    """Add the console to an application whose `state.gate` and `state.door` serve it."""
    console.mount(app, [*sign_in.PAGES, *complaint.PAGES, *desk.routes(DESKS)])


__all__ = ["DESKS", "mount"]
