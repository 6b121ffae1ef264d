"""A sealed call and the links of the chain, as data: frozen, and strict about what is read back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from call_events.entries import decode_entry
from call_events.ids import CallId
from call_events.ports import AnyEvent

CALL_FORMAT: Literal["callweave.call.v1"] = "callweave.call.v1"
LINK_FORMAT: Literal["callweave.link.v1"] = "callweave.link.v1"

#: SHA-256 in hex.
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

#: What the first link names as its predecessor.
NO_LINK = "0" * 64


class _Part(BaseModel):
    #: Later releases may add fields; what they mean must not change what is read here.
    model_config = ConfigDict(frozen=True, extra="ignore")


class TransferSummary(_Part):
    """One transfer, for search."""

    destination: str
    #: ``connected``, ``cancelled``, or the outcome of a failed one.
    outcome: str
    human: str | None = None


class Summary(_Part):
    """What a call can be found by, without reading its events. Personal data: it is sealed and goes with them."""

    customer: str | None = None
    number: str | None = None
    customer_id: str | None = None
    dialled_number: str | None = None
    direction: str | None = None
    profile: str | None = None
    language: str | None = None
    #: The AI agents that had the floor, by their names in the profile, in order of appearance.
    agents: tuple[str, ...] = ()
    #: The people who were brought in, by name.
    humans: tuple[str, ...] = ()
    transfers: tuple[TransferSummary, ...] = ()
    ended_by: str | None = None
    cause: str | None = None
    duration_ms: int | None = None


class Header(_Part):
    """First line of a sealed call."""

    format: Literal["callweave.call.v1"] = CALL_FORMAT
    call: CallId
    #: 256 random bits in hex. Goes into every line's digest and is removed with the content: nobody can then test a
    #: guess of what was said against the digests that stay.
    salt: Digest
    #: Times of the first and the last event; absent if the event cannot be decoded.
    opened_at: AwareDatetime | None = None
    closed_at: AwareDatetime | None = None
    summary: Summary = Summary()


class Manifest(_Part):
    """Last line of a sealed call: what must stand before it."""

    call: CallId
    first: int = Field(ge=1)
    last: int = Field(ge=1)
    count: int = Field(ge=1)
    #: How many receipts of each group that read the log.
    receipts: dict[str, int]
    #: The chain over all lines before this one (see ``sealed``).
    head: Digest
    #: The archiver that sealed it, and when.
    by: str
    sealed_at: AwareDatetime


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One entry of the call stream, exactly as it was stored."""

    seq: int
    #: Every field of the entry; an event of ours has one, ``e``.
    fields: Mapping[bytes, bytes]

    @property
    def raw(self) -> bytes:
        """The bytes of the event."""
        return self.fields.get(b"e", b"")

    def decoded(self, call: CallId) -> AnyEvent:
        """The event; what cannot be decoded is passed on as such (``call_events.entries``)."""
        return decode_entry(call, self.seq, self.raw)


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """One receipt of a group, exactly as it was stored."""

    group: str
    #: The entry's id in the receipts stream; begins with the milliseconds of its time.
    entry: str
    fields: Mapping[bytes, bytes]

    @property
    def raw(self) -> bytes:
        """The bytes of the receipt."""
        return self.fields.get(b"r", b"")


@dataclass(frozen=True, slots=True)
class SealedCall:
    """A whole call out of the archive."""

    header: Header
    events: tuple[StoredEvent, ...]
    receipts: tuple[StoredReceipt, ...]
    manifest: Manifest
    #: SHA-256 of the file, as the chain names it.
    digest: str
    size: int

    @property
    def call(self) -> CallId:
        """Whose it is."""
        return self.header.call

    def decoded(self) -> list[AnyEvent]:
        """The events 1, 2, 3 …"""
        return [event.decoded(self.call) for event in self.events]

    def of_group(self, group: str) -> list[StoredReceipt]:
        """What one group did, oldest first."""
        return [receipt for receipt in self.receipts if receipt.group == group]


class LinkedCall(_Part):
    """A sealed call as its link names it. No personal data: this stays when the content is removed."""

    call: CallId
    #: SHA-256 of the file.
    object: Digest
    #: The manifest's head.
    head: Digest
    #: Its last event's number.
    last: int = Field(ge=1)
    size: int = Field(ge=1)
    opened_at: AwareDatetime | None = None
    closed_at: AwareDatetime | None = None


class Removal(_Part):
    """The content of a call was removed on purpose."""

    call: CallId
    #: SHA-256 of the file that was removed.
    object: Digest
    why: Literal["retention", "request"]
    #: Who asked, e.g. a login or a team; of retention the archiver.
    by: str
    #: A ticket or the like; never anything about the person.
    note: str = ""


class Link(_Part):
    """One link of the chain: it names its predecessor's bytes, and the calls that were sealed or removed since."""

    format: Literal["callweave.link.v1"] = LINK_FORMAT
    number: int = Field(ge=1)
    #: The day of ``at``, UTC.
    day: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    #: When it was made; never before its predecessor.
    at: AwareDatetime
    #: SHA-256 of the previous link as it is kept.
    previous: Digest
    by: str
    calls: tuple[LinkedCall, ...] = ()
    removed: tuple[Removal, ...] = ()


class Signature(_Part):
    """Second line of a link, if links are signed."""

    #: The first 16 hex digits of SHA-256 of the public key.
    key: str
    #: Ed25519 over the first line, in base64.
    ed25519: str


@dataclass(frozen=True, slots=True)
class StoredLink:
    """A link as it is kept."""

    link: Link
    content: bytes
    #: SHA-256 of ``content``.
    digest: str
    signature: Signature | None
