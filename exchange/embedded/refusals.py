"""What the operating system refuses, said as what the operator can do about it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from exchange.errors import Misconfigured

MIB: Final = 1 << 20
NEW_CLUSTER_MIB: Final = 256
RUNNING_CLUSTER_MIB: Final = 64


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses into what the operator can do."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise disk_full(folder, str(error), NEW_CLUSTER_MIB) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
            raise Misconfigured(
                "database.not_writable",
                f"the data directory cannot be used: {error}",
                field="EXCHANGE_DATA_DIR",
                rule="it has to be a directory that this user may write",
                remedy=f"change its owner to uid {os.geteuid()}, or set EXCHANGE_DATA_DIR to another directory",
            ) from error
        raise


def check_space(folder: Path, needed_mib: int) -> None:
    """Raise `Misconfigured` when the disk that holds the folder has less than this left."""
    free_mib = shutil.disk_usage(folder).free // MIB
    if free_mib < needed_mib:
        raise disk_full(folder, f"{free_mib} MiB are free", needed_mib)


def disk_full(folder: Path, detail: str, needed_mib: int) -> Misconfigured:
    return Misconfigured(
        "database.disk_full",
        f"the disk that holds {folder} is full: {detail}",
        field="EXCHANGE_DATA_DIR",
        rule=f"the database needs {needed_mib} MiB to start",
        remedy="free some space there, or set EXCHANGE_DATA_DIR to a directory on another disk",
    )
