"""After the database was restored to an earlier moment: `python reconcile.py --since MOMENT`, with an API's
environment, while no API and no worker runs."""

import asyncio
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer

from api.main import make_services
from api.reconciling import Reconciliation
from domain.errors import HoldfastError
from domain.tools import TOOLS
from settings import Settings

SAID = {
    "kept": "open interactions that nothing happened to since",
    "begun_anew": "open interactions begun anew from their rows",
    "for_a_person": "open interactions that had acted beyond their rows: a person finishes them",
    "lost": "requests taken in since that had not acted: their repeats begin anew",
    "lost_after_acting": "requests taken in since that had acted: their repeats go to a person",
    "effect_settled": "effects settled as Temporal or the tool says",
    "delivery_settled": "deliveries settled as Temporal says",
    "ended": "workflows ended that have no row",
}
QUIET = {"kept", "begun_anew"}
"""Counted, not listed."""


def main(
    since: Annotated[
        str, typer.Option(help="The moment the database was restored to, as ISO 8601 with its zone. Earlier is safe.")
    ],
) -> None:
    """Compare the database with Temporal and with tools that can tell, and bring everything into a known state."""
    try:
        moment = datetime.fromisoformat(since)
        if moment.tzinfo is None:
            raise HoldfastError("--since needs a zone, such as 2026-11-21T12:00:00Z")
        asyncio.run(_reconcile(moment.astimezone(UTC)))
    except ValueError:
        _fail("--since is no moment in ISO 8601")
    except HoldfastError as error:
        _fail(error.message)


async def _reconcile(since: datetime) -> None:
    services = await make_services(Settings.load(), None)
    counts = Counter[str]()
    try:
        async for finding in Reconciliation(services, TOOLS, since).run():
            counts[finding.what] += 1
            if finding.what not in QUIET:
                print(f"{finding.what:<18} {finding.subject}", flush=True)
    finally:
        await services.db.close()
    for what, words in SAID.items():
        print(f"{counts[what]:>8} {words}")


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
