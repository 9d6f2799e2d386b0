"""One house with two organisations in it, for everything here."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from adapters.llm.embedded import EmbeddedIntentModel
from tests.api.conftest import Api, served
from tests.house import open_house
from tests.isolation.seed import OURS, THEIRS, Door, Seed, doors, seeded
from tests.postgres import PostgresServer
from tests.temporal import DevServer


@dataclass
class Street:
    """Two organisations behind one door, and who may stand before it."""

    api: Api
    ours: Seed
    theirs: Seed
    doors: list[Door]
    document: dict[str, Any]


@pytest.fixture(scope="session")
async def street(
    postgres: PostgresServer,
    temporal: DevServer,
    tmp_path_factory: pytest.TempPathFactory,
    intents: EmbeddedIntentModel,
) -> AsyncIterator[Street]:
    url = postgres.create()
    folder = tmp_path_factory.mktemp("street")
    async with (
        open_house(url, temporal.address, folder, intents=intents) as house,
        served(house.settings, house.temporal) as base,
        httpx2.AsyncClient(base_url=base, timeout=60) as http,
    ):
        api = Api(http, house)
        ours, theirs = await seeded(api, OURS), await seeded(api, THEIRS)
        for seed in (ours, theirs):
            seed.objects["name"] = ("a" if seed is ours else "b") * 32
        (house.settings.data_dir / "mail" / f"{'a' * 32}.eml").write_text("Subject: x\nTo: a@example.com\n\nhello\n")
        document = (await http.get("/openapi.json")).json()
        yield Street(api, ours, theirs, await doors(api, theirs), document)
    postgres.drop(url)
