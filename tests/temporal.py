"""Temporal servers for tests: one that skips time, and one that can be killed and started again on its own state."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment

from adapters.embedded import temporal


@contextlib.asynccontextmanager
async def temporal_server(**options: Any) -> AsyncIterator[WorkflowEnvironment]:
    """A server in memory whose workflows' clocks stand still until `await env.fast_forward(handle, duration)`.

    `env.client` has the pydantic converter; `options` go to `WorkflowEnvironment.start_time_skipping_v2`, `plugins`
    for instance (a plugin's converter wins). Start one per session; use unique workflow ids and task queues.
    """
    if "plugins" not in options:
        options.setdefault("data_converter", pydantic_data_converter)
    environment = await WorkflowEnvironment.start_time_skipping_v2(
        ts_config=TimeSkippingConfig(enabled=False),
        dev_server_existing_path=str(temporal.PROGRAM),
        dev_server_log_level="never",
        dev_server_startup_timeout=timedelta(seconds=60),
        dev_server_extra_args=temporal.dynamic_config(temporal.DYNAMIC_CONFIG),
        **options,
    )
    async with environment:
        yield environment


@contextlib.contextmanager
def ended_with_us(pid_of: str, how: str = "INT") -> Iterator[None]:
    """Whatever becomes of this process, `kill -9` included, what runs under the number that the shell words `pid_of`
    give is ended: the watch hears that we are gone, or that there is nothing left to watch."""
    watch = subprocess.Popen(
        ["/bin/sh", "-c", f"read _ || kill -{how} {pid_of}"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        watch.communicate(b"\n")


@dataclass
class DevServer:
    """A development server of our own on a free port, started as the one-machine stack starts it."""

    data_dir: Path
    port: int
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)
    _watch: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Starts it on the state it had, and returns when it answers."""
        command = temporal.command(self.data_dir / "temporal.db", self.port, "--headless", log_level="error")
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._watch.enter_context(ended_with_us(str(self.pid)))
        async with asyncio.timeout(60):
            while True:
                assert self._process.returncode is None, "the Temporal server ended by itself"
                with contextlib.suppress(RuntimeError):
                    await Client.connect(self.address)
                    return
                await asyncio.sleep(0.02)

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it; `SIGKILL` for a crash."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()
        self._watch.close()

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)

    async def connect(self, **options: Any) -> Client:
        """A client with the pydantic converter, unless `plugins` bring one."""
        if "plugins" not in options:
            options.setdefault("data_converter", pydantic_data_converter)
        return await Client.connect(self.address, **options)


@contextlib.asynccontextmanager
async def dev_server(data_dir: Path) -> AsyncIterator[DevServer]:
    """A running server whose state is in `data_dir`; kill it and start it again at will."""
    server = DevServer(data_dir, free_port())
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


_given: set[int] = set()


def _worker() -> tuple[int, int]:
    """Which of how many processes of this test run this is."""
    name, count = os.environ.get("PYTEST_XDIST_WORKER", "gw0"), os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")
    return int(name.removeprefix("gw")) % int(count), int(count)


def free_port() -> int:
    """A port of the loopback that nobody used a moment ago, and that nobody is given again by this process.

    Not one the kernel hands out for outgoing connections: between this moment and the server's own, one of the
    hundreds that the tests open could get just that number.
    """
    first, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    # The processes of one run take turns; at random, for several runs at once seldom meet.
    mine, all_ = _worker()
    while True:
        port = random.randrange(10_000 + mine, first, all_)
        with socket.socket() as probe, contextlib.suppress(OSError):
            if port not in _given:
                probe.bind(("127.0.0.1", port))
                _given.add(port)
                return port
