"""``ports.Store`` in a bucket of any S3-compatible store that honours ``If-None-Match: *`` on PUT.

A PUT is whole or not at all by itself. What makes it a safe place for us is the condition: of two writers of one name
one is told that the name is taken. A store that ignores the condition writes over what is there, so it is refused at
the start.
"""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store as Bucket

from call_archive.errors import AlreadyThere, NotThere, StoreUnavailable
from call_events.errors import BadSetting

_CONNECT_S = 5
_REQUEST_S = 30
#: The client repeats what is safe to repeat so often by itself; then the caller decides.
_RETRIES = 2


@dataclass(frozen=True, slots=True)
class S3Options:
    """How to reach a bucket. What is absent the client looks for in the process's surroundings, as AWS's own do."""

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None


class S3Store:
    """Everything in one bucket under one prefix."""

    def __init__(self, bucket: str, prefix: str, options: S3Options) -> None:
        """Asks nobody yet.

        Raises:
            BadSetting: the client cannot be made of this.
        """
        self._where = f"s3://{bucket}/{prefix}".rstrip("/")
        given = {
            "endpoint": options.endpoint,
            "region": options.region or ("us-east-1" if options.endpoint else None),
            "access_key_id": options.access_key_id,
            "secret_access_key": options.secret_access_key,
        }
        try:
            self._bucket = Bucket(
                bucket,
                prefix=prefix or None,
                config={name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
                client_options={
                    "allow_http": (options.endpoint or "").startswith("http://"),
                    "connect_timeout": timedelta(seconds=_CONNECT_S),
                    "timeout": timedelta(seconds=_REQUEST_S),
                },
                retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_REQUEST_S)},
            )
        except (BaseError, ValueError) as error:
            raise BadSetting(f"the archive at {self._where} cannot be used ({type(error).__name__})") from error

    @property
    def url(self) -> str:
        """See ``ports.ReadStore``."""
        return self._where

    async def read(self, path: str, *, first: int | None = None) -> bytes:
        """See ``ports.ReadStore``."""
        async with self._asked(path):
            if first is not None and (await self._bucket.head_async(path))["size"] > first:
                return bytes(await self._bucket.get_range_async(path, start=0, end=first))
            return bytes(await (await self._bucket.get_async(path)).bytes_async())

    async def exists(self, path: str) -> bool:
        """See ``ports.ReadStore``."""
        try:
            async with self._asked(path):
                await self._bucket.head_async(path)
        except NotThere:
            return False
        return True

    async def names(self, folder: str) -> Sequence[str]:
        """See ``ports.ReadStore``."""
        async with self._asked(folder):
            found = await self._bucket.list_with_delimiter_async(folder)
        start = f"{folder}/" if folder else ""
        folders = [f"{prefix.removeprefix(start)}/" for prefix in found["common_prefixes"]]
        return sorted([*folders, *(one["path"].removeprefix(start) for one in found["objects"])])

    async def create(self, path: str, content: bytes) -> None:
        """See ``ports.Store``."""
        async with self._asked(path):
            await self._bucket.put_async(path, content, mode="create", use_multipart=False)

    async def remove(self, path: str) -> bool:
        """See ``ports.Store``."""
        there = await self.exists(path)
        async with self._asked(path):
            await self._bucket.delete_async(path)
        return there

    async def check(self) -> None:
        """Try whether this store keeps, refuses to write over, and removes.

        Raises:
            BadSetting: it writes over what is there.
            StoreUnavailable: it cannot be asked, or refuses us.
        """
        path = f"check/{secrets.token_hex(8)}"
        await self.create(path, b"1")
        try:
            await self.create(path, b"2")
        except AlreadyThere:
            return
        finally:
            await self.remove(path)
        raise BadSetting(
            f"the archive at {self.url} writes over what is there: it ignores If-None-Match; use one that honours it"
        )

    @asynccontextmanager
    async def _asked(self, path: str) -> AsyncIterator[None]:
        try:
            yield
        except AlreadyExistsError as error:
            raise AlreadyThere(f"{path}: something is kept there already") from error
        except FileNotFoundError as error:
            # A GET of a bucket that is gone looks like one of an object that is: only the answer's code tells.
            if "NoSuchBucket" in str(error):
                raise StoreUnavailable(f"the archive at {self.url}: there is no such bucket") from error
            raise NotThere(f"{path}: nothing is kept there") from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StoreUnavailable(f"the archive at {self.url} refuses us {path}: look at keys and policy") from error
        except BaseError as error:  # the text of the client repeats requests and answers: it is kept as the cause only
            what = "there is no such bucket" if "NoSuchBucket" in str(error) else "it cannot be reached or cannot serve"
            raise StoreUnavailable(f"the archive at {self.url}: {what} ({path}, {type(error).__name__})") from error
