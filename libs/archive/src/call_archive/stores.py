"""From a URL to a store."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from call_archive.directory import DirectoryStore
from call_archive.ports import Store
from call_archive.s3 import S3Options, S3Store
from call_events.errors import BadSetting

__all__ = ["S3Options", "open_store"]

_MEND = "name a directory (/var/lib/callweave/archive) or a bucket (s3://bucket/prefix)"


def open_store(url: str, *, s3: S3Options | None = None) -> Store:
    """The store at a directory (a path, or ``file://``) or in a bucket (``s3://bucket/prefix``). Asks nobody yet.

    Args:
        url: where.
        s3: how to reach the bucket; without it as the client finds it in the process's surroundings (AWS's own way).

    Raises:
        BadSetting: it is neither.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "s3" if parts.netloc and "@" not in parts.netloc and not parts.query:
            return S3Store(parts.netloc, parts.path.strip("/"), s3 or S3Options())
        case "file" if parts.netloc in {"", "localhost"} and parts.path:
            return DirectoryStore(Path(unquote(parts.path)))
        case "" if url:
            return DirectoryStore(Path(url))
        case _:
            raise BadSetting(f"the archive is no place that can be used; {_MEND}")
