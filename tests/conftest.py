"""How much is tried (`--examples`, `--rounds`), and what tests share.

One Temporal server, one Postgres and one trained model for the whole run; a fresh database and a house on it for
each test that asks. `tests/api` keeps one house per module.

`make test` runs several processes, each with servers of its own. The tests of a file stay together, for they share
what their module starts; so does what kills processes."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest

from adapters.llm.embedded import EmbeddedIntentModel
from domain.understanding.intents import EXAMPLES
from tests.house import House, open_house
from tests.postgres import database, database_url_of_test, postgres
from tests.temporal import DevServer, dev_server

__all__ = ["database", "database_url_of_test", "postgres"]


ROUNDS = 2
"""How often a race is run where nobody asks for more."""

LONGEST_FIRST = (
    *("tests/faults/", "tests/crash/"),
    *("tests/test_stack.py", "tests/test_migrating.py", "tests/api/test_openapi.py"),
)
"""With several processes, what takes minutes must not be what the last of them begins with."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--examples", type=int, default=None, help="cases each property is tried with")
    parser.addoption("--rounds", type=int, default=ROUNDS, help="times each race (a test with `round_`) is run")


def pytest_configure(config: pytest.Config) -> None:
    # Whoever ends a run ends its servers with it: fixtures are torn down as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A busy machine is no finding: nothing here is about how long a case takes.
    hypothesis.settings.register_profile("suite", deadline=None)
    hypothesis.settings.load_profile("suite")
    if examples := config.getoption("--examples"):
        hypothesis.settings.register_profile("more", max_examples=examples, deadline=None)
        hypothesis.settings.load_profile("more")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "round_" in metafunc.fixturenames:
        metafunc.parametrize("round_", range(metafunc.config.getoption("--rounds")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: not item.nodeid.startswith(LONGEST_FIRST))


@pytest.fixture(scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevServer]:
    async with dev_server(tmp_path_factory.mktemp("temporal")) as server:
        yield server


@pytest.fixture(scope="session")
def learnt(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the shipped model has learnt, and nothing else: trained once per release, for what was learnt
    is named after all it depends on. Processes under test find it through `tests.processes.data_folder`."""
    folder = Path(pytestconfig.cache.mkdir("models")) if pytestconfig.cache else tmp_path_factory.mktemp("models")
    EmbeddedIntentModel(EXAMPLES, folder).warm()
    return folder


@pytest.fixture(scope="session")
def intents(learnt: Path) -> EmbeddedIntentModel:
    """The shipped model, ready."""
    model = EmbeddedIntentModel(EXAMPLES, learnt)
    model.warm()
    return model


@pytest.fixture
async def house(
    database_url_of_test: str, temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel
) -> AsyncIterator[House]:
    async with open_house(database_url_of_test, temporal.address, tmp_path, intents=intents) as h:
        yield h
