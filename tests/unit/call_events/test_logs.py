"""Log lines are safe by their keys."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from call_events.logs import configure_logging


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(*, allow_personal: bool = False, style: Literal["json", "console"] = "json", level: str = "info") -> str:
    out = io.StringIO()
    configure_logging("ccm-bridge", format=style, level=level, allow_personal=allow_personal, stream=out)
    log = structlog.get_logger()
    log.debug("quiet")
    log.info(
        "call.handled",
        call="c1",
        pii_text="secret",
        **{"pii.number": "secret", "lk.pii.error": "secret"},
        detail={"pii_name": "secret", "n": 1},
        deep=[{"of": {"pii.text": "secret"}}],
    )
    return out.getvalue()


def test_a_line_is_json_without_personal_data() -> None:
    line = json.loads(lines())

    assert line.pop("timestamp")
    assert line == {
        "event": "call.handled",
        "call": "c1",
        "detail": {"n": 1},
        "deep": [{"of": {}}],
        "level": "info",
        "service": "ccm-bridge",
    }


def test_personal_data_stays_only_where_it_was_allowed() -> None:
    assert "secret" in lines(allow_personal=True)
    assert "secret" not in lines(style="console")


def test_lines_below_the_level_are_not_written() -> None:
    assert "quiet" not in lines()
    assert "quiet" in lines(level="debug")


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("library", [False, True])
@pytest.mark.parametrize("allow_personal", [False, True])
def test_an_error_is_told_by_its_kind_and_its_way_and_not_by_what_it_says(
    style: Literal["json", "console"], library: bool, allow_personal: bool
) -> None:
    """The agents SDK logs what a deployer's tools raise; a text like "no customer with number +49…" is theirs."""
    out = io.StringIO()
    configure_logging("voice-worker", format=style, level="info", allow_personal=allow_personal, stream=out)

    def transcribe() -> None:
        transcript = " ".join(["my number is", *["five"] * 3])
        raise ValueError(f"no customer {1}23 of {len(transcript)}")

    try:
        transcribe()
    except ValueError:
        if library:
            logging.getLogger("livekit.agents").exception("failed")
        else:
            structlog.get_logger().exception("speech.failed")

    assert "ValueError" in out.getvalue()
    assert "transcribe" in out.getvalue(), "the way must be there"
    assert "five five five" not in out.getvalue()
    assert ("no customer 123" in out.getvalue()) is allow_personal
