"""Repeats of one measurement as a Markdown table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from standins.bench.machine import description

HERE = Path("docs/bench")


class NotMeasured(Exception):
    """It went on without what was to be measured; the text says what is missing."""


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))] if ordered else 0.0


def write(name: str, title: str, how: str, runs: Sequence[Mapping[str, float]], goals: Mapping[str, str]) -> Path:
    """Write ``docs/bench/<name>.md``: a row per figure, a column per repeat, the median, and the goal.

    Args:
        how: what was run and what stands in for what, in a few sentences.
        runs: one mapping of figure → value per repeat, same keys.
        goals: figure → goal, where there is one.
    """
    header = ["figure", *(f"run {n}" for n in range(1, len(runs) + 1)), "median", "goal"]
    lines = [f"# {title}", "", how, "", f"Machine: {description()}.", "", _row(header), _row(["---"] * len(header))]
    for figure in runs[0]:
        values = [run[figure] for run in runs]
        lines.append(_row([figure, *map(shown, values), f"**{shown(median(values))}**", goals.get(figure, "")]))
    HERE.mkdir(parents=True, exist_ok=True)
    path = HERE / f"{name}.md"
    path.write_text("\n".join([*lines, ""]))
    return path


def shown(value: float) -> str:
    """Three figures that matter, thousands with a comma."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
