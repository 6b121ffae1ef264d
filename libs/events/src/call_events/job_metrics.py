"""What the job processes of a worker have counted, told by its main process as if it were one.

A job process lives for one call and nobody can ask it anything, so what it counts lies in files that it has mapped into
its memory (the multiprocess mode of prometheus_client). They outlive it, also after ``kill -9``. The main process keeps
its own numbers in memory as ever, and adds to them, at each scrape:

* counters and histograms: what living jobs have counted, and what all that have ended had;
* gauges with ``multiprocess_mode="livesum"``: the sum over living processes. Any other gauge is the main process's own
  to set: jobs import it too and never touch it, and their zeros say nothing.

Files of ended jobs are added up in memory and removed, else a busy worker leaves thousands a day. Memory will do, for
these numbers end with the main process, like its own.

**Where the files are.** In a directory of this worker's own, made at its start and removed at its end. It is in
``/dev/shm`` where there is one: on a disk a page that is written back makes its writer wait, which is a call, and a
disk that is full kills it (SIGBUS). A job needs some 20 KB there.

**How jobs learn of it.** By ``PROMETHEUS_MULTIPROC_DIR``, which prometheus_client reads as it is imported: for the main
process that is over when the variable is set, for jobs it is yet to come.
"""

import asyncio
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from call_events.errors import BadSetting
from call_events.private_directory import private_directory

log = structlog.get_logger()

PREFIX = "callweave-metrics-"
#: In memory, by the rules of Linux; other systems have no such place.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - what is made there is ours alone (mkdtemp)
#: Between two looks for jobs that have ended; much sooner than a machine gives a pid again.
LOOK_S = 5.0

_LIVE_GAUGES = "gauge_livesum_"
#: A file that its process has only just made, or that is no such file.
_UNREADABLE = (OSError, struct.error, RuntimeError, ValueError)


@dataclass(slots=True)
class _Family:
    """Sums of one family's samples, by name and labels; buckets are cumulative, so they add up as well."""

    documentation: str
    type: str
    values: dict[tuple[str, frozenset[tuple[str, str]]], float] = field(default_factory=dict)

    def add(self, sample: Sample) -> None:
        key = sample.name, frozenset(sample.labels.items())
        self.values[key] = self.values.get(key, 0.0) + sample.value


@contextmanager
def metrics_directory() -> Iterator[Path]:
    """For ``PROMETHEUS_MULTIPROC_DIR`` of the job processes; it is there while the block lasts.

    Raises:
        BadSetting: it can be made nowhere.
    """
    with ExitStack() as stack:
        try:
            place = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
            directory = stack.enter_context(private_directory(PREFIX, place))
        except OSError as error:
            raise BadSetting(
                f"TMPDIR: there is no place for what calls count ({error.strerror}); let the worker's user write to "
                f"{SHARED_MEMORY}, or set it to a directory where it may"
            ) from None
        yield directory


class JobMetrics(Collector):
    """``with metrics_directory() as place:`` start jobs with it, and serve ``JobMetrics(place).registry``."""

    def __init__(self, directory: Path, own: CollectorRegistry = REGISTRY) -> None:
        """``directory`` is where jobs map their files; ``own`` is what the main process counts itself."""
        self._directory = directory
        self._own = own
        self._ended: dict[str, _Family] = {}
        #: What to serve: one family per name, of the main process and all its jobs.
        self.registry = CollectorRegistry()
        self.registry.register(self)

    async def run(self) -> None:
        """Put away the files of ended jobs until cancelled, whether or not anybody scrapes."""
        while True:
            self.fold()
            await asyncio.sleep(LOOK_S)

    def fold(self) -> None:
        """Put away the files of jobs that have ended: first they are read, then they go, and then they count."""
        for path in self._files():
            if _lives(_pid(path)):
                continue
            sums: dict[str, _Family] = {}
            try:
                _read(path, sums)
            except _UNREADABLE as error:
                log.warning("metrics.job_unreadable", file=path.name, error=type(error).__name__)
            path.unlink()
            if not path.name.startswith("gauge_"):
                _join(self._ended, sums)

    def collect(self) -> Iterator[Metric]:
        """Every family once; see the module."""
        self.fold()
        sums: dict[str, _Family] = {}
        _join(sums, self._ended)
        for path in self._files():
            if not path.name.startswith("gauge_") or path.name.startswith(_LIVE_GAUGES):
                try:
                    _read(path, sums)
                except _UNREADABLE:  # it was made this moment, and there is nothing in it yet
                    continue
        for metric in self._own.collect():
            yield _with(metric, sums.pop(metric.name, None))
        for name, family in sums.items():
            yield _with(Metric(name, family.documentation, family.type), family)

    def _files(self) -> list[Path]:
        # Where an operator has set the variable for the main process as well, its own file may be here.
        return [path for path in sorted(self._directory.glob("*.db")) if _pid(path) != os.getpid()]


def _read(path: Path, sums: dict[str, _Family]) -> None:
    """Add one file's samples."""
    for metric in MultiProcessCollector.merge([str(path)]):  # type: ignore[no-untyped-call]
        family = sums.setdefault(metric.name, _Family(metric.documentation, metric.type))
        for sample in metric.samples:
            family.add(sample)


def _join(sums: dict[str, _Family], others: dict[str, _Family]) -> None:
    for name, other in others.items():
        family = sums.setdefault(name, _Family(other.documentation, other.type))
        for key, value in other.values.items():
            family.values[key] = family.values.get(key, 0.0) + value


def _with(metric: Metric, jobs: _Family | None) -> Metric:
    """A family of the main process, with what jobs have counted."""
    if jobs is None:
        return metric
    joined = Metric(metric.name, metric.documentation, metric.type, metric.unit)
    left = dict(jobs.values)
    for sample in metric.samples:
        more = left.pop((sample.name, frozenset(sample.labels.items())), 0.0)
        joined.samples.append(sample._replace(value=sample.value + more))
    joined.samples.extend(Sample(name, dict(labels), value) for (name, labels), value in left.items())
    return joined


def _pid(path: Path) -> int:
    """Of the process that writes the file: it is the last part of the name."""
    return int(path.stem.rpartition("_")[2])


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # gone, and the pid perhaps another user's by now
        return False
    return True
