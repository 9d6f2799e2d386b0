"""Plugs adapters into activities and polls Temporal. `python worker.py` runs one worker; run as many as you like."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvloop
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.audit import AuditActivities
from activities.carriers import Carriers
from activities.clocks import ClockActivities
from activities.decisions import DecisionActivities
from activities.deliveries import DeliveryActivities
from activities.erasures import ErasureActivities
from activities.handoffs import HandoffActivities
from activities.judging import Judging
from activities.proofs import ProofActivities
from activities.replies import ReplyActivities
from activities.retention import RetentionActivities
from activities.rollups import RollupActivities
from activities.tools import ToolActivities
from adapters.crypto import TinkSecretBox
from adapters.ed25519 import Ed25519Keys
from adapters.failpoints import KillingFailpoints, NoFailpoints
from adapters.gateways.chat_webhook import HttpChatGateway
from adapters.gateways.checkpoint_file import CheckpointFiles
from adapters.gateways.no_mail import NoMailGateway
from adapters.gateways.outside import OutsideClient
from adapters.gateways.smtp import SmtpMailGateway
from adapters.gateways.tombstone_file import TombstoneFiles
from adapters.gateways.webhook import HttpWebhookGateway
from adapters.llm.embedded import EmbeddedIntentModel
from adapters.logs import configure_logs
from adapters.telemetry import export_spans, service
from domain.agents.agent import AgentSpec
from domain.agents.support import SUPPORT
from domain.checkpoint import CheckpointSigner
from domain.errors import HoldfastError
from domain.outside import AllowList
from domain.policies import PolicyBook
from domain.ports import (
    ChatGateway,
    Failpoints,
    IntentModel,
    MailGateway,
    SecretBox,
    WebhookGateway,
)
from domain.tools import TOOLS
from domain.tools.tool import AnyTool
from domain.understanding.intents import EXAMPLES
from schema.heartbeats import Heartbeats
from schema.session import Database
from settings import Settings, customer_seals, payload_codec, temporal_config
from workflows.releases import deployment, releases
from workflows.runtime import (
    WORKFLOWS,
    connect,
    ensure_search_attributes,
    flush_traces,
    is_tracing,
    metrics_runtime,
    precompile,
    start_tracing,
)
from workflows.schedules import ensure_schedules

RETRY_S = 1.0
BEAT_S = 2.0
"""How often a worker says that it lives: `api.readiness` misses one that is silent for twice as long."""


def now() -> datetime:
    """The wall clock, given to activities: rules never read it."""
    return datetime.now(UTC)  # noqa: TID251 - the one place that may


def failpoints(settings: Settings) -> Failpoints:
    return KillingFailpoints(Path(settings.failpoint)) if settings.failpoints_enabled else NoFailpoints()


def mail(settings: Settings) -> MailGateway:
    if not settings.smtp_host:
        return NoMailGateway()
    return SmtpMailGateway(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_sender,
        username=settings.smtp_username or None,
        password=settings.smtp_password.get_secret_value() or None,
        tls=settings.smtp_tls,
    )


@dataclass(frozen=True)
class Parts:
    """What activities are given. `Parts.of(settings)` is the product; a test replaces what it must."""

    intents: IntentModel
    mail: MailGateway
    failpoints: Failpoints
    webhooks: WebhookGateway
    chat: ChatGateway
    secrets: SecretBox | None = None
    signer: CheckpointSigner | None = None
    tools: Mapping[str, AnyTool] = field(default_factory=lambda: TOOLS)
    book: PolicyBook = field(default_factory=PolicyBook.shipped)
    agent: AgentSpec = SUPPORT
    extra: Mapping[str, object] = field(default_factory=dict)
    now: Callable[[], datetime] = now

    @classmethod
    def of(cls, settings: Settings, *, intents: IntentModel | None = None, **replaced: Any) -> "Parts":
        outside = OutsideClient(AllowList(settings.outbound_allowed))
        keyset = settings.encryption_keyset.get_secret_value()
        audit_key = settings.audit_signing_key.get_secret_value()
        own: dict[str, Any] = {
            "intents": intents or EmbeddedIntentModel(EXAMPLES, settings.data_dir / "models"),
            "mail": mail(settings),
            "failpoints": failpoints(settings),
            "webhooks": HttpWebhookGateway(outside, now),
            "chat": HttpChatGateway(outside, now),
            "secrets": TinkSecretBox(keyset) if keyset else None,
            "signer": Ed25519Keys(audit_key) if audit_key else None,
        }
        return cls(**{**own, **replaced})


def build_worker(
    settings: Settings, client: Client, db: Database, parts: Parts, *, workflows: tuple[type, ...] = WORKFLOWS
) -> Worker:
    """A worker with every activity plugged in. The client carries converter and sandbox."""
    tools, now_, points = parts.tools, parts.now, parts.failpoints
    id_key = settings.id_key.get_secret_value().encode()
    judging = Judging(intents=parts.intents, book=parts.book, agent=parts.agent, tools=tools, now=now_)
    decisions = DecisionActivities(db, judging=judging, now=now_)
    calls = ToolActivities(db, tools=tools, mail=parts.mail, extra=parts.extra, now=now_, failpoints=points)
    replies = ReplyActivities(db, tools=tools, now=now_, failpoints=points)
    handoffs = HandoffActivities(db, tools=tools, now=now_)
    clocks = ClockActivities(db, failpoints=points)
    carriers = Carriers(tools, parts.mail, parts.webhooks, parts.chat, parts.secrets, parts.extra, now_, id_key)
    proofs = ProofActivities(db, judging=judging, tools=tools, id_key=id_key, now=now_)
    rollups = RollupActivities(db, now=now_)
    deliveries = DeliveryActivities(db, carriers=carriers, now=now_, failpoints=points)
    kept = CheckpointFiles(settings.audit_folder)
    audit = AuditActivities(db, now=now_, failpoints=points, signer=parts.signer, checkpoints=kept)
    erasures = eraser(settings, db, parts)
    retention = RetentionActivities(db, now=now_, failpoints=points)
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=list(workflows),
        activities=[
            decisions.judge,
            decisions.admit,
            decisions.correct,
            calls.call,
            calls.give_up,
            replies.commit,
            replies.fail,
            handoffs.open,
            proofs.ask,
            proofs.look,
            clocks.keep_time,
            deliveries.send,
            deliveries.give_up,
            rollups.roll,
            audit.seal,
            erasures.erase,
            erasures.finish,
            retention.end,
        ],
        max_cached_workflows=settings.worker_cached_workflows,
        max_concurrent_activities=settings.worker_activities,
        # After a kill -9 the next message would wait ten seconds for the dead worker's sticky queue.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
        graceful_shutdown_timeout=settings.graceful_stop,
        deployment_config=deployment(settings.deployment_name, settings.build_id),
    )


def eraser(settings: Settings, db: Database, parts: Parts) -> ErasureActivities:
    """What forgets customers."""
    return ErasureActivities(
        db,
        tombstones=TombstoneFiles(settings.tombstone_folder),
        id_key=settings.id_key.get_secret_value().encode(),
        now=parts.now,
        failpoints=parts.failpoints,
    )


def trace_steps(settings: Settings) -> None:
    """Sends this process's spans where the settings say, if they say so. Safe to repeat."""
    if settings.otel_endpoint and not is_tracing():
        start_tracing(service("holdfast-worker"), export_spans(settings.otel_endpoint))


async def run_worker(settings: Settings, *, client: Client | None = None, stop: asyncio.Event) -> None:
    """Works until `stop` is set, then lets what is running finish. Waits for Temporal to be there."""
    trace_steps(settings)
    db = Database(settings.database_url, pool_size=settings.database_pool_size, seals=customer_seals(settings))
    try:
        client = client or await connected(settings, stop)
        if client is None:
            return
        parts = Parts.of(settings)
        precompile()
        # Learning takes seconds, the first time: inside a workflow task it would hold everything else up.
        if isinstance(parts.intents, EmbeddedIntentModel):
            await asyncio.to_thread(parts.intents.warm)
        await forget_again(eraser(settings, db, parts), stop)
        async with build_worker(settings, client, db, parts), signs_of_life(db, settings.task_queue):
            await _say_which_release(settings, client)
            await stop.wait()
    finally:
        await db.close()
        await asyncio.to_thread(flush_traces)


async def _say_which_release(settings: Settings, client: Client) -> None:
    if settings.deployment_name and not any(
        known.gets_new_work for known in await releases(client, settings.deployment_name)
    ):
        logging.getLogger(__name__).warning("no release gets new work: nothing new runs until one is promoted")


@contextlib.asynccontextmanager
async def signs_of_life(db: Database, task_queue: str) -> AsyncIterator[None]:
    """Says every `BEAT_S` that this process works for the queue, and at the end that it takes no more. A Postgres that
    is away or hangs ends nothing: the next sign is tried when the last has failed."""
    heartbeats, worker_id = Heartbeats(db, task_queue), secrets.token_hex(8)
    beating = asyncio.create_task(_keep_beating(heartbeats, worker_id))
    try:
        yield
    finally:
        leaving = asyncio.create_task(_leave(heartbeats, worker_id, beating))
        await asyncio.wait({leaving}, timeout=BEAT_S)  # a Postgres that hangs is not waited for


async def _keep_beating(heartbeats: Heartbeats, worker_id: str) -> None:
    while True:
        try:
            await heartbeats.beat(worker_id)
        except HoldfastError as error:
            logging.getLogger(__name__).info("no sign of life now", extra={"reason": error.code})
        except Exception as error:  # whatever went wrong once: a worker that works must not be taken for dead
            logging.getLogger(__name__).error("a sign of life failed", extra={"reason": type(error).__name__})
        await asyncio.sleep(BEAT_S)


async def _leave(heartbeats: Heartbeats, worker_id: str, beating: asyncio.Task[None]) -> None:
    beating.cancel()
    await asyncio.wait({beating})  # a last beat must not come after the farewell
    with contextlib.suppress(HoldfastError):
        await heartbeats.stop(worker_id)


async def forget_again(erasures: ErasureActivities, stop: asyncio.Event) -> None:
    """Nobody works on a database that was restored from before an erasure until that is done again."""
    while not stop.is_set():
        try:
            if again := await erasures.reapply():
                logging.getLogger(__name__).warning("erased customers were there again", extra={"erased": again})
            return
        except HoldfastError as error:
            logging.getLogger(__name__).warning("erasures cannot be looked at yet", extra={"code": error.code})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RETRY_S)


async def connected(settings: Settings, stop: asyncio.Event) -> Client | None:
    """A client of a Temporal that is prepared for us, however long it takes to come up, also if it goes away again
    meanwhile; None when asked to stop first."""
    address = f"{settings.metrics_host}:{settings.metrics_port}"
    codec = payload_codec(settings)
    runtime = metrics_runtime(address) if settings.metrics_port else None
    while not stop.is_set():
        try:
            client = await connect(temporal_config(settings), codec=codec, runtime=runtime)
            await ensure_search_attributes(client)
            await ensure_schedules(client, settings.task_queue)
            return client
        except (RuntimeError, RPCError) as error:
            reason = error.status.name if isinstance(error, RPCError) else "no connection"
            logging.getLogger(__name__).warning("Temporal is not there yet", extra={"reason": reason})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RETRY_S)
    return None


async def main() -> None:
    settings = Settings.load()
    configure_logs(settings.log_format, settings.log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    await run_worker(settings, stop=stop)


if __name__ == "__main__":
    # Many short waits for Postgres: this loop spends a third less on each.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    logging.shutdown()
    sys.stdout.flush()
    # A Rust thread may meet the interpreter's finalisation and abort; everything is closed, so leave at once.
    os._exit(0)
