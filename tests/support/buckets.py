"""A real S3-compatible store, or a skipped test on a laptop that has none."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from call_archive.stores import S3Options
from standins.bucket import Bucket
from standins.media import MediaError

#: Where CI is true nothing may be skipped. The build itself is no test's business (``./dev test`` sees to it before).
IN_CI = os.environ.get("CI") == "true"  # noqa: TID251


@asynccontextmanager
async def bucket_in(directory: Path) -> AsyncIterator[Bucket]:
    """A server of its own with one empty bucket."""
    async with AsyncExitStack() as stack:
        try:
            bucket = await stack.enter_async_context(Bucket(directory, build=False))
        except MediaError as error:
            if IN_CI:
                raise
            pytest.skip(f"{error}; ./dev run python -m standins.bucket builds it")
        yield bucket


def options_of(bucket: Bucket) -> S3Options:
    """How to reach it."""
    return S3Options(
        endpoint=bucket.endpoint,
        region=bucket.region,
        access_key_id=bucket.access_key_id,
        secret_access_key=bucket.secret_access_key,
    )
