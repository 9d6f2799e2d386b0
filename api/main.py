"""The HTTP process. `python -m api.main` serves; `create_app` is what anything else embeds."""

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from opentelemetry.propagate import set_global_textmap
from temporalio.client import Client

from adapters.crypto import TinkSecretBox
from adapters.ed25519 import Ed25519Keys
from adapters.failpoints import KillingFailpoints, NoFailpoints
from adapters.gateways.checkpoint_file import CheckpointFiles
from adapters.gateways.mail_folder import MailFolderReader
from adapters.gateways.outside import OutsideClient
from adapters.logs import configure_logs
from adapters.passwords import Argon2Passwords
from adapters.signing import new_key_pair
from adapters.telemetry import PrometheusMeters, TraceParent, export_spans, service
from api import denials, errors, openapi
from api.budgets import Budgets
from api.console_files import ConsoleFiles
from api.cookies import origin_of
from api.correlation import Correlation
from api.deps import IdentityGateway, Proof, Services
from api.malformed import ProblemProtocol
from api.resuming import keep_resuming
from api.routes import (
    approvals,
    audit,
    calendars,
    channels,
    chat,
    consents,
    console,
    conversations,
    customer_tokens,
    customers,
    dashboard,
    debug,
    decisions,
    deliveries,
    effects,
    erasures,
    evaluations,
    handoffs,
    health,
    holds,
    identities,
    identity_provider,
    interactions,
    keys,
    metrics,
    notifications,
    oidc,
    operators,
    proposals,
    reports,
    retention,
    session,
    webhooks,
)
from api.routes import codec as codec_endpoint
from api.routes import errors as error_codes
from api.sending import keep_sending
from api.shedding import Shedding
from api.telling import keep_telling
from api.uses import keep_noting
from domain.budget import Limits
from domain.outside import AllowList
from domain.ports import Failpoints
from schema.session import Database
from settings import Settings, customer_seals, payload_codec, temporal_config
from workflows import ids
from workflows.runtime import connect, is_tracing, start_tracing

DESCRIPTION = """Customer-engagement agents as durable workflows. Send a message, get a decided and explained answer;
repeat it with the same `requestId` and get the same answer. Every error is a problem document with a stable `code`."""


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one place of this process that may


def create_app(settings: Settings, temporal: Client | None = None) -> FastAPI:
    """The application. It starts while Postgres or Temporal are down, and says so at `/readyz`.

    `temporal` shares a client with whoever embeds the application; without one it connects by its settings.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = await make_services(settings, temporal)
        app.state.services = services
        keeping = [asyncio.create_task(keep_telling(services)), asyncio.create_task(keep_sending(services))]
        keeping.append(asyncio.create_task(keep_resuming(services)))
        keeping.append(asyncio.create_task(keep_noting(services.uses, services.db)))
        try:
            yield
        finally:
            for task in keeping:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            if services.identity is not None:
                await services.identity.close()
            await services.db.close()

    meters = PrometheusMeters()
    app = FastAPI(
        title="Holdfast",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        # A redirect would be built from the Host header, and a body sent twice.
        redirect_slashes=False,
        # The contract is public, its pages are for whoever develops: their scripts come from a public network.
        docs_url="/docs" if settings.environment == "development" else None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        # Never its logs: they quote exceptions, and those may quote a customer.
        telemetry={
            "meter_provider": meters.provider,
            "tracing": is_tracing(),
            "operation_spans": False,
            "logs": False,
            "auto_configure": False,
        },
    )
    app.state.meters = meters
    app.state.max_body_bytes = settings.max_body_bytes
    app.state.denials = denials.Denials()
    app.state.console = ConsoleFiles(settings.console_folder)
    errors.install(app, denials.put_on_record)
    for noun in (
        chat,
        proposals,
        evaluations,
        decisions,
        interactions,
        conversations,
        customers,
        customer_tokens,
        channels,
        effects,
        consents,
        erasures,
        retention,
        holds,
        handoffs,
        approvals,
        calendars,
        deliveries,
        reports,
        webhooks,
        notifications,
        keys,
        operators,
        session,
        oidc,
        identity_provider,
        identities,
        audit,
        codec_endpoint,
        error_codes,
        health,
        metrics,
        dashboard,
        console,
        *((debug,) if settings.local else ()),
    ):
        app.include_router(noun.router)
    openapi.install(app)
    app.add_middleware(Budgets)
    key = settings.id_key.get_secret_value().encode()
    app.add_middleware(Shedding, most=settings.max_requests, shed=meters.shed)
    app.add_middleware(Correlation, logged=lambda name: ids.opaque(name, key))
    return app


def trace_calls(settings: Settings) -> None:
    """Sends this process's spans where the settings say, if they say so. Safe to repeat."""
    if settings.otel_endpoint and not is_tracing():
        set_global_textmap(TraceParent())
        start_tracing(service("holdfast-api"), export_spans(settings.otel_endpoint))


async def make_services(settings: Settings, temporal: Client | None) -> Services:
    failpoints: Failpoints = (
        KillingFailpoints(Path(settings.failpoint)) if settings.failpoints_enabled else NoFailpoints()
    )
    key = settings.audit_signing_key.get_secret_value()
    codec = payload_codec(settings)
    return Services(
        db=Database(settings.database_url, pool_size=settings.database_pool_size, seals=customer_seals(settings)),
        temporal=temporal or await connect(temporal_config(settings), codec=codec, lazy=True),
        task_queue=settings.task_queue,
        id_key=settings.id_key.get_secret_value().encode(),
        local=settings.local,
        temporal_ui_url=settings.temporal_ui_url.rstrip("/"),
        chat_wait=settings.chat_wait,
        export_stall=settings.export_stall,
        limits=Limits(settings.rate_limit, settings.rate_limit_key_percent, settings.rate_limit_window),
        now=now,
        failpoints=failpoints,
        passwords=Argon2Passwords(),
        identity=_identity(settings),
        public_url=settings.reached_at,
        landing=settings.console_url or f"{settings.reached_at}/metrics/dashboard",
        console_origins=origin_of(settings.console_url),
        proxies=settings.proxies,
        new_key_pair=new_key_pair,
        secret_box=TinkSecretBox(keyset) if (keyset := settings.encryption_keyset.get_secret_value()) else None,
        outbound_allow=AllowList(settings.outbound_allowed),
        audit_proof=Proof(CheckpointFiles(settings.audit_folder), Ed25519Keys(key)) if key else None,
        payloads=codec,
        mail_sink=MailFolderReader(settings.data_dir / "mail") if settings.local else None,
    )


def _identity(settings: Settings) -> IdentityGateway | None:
    if importlib.util.find_spec("joserfc") is None:  # the extra `oidc`
        return None
    from adapters.gateways.identity import OidcGateway

    allowed = AllowList(settings.outbound_allowed)
    # Somebody sits and waits: a provider that takes longer is as good as down.
    client = OutsideClient(allowed, timeout=5.0, longest=8.0, most_bytes=262_144)
    return OidcGateway(client, now, allowed)


def server(settings: Settings) -> uvicorn.Server:
    """A uvicorn server for these settings, not yet serving."""
    trace_calls(settings)
    config = uvicorn.Config(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        http=ProblemProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        # Who a caller is comes from the connection and the key, never from a header anybody can write.
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.graceful_stop.total_seconds()),
    )
    return uvicorn.Server(config)


if __name__ == "__main__":
    loaded = Settings.load()
    configure_logs(loaded.log_format, loaded.log_level)
    server(loaded).run()
