"""One sealed chain per test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.ed25519 import Ed25519Keys, new_seed
from schema.session import Database
from tests.audit.chain import Chain
from tests.postgres import PostgresServer


@pytest.fixture
async def chain(
    postgres: PostgresServer, database_url_of_test: str, database: Database, tmp_path: Path
) -> AsyncIterator[Chain]:
    """Nothing in it yet."""
    with postgres.owner(database_url_of_test) as owner:
        yield Chain(database, owner, tmp_path / "audit", Ed25519Keys(new_seed()))
