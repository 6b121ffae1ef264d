"""The generated catalogue page knows when it is stale."""

from pathlib import Path

import pytest

from call_events.docs import main, render, stale
from call_events.registry import SCHEMAS


def test_every_event_is_on_the_page_and_has_a_schema() -> None:
    files = render()

    assert all(f"## {wire_type}" in files["events.md"] for wire_type in SCHEMAS)
    assert {f"schemas/{wire_type}.json" for wire_type in SCHEMAS} | {"events.md"} == set(files)


def test_what_was_written_is_fresh_until_it_is_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0

    (tmp_path / "events.md").write_text("edited")
    (tmp_path / "schemas" / "gone.v1.json").write_text("{}")

    assert main(["--check", str(tmp_path)]) == 1
    assert "events.md is stale" in capsys.readouterr().err
    assert stale(tmp_path) == ["events.md", "schemas/gone.v1.json"]
    assert main([str(tmp_path)]) == 0
    assert stale(tmp_path) == []
