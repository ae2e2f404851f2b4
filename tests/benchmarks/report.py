"""What the samples say: medians and ratios, as Markdown tables and as a JSON document."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.benchmarks.measure import CORES, Usage
from tests.benchmarks.servers import OURS, REFERENCE, RIVAL, SERVERS, versions
from tests.benchmarks.workloads import Workload

GIB = 1024**3
MB = 1e6
FLAT = 8 * MB  # growth of the peak that still counts as none
NOISE = 0.12  # the share of the machine that others may take during a sample
BUSY = 0.9  # cores of the load generator from which on it may be what limits a rate


@dataclass(frozen=True)
class Sample:
    """One server under one workload, once."""

    workload: str
    server: str
    round: int
    amount: int  # bytes, or requests
    usage: Usage
    warm_peak: int  # bytes of resident memory, at most, after the warm-up
    peak: int  # the same after the run
    verified: int  # stored files compared by digest
    attempts: int = 1
    noisy: bool = False  # others took too much of the machine in every attempt

    def progress(self) -> str:
        """Return a line for somebody who waits."""
        return (
            f"{self.server}: {self.usage.seconds:.2f} s, CPU {self.usage.server_cpu:.2f} s, load generator "
            f"{self.usage.load_cpu:.2f} s, others {self.usage.others:.0%}, {self.verified} files verified"
        )


@dataclass(frozen=True)
class Summary:
    """The medians of a server's samples under a workload."""

    rate: float  # MB/s, or requests/s
    slowest: float
    fastest: float
    cpu: float  # server's CPU seconds per GiB, or microseconds per request
    load: float  # cores that the load generator was busy
    warm_peak: float  # MB
    peak: float  # MB
    flat: bool

    @classmethod
    def of(cls, samples: Sequence[Sample], *, per_request: bool) -> "Summary":
        """Summarise the samples of one server under one workload."""
        unit, cost_unit, cost_scale = (1, 1, 1e6) if per_request else (MB, GIB, 1)
        rates = [sample.amount / unit / sample.usage.seconds for sample in samples]

        def middle(value: Callable[[Sample], float]) -> float:
            return median(value(sample) for sample in samples)

        return cls(
            rate=median(rates),
            slowest=min(rates),
            fastest=max(rates),
            cpu=middle(lambda sample: sample.usage.server_cpu / sample.amount * cost_unit * cost_scale),
            load=middle(lambda sample: sample.usage.load_cpu / sample.usage.seconds),
            warm_peak=middle(lambda sample: sample.warm_peak / MB),
            peak=middle(lambda sample: sample.peak / MB),
            flat=middle(lambda sample: sample.peak - sample.warm_peak) <= FLAT,
        )


class Report:
    """The result of a run."""

    def __init__(
        self,
        workloads: Sequence[Workload],
        samples: Sequence[Sample],
        failures: Sequence[str] = (),
        *,
        rounds: int,
        quick: bool,
        memory: Path,
        disk: Path,
    ) -> None:
        self._workloads = workloads
        self._samples = samples
        self._failures = failures
        self._rounds = rounds
        self._quick = quick
        self._memory = memory
        self._disk = disk
        self._servers = list(dict.fromkeys(sample.server for sample in samples))
        self.summaries: dict[str, dict[str, Summary]] = {}
        for workload in workloads:
            mine = [sample for sample in samples if sample.workload == workload.key]
            self.summaries[workload.key] = {
                name: Summary.of(
                    [sample for sample in mine if sample.server == name], per_request=workload.per_request
                )
                for name in dict.fromkeys(sample.server for sample in mine)
            }

    def markdown(self) -> str:
        """Return the tables, and what is needed to read them."""
        tables = [self._table(workload) for workload in self._workloads]
        failures = [f"**Failed:** {failure}" for failure in self._failures]
        parts = [self._preface(), self._method(), *failures, self._overview(), *tables]
        return "\n\n".join(parts if self._quick else [*parts, self._remarks()])

    def document(self) -> dict[str, object]:
        """Return everything, ready for `json`."""
        return {
            "machine": _machine(),
            "versions": versions(),
            "servers": {name: SERVERS[name].about for name in self._servers},
            "parameters": {
                "rounds": self._rounds,
                "quick": self._quick,
                "noise_limit": NOISE,
                "memory": f"{self._memory} ({_file_system(self._memory)})",
                "disk": _file_system(self._disk),
                "workloads": {workload.key: workload.title for workload in self._workloads},
            },
            "summary": {
                key: {name: asdict(summary) for name, summary in by_server.items()}
                for key, by_server in self.summaries.items()
            },
            "failures": list(self._failures),
            "samples": [asdict(sample) for sample in self._samples],
        }

    def _preface(self) -> str:
        machine = _machine()
        stores = f"stores in {_file_system(self._memory)}"
        if any(workload.on_disk for workload in self._workloads):
            stores += f" and on {_file_system(self._disk)}"
        installed = ", ".join(f"{name} {version}" for name, version in versions().items())
        processor = f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}"
        servers = [f"- `{name}`: {SERVERS[name].about}" for name in self._servers]
        return "\n".join([f"{machine['date']}, {processor}; {stores}; {installed}.", "", *servers])

    def _method(self) -> str:
        verified = sum(sample.verified for sample in self._samples)
        text = (
            f"Rounds: {self._rounds}, of which the median counts. In each the servers take turns, every "
            "sample on a fresh server and directory, after a warm-up. MB = 10⁶ bytes. CPU is the user and "
            "system time of the server's processes, to 10 ms, without the load generator's. Peak is the "
            "resident memory of the server's processes, added up, after the run and after the warm-up; flat: "
            f"it grew by at most {FLAT / MB:.0f} MB. "
            f"{verified:,} stored files were compared by SHA-256: all are as sent."
        )
        if self._quick:
            text += " **A quick run: everything works, and the figures mean nothing.**"
        return text

    def _overview(self) -> str:
        columns = ["server", *(f"{workload.key}, {_units(workload)[0]}" for workload in self._workloads)]
        lines = [_row(columns), _row(["---"] * len(columns))]
        for name in self._servers:
            cells = [name]
            for workload in self._workloads:
                summary = self.summaries[workload.key].get(name)
                cells.append(f"{summary.rate:,.0f}" if summary else "")
            lines.append(_row(cells))
        return "\n".join(lines)

    def _table(self, workload: Workload) -> str:
        summaries = self.summaries[workload.key]
        rate, cost, warm_up = _units(workload)
        columns = ["server", rate, "slowest to fastest", f"× {REFERENCE}", f"× {RIVAL}", cost]
        columns += ["peak MB", f"after {warm_up}", "flat"]
        lines = [f"### {workload.key}: {workload.title}", "", _row(columns), _row(["---"] * len(columns))]
        for name, summary in summaries.items():
            cells = [
                name,
                f"{summary.rate:,.0f}",
                f"{summary.slowest:,.0f} to {summary.fastest:,.0f}",
                _ratio(summary, summaries.get(REFERENCE)),
                _ratio(summary, summaries.get(RIVAL)),
                f"{summary.cpu:,.0f}" if workload.per_request else f"{summary.cpu:.2f}",
                f"{summary.peak:.0f}",
                f"{summary.warm_peak:.0f}",
                "yes" if summary.flat else "**no**",
            ]
            lines.append(_row(cells))
        ours, rival = summaries.get(OURS), summaries.get(RIVAL)
        if workload.goal and ours and rival:
            verdict = "reached" if ours.rate >= workload.goal * rival.rate else "missed"
            lines += ["", f"Goal of {workload.goal} × {RIVAL}: {verdict}, {_ratio(ours, rival)}."]
        return "\n".join(lines)

    def _remarks(self) -> str:
        repeated = sum(sample.attempts > 1 for sample in self._samples)
        noisy = [f"{s.workload}/{s.server} ({s.usage.others:.0%})" for s in self._samples if s.noisy]
        limit = f"other processes had more than {NOISE:.0%} of the CPU"
        text = f"{repeated} of {len(self._samples)} samples were taken again because {limit}; "
        text += f"{len(noisy)} stayed noisy{': ' if noisy else ''}{', '.join(noisy)}."
        for key, by_server in self.summaries.items():
            for name, summary in by_server.items():
                if summary.load > BUSY:
                    text += (
                        f"\nThe load generator took {summary.load:.2f} cores under {key}/{name}: its limit?"
                    )
        return text


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _units(workload: Workload) -> tuple[str, str, str]:
    """Return the unit of the rate, that of the cost, and the amount of the warm-up."""
    if workload.per_request:
        return "requests/s", "CPU µs/request", f"{workload.warm_up} requests"
    return "MB/s", "CPU s/GiB", f"{workload.warm_up // 1024**2} MiB"


def _ratio(summary: Summary, base: Summary | None) -> str:
    return f"{summary.rate / base.rate:.2f}" if base else "-"


def _machine() -> dict[str, object]:
    models = [
        line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")
    ]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": models[0] if models else platform.machine(),
        "cores": CORES,
        "kernel": platform.release().partition("-")[0],
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def _file_system(path: Path) -> str:
    """Return the type of the file system that holds a path."""
    mounts = [line.split()[1:3] for line in _lines("/proc/self/mounts")]
    holding = [(mount, kind) for mount, kind in mounts if path.resolve().is_relative_to(mount)]
    return max(holding, key=lambda found: len(found[0]))[1]


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()
