"""Rolls releases of the workers: `python release.py status | promote | move`, with a worker's environment."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from temporalio.client import Client

from domain.errors import HoldfastError
from settings import Settings, payload_codec, temporal_config
from workflows import releases
from workflows.runtime import connect

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
Build = Annotated[str, typer.Option(help="The build id, as the worker was given it.")]


@cli.command()
def status() -> None:
    """Which builds there are, and what each does."""

    async def told(client: Client, name: str) -> None:
        for release in await releases.releases(client, name):
            print(f"{release.build_id:<40} {release.status}")

    _run(told)


@cli.command()
def promote(
    build: Build,
    percent: Annotated[float, typer.Option(min=0, max=100, help="The share of new work it gets.")] = 100,
) -> None:
    """Give new work to a build. What runs stays where it is."""

    async def told(client: Client, name: str) -> None:
        await releases.promote(client, name, build, percent=percent)
        print(f"{build} gets {percent:g} % of new work")

    _run(told)


@cli.command()
def move(
    source: Annotated[str, typer.Option("--from", help="The build whose open runs move.")],
    target: Annotated[str, typer.Option("--to", help="The build they move to: the one this code is.")],
) -> None:
    """Move open runs to this release, each only if its history replays against this code."""

    async def told(client: Client, name: str) -> None:
        result = await releases.move(client, name, source=source, target=target)
        print(f"{result.moved} moved")
        for workflow_id in result.stayed:
            print(f"stays, its history does not replay: {workflow_id}")
        if result.stayed:
            raise typer.Exit(1)

    _run(told)


def _run(work: Callable[[Client, str], Awaitable[None]]) -> None:
    async def connected() -> None:
        settings = Settings.load()
        if not settings.deployment_name:
            raise HoldfastError("TEMPORAL_DEPLOYMENT_NAME is empty: workers are not versioned")
        codec = payload_codec(settings)
        await work(await connect(temporal_config(settings), codec=codec), settings.deployment_name)

    try:
        asyncio.run(connected())
    except HoldfastError as error:
        print(f"error: {error.message}", file=sys.stderr)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    cli()
