"""The Postgres floor: one process, one transaction. Fast, and a process that dies midway has done nothing at all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar

from fastapi import FastAPI

from bench import rows, steps
from bench.floor import POOL, ChatRequest, Floor, add_health, database


@dataclass
class PostgresFloor(Floor):
    """No engine: the least that FastAPI and Postgres can cost."""

    name: ClassVar[str] = "postgres_floor"
    title: ClassVar[str] = "Postgres floor"

    async def start(self) -> None:
        self.prepare()
        self.launch_api("bench.postgres_floor:create_app", self.variables())
        await self.ready("/healthz")


def create_app() -> FastAPI:
    """All six steps in the request, the writes in one transaction."""
    pool = rows.make_pool(database(), POOL)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        steps.model()
        async with pool:
            yield

    app = FastAPI(lifespan=lifespan)
    add_health(app)

    @app.post("/chat")
    async def chat(request: ChatRequest) -> steps.Answer:
        asked = request.asked()
        understood = steps.classify(asked.message)
        decided = steps.decide(understood)
        ticket = rows.ticket_id(asked)
        reply = steps.compose(ticket)
        unbacked = steps.verify(steps.ReplyInput(reply, [ticket]))
        answer = steps.answer(understood, decided, ticket, reply, unbacked)
        return await rows.insert_all(pool, asked, answer, decided.priority)

    return app
