"""The three tables of the floors, and the statements of steps 4 to 6: each writes its row once per key."""

import dataclasses
import hashlib
import json

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from bench.steps import Answer, Asked

Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]

_TABLES = """
CREATE TABLE tickets (
    key text PRIMARY KEY, id text NOT NULL, customer text NOT NULL, topic text NOT NULL, priority text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE deliveries (
    key text PRIMARY KEY, customer text NOT NULL, channel text NOT NULL, body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE interactions (
    organisation text NOT NULL, customer text NOT NULL, request text NOT NULL, message text NOT NULL,
    intent text NOT NULL, outcome text NOT NULL, reply text NOT NULL, answer jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (organisation, customer, request));
"""
_TICKET = """
INSERT INTO tickets (key, id, customer, topic, priority)
VALUES (%(key)s, %(ticket)s, %(customer)s, %(topic)s, %(priority)s)
ON CONFLICT DO NOTHING
"""
_DELIVERY = """
INSERT INTO deliveries (key, customer, channel, body) VALUES (%(key)s, %(customer)s, 'chat', %(reply)s)
ON CONFLICT DO NOTHING
"""
_INTERACTION = """
INSERT INTO interactions (organisation, customer, request, message, intent, outcome, reply, answer)
VALUES (%(organisation)s, %(customer)s, %(request)s, %(message)s, %(intent)s, %(outcome)s, %(reply)s, %(answer)s::jsonb)
ON CONFLICT DO NOTHING
"""
_ALL = f"WITH ticket AS ({_TICKET}), delivery AS ({_DELIVERY}) {_INTERACTION} RETURNING 1"
_STORED = """
SELECT answer FROM interactions
WHERE organisation = %(organisation)s AND customer = %(customer)s AND request = %(request)s
"""


def create_tables(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLES)


def make_pool(url: str, size: int) -> Pool:
    """Autocommitting connections that prepare a statement the first time they see it."""
    return AsyncConnectionPool(
        url, min_size=size, max_size=size, open=False, kwargs={"autocommit": True, "prepare_threshold": 0}
    )


def ticket_id(asked: Asked) -> str:
    """The same for the same key, so that writing it again needs no reading."""
    return "tkt_" + hashlib.sha256(asked.key.encode()).hexdigest()[:8]


async def insert_ticket(pool: Pool, asked: Asked, topic: str, priority: str) -> str:
    """Step 4."""
    values = {"key": asked.key, "ticket": ticket_id(asked), "customer": asked.customer, "topic": topic}
    async with pool.connection() as connection:
        await connection.execute(_TICKET, {**values, "priority": priority})
    return ticket_id(asked)


async def insert_delivery(pool: Pool, asked: Asked, reply: str) -> None:
    """Step 5."""
    async with pool.connection() as connection:
        await connection.execute(_DELIVERY, {"key": asked.key, "customer": asked.customer, "reply": reply})


async def insert_interaction(pool: Pool, asked: Asked, answer: Answer) -> None:
    """Step 6."""
    async with pool.connection() as connection:
        await connection.execute(_INTERACTION, _interaction(asked, answer))


async def insert_all(pool: Pool, asked: Asked, answer: Answer, priority: str) -> Answer:
    """Steps 4 to 6 in one transaction and one round trip; the first answer if the request was here before."""
    values = {"key": asked.key, "ticket": answer.ticket, "topic": answer.intent, "priority": priority}
    async with pool.connection() as connection:
        new = await (await connection.execute(_ALL, {**values, **_interaction(asked, answer)})).fetchone()
        if new is not None:
            return answer
        stored = await (await connection.execute(_STORED, dataclasses.asdict(asked))).fetchone()
    assert stored is not None
    return Answer(**stored[0])


def _interaction(asked: Asked, answer: Answer) -> dict[str, str]:
    content = dataclasses.asdict(answer)
    return {
        **dataclasses.asdict(asked),
        "intent": answer.intent,
        "outcome": answer.outcome,
        "reply": answer.reply,
        "answer": json.dumps(content),
    }
