"""The page a stranger reads shows what the tables say, and says so where there is none."""

from pathlib import Path

import pytest

from standins.bench import page
from standins.bench.__main__ import BENCHES, chosen
from standins.bench.table import HERE, NotMeasured

TABLE = """# Append and consume rates of one process

| figure | run 1 | run 2 | median | goal |
| --- | --- | --- | --- | --- |
| appends/s | 10 | 30 | **20** | ≥ 20,000 |
| of the server's ceiling | 0.5 | 0.7 | **0.6** |  |
"""
PEERS = """# Peers

| figure | run 1 | median | goal |
| --- | --- | --- | --- |
| Callweave: p50 ms | 1 | **1** |  |
| Other: p50 ms | 2 | **2** |  |
| Other: lost | 9 | **9** | 0 |
"""
PAGE = "before\n<!-- headlines -->\nold\n<!-- /headlines -->\nbetween\n<!-- peers -->\n<!-- /peers -->\nafter\n"


def test_figures_and_goals_come_from_the_tables(tmp_path: Path) -> None:
    (tmp_path / "log-appends.md").write_text(TABLE)
    (tmp_path / "log-peers.md").write_text(PEERS)
    (tmp_path / "page.md").write_text(PAGE)
    text = page.refresh(tmp_path / "page.md", tmp_path).read_text()
    link = "[Append and consume rates of one process](bench/log-appends.md)"
    assert f"| appends/s | 20 | ≥ 20,000 | {link} |" in text
    assert f"| of the server's ceiling | 0.6 |  | {link} |" in text
    assert "| p99 ms | not measured yet |  | delivery |" in text
    assert "| figure | Callweave | Other |\n| --- | --- | --- |\n| p50 ms | 1 | 2 |\n| lost | - | 9 |\n" in text
    assert text.startswith("before\n")
    assert "\nbetween\n" in text
    assert text.endswith("after\n")
    assert "old" not in text


def test_the_page_in_the_repository_shows_the_tables_in_the_repository(tmp_path: Path) -> None:
    copy = tmp_path / "page.md"
    copy.write_text(page.PAGE.read_text())
    assert page.refresh(copy).read_text() == page.PAGE.read_text(), "run ./dev bench, or copy what it writes"


@pytest.mark.parametrize("table", [path.stem for path in sorted(HERE.glob("*.md"))])
def test_every_headline_is_a_figure_of_its_table(table: str) -> None:
    """A renamed figure would leave "not measured yet" on the page for ever."""
    assert table in BENCHES
    found = page.medians(HERE / f"{table}.md")
    assert [figure for figure in page.HEADLINES.get(table, ()) if figure not in found] == []


def test_a_name_stands_for_all_that_begin_with_it() -> None:
    assert chosen(["log"]) == [name for name in BENCHES if name.startswith("log-")]
    assert chosen(["log-latency", "log"])[0] == "log-latency"
    assert chosen([]) == list(BENCHES)
    with pytest.raises(NotMeasured, match="there is no lo; there are log"):
        chosen(["lo"])
