"""One Temporal server, one Postgres and one trained model for the whole run; a fresh database and a house on it for
each test that asks. `tests/api` keeps one house per module."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.llm.embedded import EmbeddedIntentModel
from domain.understanding.intents import EXAMPLES
from tests.house import House, open_house
from tests.postgres import database, database_url_of_test, postgres
from tests.temporal import DevServer, dev_server

__all__ = ["database", "database_url_of_test", "postgres"]


@pytest.fixture(scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevServer]:
    async with dev_server(tmp_path_factory.mktemp("temporal")) as server:
        yield server


@pytest.fixture(scope="session")
def intents(pytestconfig: pytest.Config) -> EmbeddedIntentModel:
    """The shipped model. Trained once per release: what was learnt is named after all it depends on."""
    model = EmbeddedIntentModel(EXAMPLES, Path(pytestconfig.cache.mkdir("intents")) if pytestconfig.cache else None)
    model.warm()
    return model


@pytest.fixture
async def house(
    database_url_of_test: str, temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel
) -> AsyncIterator[House]:
    async with open_house(database_url_of_test, temporal.address, tmp_path, intents=intents) as h:
        yield h
