"""Alembic's entry: migrates over the connection that it is handed, inside the caller's transaction."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlmodel.sql.sqltypes import AutoString

from exchange.database import METADATA


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Keep SQLModel's own types out of the history: they are plain text."""
    return "sa.Text()" if kind == "type" and isinstance(item, AutoString) else False


# The caller holds a lock and commits, so there is no transaction of Alembic's here and no offline mode.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_item=render_item,
    compare_type=True,
    compare_server_default=True,
)
context.run_migrations()
