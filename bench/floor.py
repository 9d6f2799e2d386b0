"""What the floors share: their tables, the shape of their requests, their environment."""

import compileall
import os
from abc import ABC
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from temporalio.client import Client
from temporalio.service import GrpcCompression

from bench import rows
from bench.contestant import LOOPBACK, Contestant
from bench.steps import MODELS, Asked

DATABASE = "BENCH_DATABASE"
TEMPORAL = "BENCH_TEMPORAL"
QUEUE = "bench"
POOL = 10
"""Connections per process, as many as the product keeps."""


class ChatRequest(BaseModel, alias_generator=to_camel):
    customer_id: str
    request_id: str
    message: str

    def asked(self) -> Asked:
        return Asked("bench", self.customer_id, self.request_id, self.message)


def add_health(app: FastAPI) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}


def database() -> str:
    return os.environ[DATABASE]


async def connect(*, compression: GrpcCompression = GrpcCompression.GZIP) -> Client:
    """A client of this contestant's Temporal server, which may still be starting."""
    return await Client.connect(os.environ[TEMPORAL], grpc_compression=compression)


@dataclass
class Floor(Contestant, ABC):
    """A contestant without a product."""

    def variables(self, temporal_port: int | None = None) -> dict[str, str]:
        temporal = {} if temporal_port is None else {TEMPORAL: f"{LOOPBACK}:{temporal_port}"}
        models = str(self.place.folder.parent / "models")
        return {DATABASE: self.place.database_url, MODELS: models, **temporal}

    def prepare(self) -> None:
        """Tables, and byte code: the sandbox loads the workflow's module anew for every run, and compiles it each time
        (about two milliseconds) where nothing has written any. The product does the same."""
        compileall.compile_dir(str(Path(__file__).parent), quiet=2)
        rows.create_tables(self.place.database_url)
