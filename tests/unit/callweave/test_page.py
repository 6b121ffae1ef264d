"""The page of a call, read as a browser reads it: whole, in order, and obeying nothing that a caller said."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from call_events.ids import CallId
from callweave.files import NotWritten, write_new
from callweave.page.lanes import lanes
from callweave.page.page import page
from callweave.sources.record import Entry
from support.records import record, story, without

#: Whatever ends a text, an attribute, a comment or a style, and what turns the direction of reading.
HOSTILE = (
    "</style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>--><!--&amp;&#x3c;b>\x1b[2J\u202e\u2028{{x}}"
)
VOID = {"meta", "br", "img", "link", "input"}


@dataclass
class Element:
    """One element with everything in it."""

    tag: str
    attributes: dict[str, str | None]
    parts: list["Element | str"] = field(default_factory=list)

    @property
    def inside(self) -> list["Element"]:
        return [one for one in self.parts if isinstance(one, Element)]

    @property
    def text(self) -> str:
        return "".join(one if isinstance(one, str) else one.text for one in self.parts)

    def all(self, tag: str, css: str = "") -> Iterator["Element"]:
        for one in self.inside:
            if one.tag == tag and (not css or css in (one.attributes.get("class") or "").split()):
                yield one
            yield from one.all(tag, css)


class Browser(HTMLParser):
    """Builds the tree, and refuses what is not nested as it should be."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("root", {})
        self._open = [self.root]
        self.comments: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [self.root], f"never closed: {[one.tag for one in self._open[1:]]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        assert len(element.attributes) == len(attrs), f"{tag} has an attribute twice"
        self._open[-1].parts.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> closes {self._open[-1].tag}"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].parts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def rows(root: Element) -> list[Element]:
    (events,) = root.all("ol", "events")
    return list(events.all("li"))


def test_every_event_is_at_its_place_and_the_state_is_at_the_end() -> None:
    root = Browser(page(record())).root
    shown = [row.attributes.get("id") for row in rows(root)]
    # 5, 10, 21: texts, shown where the speech began; 7: an end of speech; 9: a discarding, shown there as well
    assert shown == [f"e{number}" for number in range(1, 24) if number not in {5, 7, 9, 10, 21}]
    by_id = {row.attributes["id"]: row for row in rows(root)}
    assert "“Where is my order?”" in by_id["e6"].text
    assert "text came 7.0 s late, with event 10" in by_id["e6"].text
    assert "CCM: delivered late" in by_id["e6"].text
    assert "not sent: noise" in by_id["e8"].text
    assert [one.text for one in root.all("h3")] == ["Legs", "Transfers", "Tools", "Events"]
    assert "Complete and in order: call-7: 23 events, 1 … 23, 11 receipts of ccm (live)" in root.text


def test_each_party_has_a_lane_and_each_bar_leads_to_its_event() -> None:
    root = Browser(page(record())).root
    names = [one.text for one in root.all("div", "name")]
    assert names == ["seconds", "Customer", "Generic AI", "Billing AI", "Maria Weber", "Transfer", "Tools"]
    there = {row.attributes["id"] for row in rows(root)}
    bars = list(root.all("a", "bar"))
    assert len(bars) == 11
    for bar in bars:
        assert (bar.attributes["href"] or "").removeprefix("#") in there
        numbers = re.fullmatch(r"left:(\d+\.\d+)%;width:(\d+\.\d+)%", bar.attributes["style"] or "")
        assert numbers is not None
        left, width = map(float, numbers.groups())
        assert 0 <= left <= 100
        assert left + width <= 100.01


def test_what_was_said_is_text_and_nothing_else_wherever_it_stands() -> None:
    """Names, speech, reasons, identities, arguments, types of events, and the ids of calls are foreign."""
    events = story(said=HOSTILE, name=HOSTILE)
    whole = record(events)
    strange = b'{"specversion":"1.0","id":"z","type":"<b>x</b>.v1","subject":"call-7","time":"2026-01-05T09:00:04Z"'
    strange += b',"producer":"<i>p</i>","data":{"k":"<u onclick=1>"}}'
    entries = tuple(Entry(one.at, strange) if one.seq == 7 else one for one in whole.entries)
    html = page(replace(whole, entries=entries, index=None))
    browser = Browser(html)
    tags = {one.tag for one in _everything(browser.root)}
    known = "html head meta title style body h1 h2 h3 p b dl div dt dd ul li ol a span details summary footer"
    tables = "table thead tbody tr th td"
    assert tags <= {*known.split(), *tables.split()}
    for element in _everything(browser.root):
        assert not any(name.startswith("on") or name in {"src", "srcset", "srcdoc"} for name in element.attributes)
        assert (element.attributes.get("href") or "#").startswith("#"), "the page leads nowhere else"
    assert browser.comments == []
    assert html.count("<script") == 0
    assert browser.root.text.count("alert(1)") >= 5, "it is all there to be read"
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", html)


def _everything(element: Element) -> Iterator[Element]:
    for one in element.inside:
        yield one
        yield from _everything(one)


def test_the_page_needs_nothing_from_anywhere() -> None:
    html = page(record())
    root = Browser(html).root
    policy = next(one.attributes["content"] for one in root.all("meta") if "http-equiv" in one.attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    (style,) = (one.text for one in root.all("style"))
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style


def test_a_gap_is_shown_where_it_is() -> None:
    root = Browser(page(without(record(), 12, 13))).root
    shown = [row.attributes.get("id") or row.text for row in rows(root)]
    assert shown[shown.index("e14") - 1] == "Missing from the log: 12 to 13"
    assert "gap at event 14: numbers 12 to 13 are missing before it" in root.text
    assert "Complete and in order" not in root.text


def test_the_page_of_a_moment_shows_the_call_as_it_was_then() -> None:
    root = Browser(page(record(), until=9)).root
    assert "As it stood after event 9 of 23" in root.text
    assert rows(root)[-1].attributes["id"] == "e8"
    assert "(text not yet known)" in root.text


@pytest.mark.parametrize("numbers", [range(2, 24), range(1, 23), range(1, 24)])
def test_whatever_is_left_of_a_call_gives_a_page(numbers: range) -> None:
    Browser(page(without(record(), *numbers[:-1])))


def test_a_long_call_stays_readable() -> None:
    """The chart is scrolled instead of squeezed, and has no more ticks than can be read."""
    events = story()
    far = [
        one.model_copy(update={"time": one.time.replace(hour=18)}) if n == 22 else one for n, one in enumerate(events)
    ]
    drawn, length_s = lanes(far)
    assert length_s > 32_000
    html = page(record(far))
    assert "--wide:30000px" in html
    (axis,) = Browser(html).root.all("div", "axis")
    assert 8 < len(list(axis.all("span"))) < 300
    assert drawn


def test_a_file_is_written_whole_for_its_owner_alone_and_never_over_another(tmp_path: Path) -> None:
    file = tmp_path / "call.html"
    write_new(file, "one")
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(NotWritten, match="exists already and was not touched"):
        write_new(file, "two")
    with pytest.raises(NotWritten, match="cannot be written"):
        write_new(tmp_path / "no" / "such" / "call.html", "three")
    assert file.read_text() == "one"
    assert list(tmp_path.iterdir()) == [file]


def test_hostile_ids_of_calls_are_text_as_well() -> None:
    """The log's rule for ids allows none of this; a damaged archive may hold anything."""
    call = CallId("<b>call</b>")
    Browser(page(record(story(call), call=call)))
