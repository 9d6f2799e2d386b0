"""One Temporal server, one Postgres and one trained model for all; a fresh database and a house on it for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.llm.embedded import EmbeddedIntentModel
from domain.understanding.intents import EXAMPLES
from tests.house import House, open_house
from tests.postgres import database_url_of_test, postgres
from tests.temporal import DevServer, dev_server

__all__ = ["database_url_of_test", "postgres"]


@pytest.fixture(scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevServer]:
    async with dev_server(tmp_path_factory.mktemp("temporal")) as server:
        yield server


@pytest.fixture(scope="session")
def intents(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedIntentModel:
    """The shipped model, trained once."""
    return EmbeddedIntentModel(EXAMPLES, tmp_path_factory.mktemp("models"))


@pytest.fixture
async def house(
    database_url_of_test: str, temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel
) -> AsyncIterator[House]:
    async with open_house(database_url_of_test, temporal.address, tmp_path, intents=intents) as h:
        yield h
