"""``./dev bench [NAME ...]``: measure, three repeats each, and write the tables under ``docs/bench/``."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated

import typer

from call_events.startup import new_event_loop
from standins.bench import calls, delivery, log
from standins.bench.table import shown, write

REPEATS = 3


@dataclass(frozen=True)
class Bench:
    """One table."""

    title: str
    how: str
    measure: Callable[[], Awaitable[Mapping[str, float]]]
    goals: Mapping[str, str] = field(default_factory=dict)
    #: On the event loop of the services: part of what is measured runs in this process.
    like_a_service: bool = False


BENCHES = {
    "log": Bench(
        "Append and consume rates of one process", str(log.__doc__), log.measure, log.GOALS, like_a_service=True
    ),
    "delivery": Bench(
        "From append to CCM", str(delivery.__doc__), delivery.measure, delivery.GOALS, like_a_service=True
    ),
    "calls": Bench("The times of one call", str(calls.__doc__), calls.measure, calls.GOALS),
}


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"Some of: {', '.join(BENCHES)}; all if none.")] = None,
    repeats: Annotated[int, typer.Option(min=1)] = REPEATS,
) -> None:
    """Measure and write the tables."""
    unknown = [name for name in names or () if name not in BENCHES]
    if unknown:
        print(f"bench: there is no {', '.join(unknown)}; there are {', '.join(BENCHES)}", file=sys.stderr)
        raise typer.Exit(2)
    for name in names or BENCHES:
        bench = BENCHES[name]
        runs = []
        for repeat in range(1, repeats + 1):
            try:
                with asyncio.Runner(loop_factory=new_event_loop if bench.like_a_service else None) as runner:
                    figures = runner.run(_run(bench))
            except calls.NotMeasured as error:
                print(f"bench {name}: {error}", file=sys.stderr)
                raise typer.Exit(1) from None
            runs.append(figures)
            print(f"{name} {repeat}/{repeats}: " + ", ".join(f"{k} {shown(v)}" for k, v in figures.items()), flush=True)
        print(f"written: {write(name, bench.title, bench.how.strip(), runs, bench.goals)}")


async def _run(bench: Bench) -> Mapping[str, float]:
    return await bench.measure()


if __name__ == "__main__":
    typer.run(main)
