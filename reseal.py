"""Customers' words and the keys they are sealed under: `python reseal.py seal | rewrap | keyset`, with an API's
environment and the owner's `MIGRATION_DATABASE_URL`, while everything runs."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import Annotated, NoReturn

import typer

from adapters.crypto import new_keyset, with_another_key, with_newest_primary, with_primary_only
from domain.errors import HoldfastError
from schema import resealing
from schema.session import Database
from settings import Settings, customer_seals


class Step(StrEnum):
    NEW = "new"
    ADD = "add"
    """One more key, which opens and does not seal yet."""
    PROMOTE = "promote"
    """The key added last seals from now on."""
    DROP = "drop"
    """Only the key that seals stays."""


STEPS: dict[Step, Callable[[str], str]] = {
    Step.ADD: with_another_key,
    Step.PROMOTE: with_newest_primary,
    Step.DROP: with_primary_only,
}
cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@cli.command()
def seal() -> None:
    """Seal what was stored in clear, by an older release or while HOLDFAST_CUSTOMER_PLAINTEXT was set."""
    _run(resealing.seal_what_is_in_clear)


@cli.command()
def rewrap() -> None:
    """Wrap customers' keys under the newest key of HOLDFAST_ENCRYPTION_KEYSET. Then the old one can go."""
    _run(resealing.rewrap)


@cli.command()
def keyset(step: Annotated[Step, typer.Argument(help="What to do with HOLDFAST_ENCRYPTION_KEYSET.")]) -> None:
    """Print a new keyset, or the one that is set as the next step of its rotation needs it. It is a secret."""
    if step is Step.NEW:
        print(new_keyset())
        return
    try:
        given = Settings.load().encryption_keyset.get_secret_value()
        if not given:
            raise HoldfastError("HOLDFAST_ENCRYPTION_KEYSET is empty")
    except HoldfastError as error:
        _fail(error)
    print(STEPS[step](given))


def _run(work: Callable[[Database], AsyncIterator[resealing.Done]]) -> None:
    try:
        asyncio.run(_done(Settings.load(), work))
    except HoldfastError as error:
        _fail(error)


def _fail(error: HoldfastError) -> NoReturn:
    print(f"error: {error.message}", file=sys.stderr)
    raise typer.Exit(1)


async def _done(settings: Settings, work: Callable[[Database], AsyncIterator[resealing.Done]]) -> None:
    seals = customer_seals(settings)
    if seals is None or not seals.writes:
        raise HoldfastError("nothing is sealed here: HOLDFAST_ENCRYPTION_KEYSET, HOLDFAST_CUSTOMER_PLAINTEXT")
    db = Database(settings.owner_database_url, pool_size=1, seals=seals, role=resealing.RESEALER)
    try:
        async for done in work(db):
            print(f"{done.rows:>8} {done.what} of {done.organisation}", flush=True)
    finally:
        await db.close()


if __name__ == "__main__":
    cli()
