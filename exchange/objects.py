"""Where objects lie for good: a directory or an S3-compatible bucket, opened alike for whoever keeps something there."""

from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.store import LocalStore, S3Store

from exchange.settings import Bucket

if TYPE_CHECKING:
    from obstore.store import S3Config


def opened(address: Path | Bucket, *, make: bool = False) -> LocalStore | S3Store:
    """The store at an address. A directory that is missing is made with `make`, mode 0700; NotADirectoryError without."""
    match address:
        case Path():
            if make and not address.exists():
                address.mkdir(mode=0o700, parents=True)
            if not address.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "it is no directory")
            return LocalStore(address)
        case Bucket():
            return _bucket(address)


def _bucket(address: Bucket) -> S3Store:
    endpoint = address.endpoint or ""
    host = endpoint.partition("://")[2]
    given: S3Config = {}
    if endpoint:
        given["endpoint"] = endpoint
    if address.session_token:
        given["session_token"] = address.session_token
    return S3Store(
        address.name,
        prefix=address.prefix or None,
        access_key_id=address.access_key_id,
        secret_access_key=address.secret_access_key,
        region=address.region,
        # An address that names the bucket is one of a virtual host (Alibaba OSS, Tencent COS); others take it in the path.
        virtual_hosted_style_request=host.startswith(f"{address.name}."),
        disable_bulk_delete=True,  # not all compatible stores know it
        client_options={
            "allow_http": endpoint.startswith("http://"),  # settings allow that for 127.0.0.1 alone
            "connect_timeout": timedelta(seconds=5),
            "timeout": timedelta(seconds=180),
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
        config=given,
    )
