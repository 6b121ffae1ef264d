"""X-headers for the human's phone: foreign text made safe for a SIP header.

livekit-sip takes at most 1,024 printable ASCII characters; a line break would be a header of somebody else's choosing.
"""

import re
import unicodedata

LIMIT = 1024
CUSTOMER_NUMBER = "X-Customer-Number"
#: Letters that lose their meaning with their marks, and the typographer's signs, by code point.
_SPELLED = {
    0xDF: "ss", 0xE4: "ae", 0xF6: "oe", 0xFC: "ue", 0xC4: "Ae", 0xD6: "Oe", 0xDC: "Ue", 0xE6: "ae", 0xC6: "Ae",
    0xF8: "o", 0xD8: "O", 0x142: "l", 0x141: "L", 0x20AC: "EUR ", 0xA3: "GBP ", 0x2013: "-", 0x2014: "-",
    0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2026: "...",
}  # fmt: skip
_NOT_DIALLED = re.compile(r"[^0-9A-Za-z+*#_.-]")


def header_text(text: str, limit: int = LIMIT) -> str:
    """One line of printable ASCII, letters without their marks; too long a text ends with ``...``."""
    plain = unicodedata.normalize("NFKD", text.translate(_SPELLED))
    kept = "".join(c if 32 <= ord(c) < 127 else " " for c in plain if not unicodedata.combining(c))
    line = " ".join(kept.split())
    if len(line) <= limit:
        return line
    cut = line[: limit - 3]
    if " " in cut[limit // 2 :]:
        cut = cut.rsplit(" ", 1)[0]
    return cut + "..."


def header_number(number: str, limit: int = 64) -> str:
    """A telephone number or SIP user with nothing in it that a header could misunderstand."""
    return _NOT_DIALLED.sub("", number)[:limit]


def dial_headers(*, dial_id: str, summary: str, customer_number: str | None) -> dict[str, str]:
    """The X-headers of a dial. Empty ones are left out: some switches reject them."""
    headers = {
        "X-Dial-Id": dial_id,
        "X-Transfer-Summary": header_text(summary),
        CUSTOMER_NUMBER: header_number(customer_number or ""),
    }
    return {name: value for name, value in headers.items() if value}
