"""A link of the chain as bytes: one line of JSON, and a second one with its signature if links are signed.

The next link names SHA-256 of these very bytes, signature included, as its ``previous``. So a link cannot be changed,
left out or put in later without changing all that follow, and the last one of all is remembered outside (``head``).
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from call_archive.errors import BadObject
from call_archive.model import NO_LINK, Link, LinkedCall, Removal, Signature, StoredLink
from call_archive.sealed import digest_of
from call_archive.signing import Signer


def next_link(
    previous: StoredLink | None,
    *,
    at: datetime,
    by: str,
    calls: Sequence[LinkedCall] = (),
    removed: Sequence[Removal] = (),
    signer: Signer | None = None,
) -> StoredLink:
    """The link that follows ``previous``; the first one if that is absent. Its time never runs backwards."""
    at = at.astimezone(UTC)
    if previous is not None:
        at = max(at, previous.link.at.astimezone(UTC))
    link = Link(
        number=1 if previous is None else previous.link.number + 1,
        day=f"{at:%Y-%m-%d}",
        at=at,
        previous=NO_LINK if previous is None else previous.digest,
        by=by,
        calls=tuple(calls),
        removed=tuple(removed),
    )
    line = link.model_dump_json(exclude_none=True).encode()
    signature = None if signer is None else signer.sign(line)
    content = line + b"\n" + (b"" if signature is None else signature.model_dump_json().encode() + b"\n")
    return StoredLink(link, content, digest_of(content), signature)


def signed_line(stored: StoredLink) -> bytes:
    """What a signature is over."""
    return stored.content.partition(b"\n")[0]


def read_link(content: bytes, *, path: str) -> StoredLink:
    """What :func:`next_link` has made.

    Raises:
        BadObject: it was not made so.
    """
    line, _, rest = content.partition(b"\n")
    try:
        link = Link.model_validate_json(line)
        signature = Signature.model_validate_json(rest) if rest else None
    except ValidationError as error:
        fields = ", ".join(f"{'.'.join(map(str, e['loc'])) or 'line'}: {e['type']}" for e in error.errors())
        raise BadObject(f"{path}: this is no link of the chain ({fields})") from None
    return StoredLink(link, content, digest_of(content), signature)
