"""``./dev bench [NAME ...]``: measure, three repeats each, and write the tables under ``docs/bench/``.

A name stands for itself and for all that begin with it and a dash: ``log`` is ``log-appends``, ``log-consumers`` and so
on. What was measured is then also shown on ``docs/benchmarks.md``.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Annotated

import structlog
import typer

from call_events.startup import new_event_loop
from standins.bench import (
    appends,
    calls,
    consumers,
    delivery,
    faults,
    killed,
    latency,
    length,
    many_calls,
    memory,
    page,
    peers,
)
from standins.bench.table import NotMeasured, shown, write

REPEATS = 3
_WARNING = 30


@dataclass(frozen=True)
class Bench:
    """One table."""

    title: str
    how: str
    measure: Callable[[], Awaitable[Mapping[str, float]]]
    goals: Mapping[str, str] = field(default_factory=dict)
    #: On the event loop of the services: part of what is measured runs in this process.
    like_a_service: bool = False


def _of_the_log(title: str, module: ModuleType) -> Bench:
    return Bench(title, str(module.__doc__), module.measure, module.GOALS, like_a_service=True)


BENCHES = {
    "log-appends": _of_the_log("Append and consume rates of one process", appends),
    "log-consumers": _of_the_log("Ordered consumption by several processes", consumers),
    "log-latency": _of_the_log("From append to handled", latency),
    "log-killed": _of_the_log("A consumer is killed", killed),
    "log-memory": _of_the_log("Memory of a call", memory),
    "log-length": _of_the_log("Growth with the length of a call", length),
    "log-calls": _of_the_log("Growth with the number of calls", many_calls),
    "faults": _of_the_log("When something fails", faults),
    "log-peers": _of_the_log("Others on the same work", peers),
    "delivery": Bench(
        "From append to CCM", str(delivery.__doc__), delivery.measure, delivery.GOALS, like_a_service=True
    ),
    "calls": Bench("The times of one call", str(calls.__doc__), calls.measure, calls.GOALS),
}


def chosen(names: Sequence[str]) -> list[str]:
    """The benches that are meant; all if none is named.

    Raises:
        NotMeasured: there is none of such a name.
    """
    found: list[str] = []
    for name in names or BENCHES:
        meant = [one for one in BENCHES if one == name or one.startswith(f"{name}-")]
        if not meant:
            raise NotMeasured(f"there is no {name}; there are log (all of the log), {', '.join(BENCHES)}")
        found += [one for one in meant if one not in found]
    return found


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Some of: log, {', '.join(BENCHES)}; all if none.")] = None,
    repeats: Annotated[int, typer.Option(min=1)] = REPEATS,
) -> None:
    """Measure and write the tables."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_WARNING))
    try:
        wanted = chosen(names or ())
    except NotMeasured as error:
        print(f"bench: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    for name in wanted:
        bench = BENCHES[name]
        runs = []
        for repeat in range(1, repeats + 1):
            figures = _run(name, bench)
            runs.append(figures)
            print(f"{name} {repeat}/{repeats}: " + ", ".join(f"{k} {shown(v)}" for k, v in figures.items()), flush=True)
        print(f"written: {write(name, bench.title, bench.how.strip(), runs, bench.goals)}")
    print(f"written: {page.refresh()}")


def _run(name: str, bench: Bench) -> Mapping[str, float]:
    failed: list[str] = []
    figures: Mapping[str, float] = {}
    try:
        with asyncio.Runner(loop_factory=new_event_loop if bench.like_a_service else None) as runner:
            figures = runner.run(_measure(bench))
    except* NotMeasured as errors:
        failed += [str(error) for error in _leaves(errors)]
    if failed:
        print(f"bench {name}: {'; '.join(failed)}", file=sys.stderr)
        raise typer.Exit(1)
    return figures


async def _measure(bench: Bench) -> Mapping[str, float]:
    return await bench.measure()


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


if __name__ == "__main__":
    typer.run(main)
