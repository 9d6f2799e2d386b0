"""The Temporal development server from a wheel: how it is started. `tests/temporal.py` starts it the same way."""

import sys
from pathlib import Path

PROGRAM = Path(sys.executable).parent / "temporal"
ENVIRONMENT = {"GOGC": "400"}
"""Fewer garbage collections: about a tenth less CPU."""

DYNAMIC_CONFIG = {
    "history.transferProcessorMaxPollRPS": "5000",
    "history.timerProcessorMaxPollRPS": "5000",
    "history.visibilityProcessorMaxPollRPS": "5000",
    "history.outboundProcessorMaxPollRPS": "5000",
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "matching.enableFairness": "true",
    "frontend.WorkflowTimeSkippingEnabled": "true",
    "history.timerProcessorMaxTimeShift": '"1ms"',
}
"""As it comes, the server looks at its one shard 20 times a second, so that every hop waits up to 50 ms. The last two
let a development server skip the time of a workflow that is told to, at once instead of within a second each."""


def command(database: Path, port: int, *flags: str, host: str = "127.0.0.1", log_level: str = "warn") -> list[str]:
    """The server with its state in `database`. It survives kill -9; `synchronous=NORMAL` may lose the last moments in
    a power cut, so production runs Temporal on Postgres."""
    pragmas = ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"]
    place = ["--ip", host, "--port", str(port), "--db-filename", str(database), "--log-level", log_level]
    return [str(PROGRAM), "server", "start-dev", *place, *pragmas, *dynamic_config(DYNAMIC_CONFIG), *flags]


def dynamic_config(values: dict[str, str]) -> list[str]:
    """The flags for `values`, which are JSON: a string needs its quotes."""
    return [part for key, value in values.items() for part in ("--dynamic-config-value", f"{key}={value}")]
