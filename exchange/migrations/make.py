"""Write a revision from the difference between the tables in the code and what the revisions before it leave.

    python -m exchange.migrations.make 0001 "the first schema"

makes revision 0001 anew (it replaces the file of that number), against a cluster of its own that it deletes
afterwards. A revision that has been released is never made anew: take the next number. Read the file before
committing it; Alembic sees tables, columns, keys and indexes, while CHECK constraints of existing tables and
data are for a person to write.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import alembic.command
import psycopg
import sqlalchemy
from sqlalchemy.pool import NullPool

from exchange.database import METADATA, alembic_config
from exchange.embedded import Postgres

_VERSIONS: Final = Path(__file__).parent / "versions"

_REFUSAL: Final = '''
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'insufficient_privilege';
        END $$
        """
    )
'''
_TRIGGERS: Final = """
    for table in (
        {tables},
    ):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {{table}}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
"""


def make(number: str, message: str) -> Path:
    """Write revision `number` and return its file."""
    for path in _VERSIONS.glob(f"{number}_*.py"):
        path.unlink()
    with tempfile.TemporaryDirectory() as folder:
        postgres = Postgres.start(Path(folder), durable=False, say=print)
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://",
            creator=lambda: psycopg.connect(postgres.owner_url),
            poolclass=NullPool,
        )
        with engine.begin() as session:
            config = alembic_config()
            config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
            config.attributes["connection"] = session
            alembic.command.upgrade(config, "head")
            known = set(sqlalchemy.inspect(session).get_table_names())
            script = alembic.command.revision(config, message, autogenerate=True, rev_id=number)
        postgres.discard()
    assert script is not None
    assert not isinstance(script, list)
    path = Path(script.path)
    sealed = sorted(
        name for name, table in METADATA.tables.items() if table.info.get("append_only") and name not in known
    )
    text = "".join(line for line in path.read_text().splitlines(True) if not line.strip().startswith("# ###"))
    text = text.replace("info={'append_only': True}", "")
    if not known - {"alembic_version"}:
        text += _REFUSAL
    if sealed:
        text += _TRIGGERS.format(tables=",\n        ".join(f'"{name}"' for name in sealed))
    path.write_text(text)
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(path)], check=True)
    return path


if __name__ == "__main__":
    print(make(*sys.argv[1:]))
