"""Door 1: JSON for enterprises, departments and regulators; a router a room."""

from exchange.api import accounts, assets, audit, delivery, identity, log, market, parties

routers = (
    market.router,
    parties.router,
    identity.router,
    accounts.router,
    assets.router,
    delivery.router,
    log.router,
    audit.router,
)
