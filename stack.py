"""The one-machine stack: Postgres, Temporal, a mail sink, worker and API, started, watched and stopped together.

`DATABASE_URL`, `TEMPORAL_ADDRESS` (or a Temporal profile) and `HOLDFAST_SMTP_HOST` replace the embedded parts; the
rest is the code production runs. What a killed launcher leaves behind is found and stopped by the next one.
"""

import asyncio
import contextlib
import os
import secrets
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvicorn
from rich.console import Console

import settings as outside
from adapters.crypto import new_keyset
from adapters.ed25519 import new_seed
from adapters.embedded import processes, temporal
from adapters.embedded.processes import CannotStart, Children
from adapters.passwords import Argon2Passwords
from adapters.payload_codec import new_payload_key
from api.auth import Scope, key_hash
from api.keys import check_name, hint, new_secret
from domain.errors import Conflict, HoldfastError, RequestInvalid
from domain.signing_in import new_password
from domain.values import HandoffId, OrganisationId
from schema import demo, migrate
from schema.api_keys import ApiKeyRepository
from schema.audit import AuditEvent, AuditRepository
from schema.operators import OperatorRepository
from schema.organisations import OrganisationRepository
from schema.session import Database
from settings import Settings, customer_seals

if TYPE_CHECKING:
    from adapters.embedded.postgres import Postgres
    from adapters.embedded.tour import Backstage

LOOPBACK = "127.0.0.1"
READY_WITHIN_S = 60.0
HERE = Path(__file__).resolve().parent


class StopRequested(Exception):
    """Ctrl-C while still starting."""


@dataclass(frozen=True)
class Options:
    """What the command line decides. `None` leaves it to the environment, then to the default."""

    data_dir: Path
    api_port: int | None = None
    temporal_port: int = 7233
    ui_port: int = 8233
    smtp_port: int = 1025
    separate: bool = False
    headless: bool = False


@dataclass
class Stack:
    """One running stack: what its parts share."""

    options: Options
    console: Console
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    children: Children = field(init=False)
    embedded: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    """Settings the stack supplies for what the environment does not say."""
    first_admin: tuple[str, str] | None = None
    """Login and password of the admin this start made, to be shown once."""

    def __post_init__(self) -> None:
        self.children = Children(self.folder, HERE)

    @property
    def folder(self) -> Path:
        return self.options.data_dir

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Prints one line with the time the step took; what is put in the yielded list stands beside the name."""
        if self.stop.is_set():
            raise StopRequested
        begun, note = time.monotonic(), list[str]()
        try:
            yield note
        except Exception as error:
            if not isinstance(error, StopRequested):
                self.console.print(f"[red]✗[/] {name}")
            raise
        took = time.monotonic() - begun
        self.console.print(
            f"[green]✓[/] {name:<12} {' '.join(note)} [dim]({took:.1f} s)[/]", highlight=False, soft_wrap=True
        )


Serve = Callable[[Stack, Settings], Awaitable[None]]
"""Runs worker and API until `stack.stop` is set, then lets both finish what they began."""


async def up(stack: Stack, serve: Serve | None = None) -> None:
    """Starts everything, runs until `stack.stop` is set, stops everything in the opposite order."""
    begun = time.monotonic()
    async with contextlib.AsyncExitStack() as closing:
        closing.enter_context(processes.exclusive(stack.folder))
        if left := await asyncio.to_thread(processes.stop_orphans, stack.folder):
            stack.console.print(f"[yellow]![/] stopped {left} process(es) that a killed stack had left behind")
        chosen = {"api_port": stack.options.api_port} if stack.options.api_port else {}
        stack.values = _local_values(stack.folder)
        need_ports(stack.options, Settings.load({**stack.values, "database_url": "-"}, chosen))
        # Temporal takes the longest: it starts while Postgres does.
        await launch_temporal(stack, closing)
        await _start_postgres(stack, closing)
        await temporal_ready(stack)
        await _start_mail(stack, closing)
        settings = Settings.load(stack.values, chosen)
        await _seed(stack, settings)
        await _learn(stack, settings)
        stack.children.urls["api"] = f"http://{settings.api_host}:{settings.api_port}"
        _publish(stack, settings)
        serve = serve or (serve_apart if stack.options.separate else serve_together)
        serving = asyncio.ensure_future(serve(stack, settings))
        await _until_stopped(stack, serving, begun)


def _local_values(folder: Path) -> dict[str, Any]:
    key = folder / "id.key"
    if not key.exists():
        processes.write_private(key, secrets.token_hex(32))
    keyset = folder / "encryption.keyset"
    if not keyset.exists():
        processes.write_private(keyset, new_keyset())
    signing = folder / "audit.key"
    if not signing.exists():
        processes.write_private(signing, new_seed())
    payloads = folder / "payload.key"
    if not payloads.exists():
        if (folder / "temporal.db").exists():  # what runs there was recorded before there were keys
            (folder / "payload.plaintext").touch()
        processes.write_private(payloads, new_payload_key())
    # Warnings only: what matters on a terminal is the stack's own lines.
    return {
        "environment": "development",
        "local": True,
        "log_level": "warning",
        "data_dir": folder,
        "id_key": key.read_text().strip(),
        "encryption_keyset": keyset.read_text().strip(),
        "audit_signing_key": signing.read_text().strip(),
        "payload_keys": payloads.read_text().strip(),
        "payload_plaintext": (folder / "payload.plaintext").exists(),
        # Whoever tries webhooks out listens on this very machine.
        "outbound_allow": "localhost,127.0.0.1,[::1]",
    }


def need_ports(options: Options, settings: Settings) -> None:
    """Raises `CannotStart` for the first port we would listen on that is taken."""
    processes.need_port(settings.api_host, settings.api_port, "the API", "--api-port")
    if not outside.temporal_given():
        processes.need_port(LOOPBACK, options.temporal_port, "Temporal", "--temporal-port")
        if not options.headless:
            processes.need_port(LOOPBACK, options.ui_port, "Temporal's Web UI", "--ui-port")
    if not settings.smtp_host:
        processes.need_port(LOOPBACK, options.smtp_port, "the mail sink", "--smtp-port")


async def launch_temporal(stack: Stack, closing: contextlib.AsyncExitStack) -> None:
    """Starts the embedded server, unless the environment names another; `closing` ends it."""
    if outside.temporal_given():
        return
    if not temporal.PROGRAM.exists():
        raise CannotStart("the Temporal server is not installed; run `make up`, or set TEMPORAL_ADDRESS")
    options = stack.options
    ui = ("--headless",) if options.headless else ("--ui-port", str(options.ui_port), *_ui_flags(stack))
    command = temporal.command(stack.folder / "temporal.db", options.temporal_port, *ui)
    closing.push_async_callback(stack.children.end, "temporal")
    await stack.children.launch("temporal", command, outside.child_environment(temporal.ENVIRONMENT))
    stack.values["temporal_address"] = stack.children.urls["temporal"] = f"{LOOPBACK}:{options.temporal_port}"
    stack.embedded.append("Temporal")
    if not options.headless:
        stack.values["temporal_ui_url"] = stack.children.urls["temporal ui"] = f"http://{LOOPBACK}:{options.ui_port}"


def _ui_flags(stack: Stack) -> tuple[str, ...]:
    """What is sealed is shown through our API, which opens it for this machine's demo organisation."""
    port = stack.options.api_port or Settings.load({**stack.values, "database_url": "-"}).api_port
    return "--ui-disable-news-fetch", "--ui-codec-endpoint", f"http://{LOOPBACK}:{port}/codec"


async def temporal_ready(stack: Stack) -> None:
    """Until the server we started answers. If it dies (a stranger was quicker to the port) we do not go on."""
    from temporalio.client import Client

    target = stack.values.get("temporal_address")
    with stack.step("Temporal") as note:
        if target is None:
            note.append("given by the environment")
            return
        deadline = time.monotonic() + READY_WITHIN_S
        while stack.children.alive("temporal") and time.monotonic() < deadline and not stack.stop.is_set():
            # A stranger on the port may accept and then say nothing: look again whether our server still lives.
            with contextlib.suppress(RuntimeError, TimeoutError):
                async with asyncio.timeout(2):
                    await Client.connect(target)
                note.append(f"embedded, {target}")
                return
            await asyncio.sleep(0.02)
        if stack.stop.is_set():
            raise StopRequested
        raise CannotStart(f"Temporal did not start; the end of its log:\n{stack.children.last_words('temporal')}")


async def _start_postgres(stack: Stack, closing: contextlib.AsyncExitStack) -> None:
    with stack.step("Postgres") as note:
        if outside.given("database_url"):
            note.append("given by the environment")
        else:
            postgres = _postgres(stack.folder)
            closing.callback(postgres.stop)
            stack.values["database_url"] = await asyncio.to_thread(postgres.start)
            stack.embedded.append("Postgres")
            note.append("embedded")
    with stack.step("Migrations") as note:
        await asyncio.to_thread(migrate.upgrade, Settings.load(stack.values).owner_database_url)
        note.append(f"at {migrate.head_revision()}")


async def _start_mail(stack: Stack, closing: contextlib.AsyncExitStack) -> None:
    from adapters.embedded.mail import mail_sink  # from the extra `embedded`

    with stack.step("Mail") as note:
        if outside.given("smtp_host"):
            note.append("given by the environment")
            return
        port = stack.options.smtp_port
        try:
            await closing.enter_async_context(mail_sink(stack.folder / "mail", port, LOOPBACK))
        except OSError:  # somebody was faster than we are
            raise processes.port_taken(port, "the mail sink", "--smtp-port") from None
        stack.values |= {"smtp_host": LOOPBACK, "smtp_port": port, "smtp_sender": "support@example.com"}
        stack.embedded.append("mail sink")
        note.append(f"kept in {stack.folder / 'mail'}")


async def _seed(stack: Stack, settings: Settings) -> None:
    with stack.step("Demo data") as note:
        db = Database(settings.database_url, pool_size=1, seals=customer_seals(settings))
        try:
            new = await demo.seed(db, datetime.now(UTC))  # noqa: TID251 - an entry point
            note.append(f"{new} new customers" if new else "already there")
            # Where nobody would read the password, nobody gets one: a later start makes the admin.
            if not stack.console.quiet:
                stack.first_admin = await first_operator(db, demo.DEMO)
        finally:
            await db.close()


FIRST_LOGIN = "admin"


async def first_operator(db: Database, organisation: OrganisationId) -> tuple[str, str] | None:
    """Login and password of an admin made now; None if the organisation has an operator already. Each password is a
    new random one: none works on two machines."""
    password, now = new_password(), datetime.now(UTC)  # noqa: TID251 - an entry point
    hashed = await asyncio.to_thread(Argon2Passwords().hash, password)
    async with db.transaction(organisation) as session:
        operators = OperatorRepository(session)
        if await operators.is_there_any():
            return None
        added = await operators.add(FIRST_LOGIN, hashed, {Scope.ADMIN}, "system", now)
        event = AuditEvent(now, "system", "operator.added", added.id, {"scopes": list(added.scopes)})
        await AuditRepository(session).append(event)
    return FIRST_LOGIN, password


async def _learn(stack: Stack, settings: Settings) -> None:
    """The intent model is learnt from its examples once, and loaded ever after."""
    from adapters.llm.embedded import EmbeddedIntentModel
    from domain.understanding.intents import EXAMPLES  # only `up` should wait for these

    with stack.step("Intent model") as note:
        model = EmbeddedIntentModel(EXAMPLES, settings.data_dir / "models")
        await asyncio.to_thread(model.warm)
        note.append(f"embedded, {sum(map(len, EXAMPLES.values()))} examples, no key needed")
    stack.embedded.append("intent model")


def _publish(stack: Stack, settings: Settings) -> None:
    """Writes down the URLs, and what a further `python worker.py` needs in its environment to join."""
    stack.children.record()
    chosen = {**stack.values, "api_port": settings.api_port}
    variables = sorted(outside.as_variables(chosen).items())
    processes.write_private(stack.folder / "stack.env", "".join(f"export {n}={shlex.quote(v)}\n" for n, v in variables))


class _Server(uvicorn.Server):
    """uvicorn, leaving the signals to the launcher."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_together(stack: Stack, settings: Settings) -> None:
    """Worker and API in this process."""
    from adapters.logs import configure_logs
    from api.main import server  # the worker brings the intent model's libraries: only `up` should wait for them
    from worker import run_worker

    configure_logs(settings.log_format, settings.log_level)
    api, drain = _Server(server(settings).config), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        worker = group.create_task(run_worker(settings, stop=drain))
        serving = group.create_task(api.serve())
        stopping = group.create_task(stack.stop.wait())
        await asyncio.wait((stopping, worker, serving), return_when=asyncio.FIRST_COMPLETED)
        stack.stop.set()
        # The API first: what it still waits for needs the worker.
        api.should_exit = True
        await serving
        drain.set()


async def serve_apart(stack: Stack, settings: Settings) -> None:
    """Worker and API as processes of their own, as in production."""
    variables = outside.as_variables({**stack.values, "api_port": settings.api_port})
    environment = outside.child_environment(variables)
    await stack.children.launch("worker", (sys.executable, "worker.py"), environment)
    await stack.children.launch("api", (sys.executable, "-m", "api.main"), environment)
    await stack.stop.wait()
    grace = settings.graceful_stop.total_seconds() + processes.STOP_WITHIN_S
    await stack.children.end("api", grace)
    await stack.children.end("worker", grace)


async def _until_stopped(stack: Stack, serving: asyncio.Future[None], begun: float) -> None:
    """Announces readiness, then waits for a stop, for the end of `serving` or for the death of a child."""
    death, stop = asyncio.create_task(stack.children.deaths.get()), asyncio.create_task(stack.stop.wait())
    ready = asyncio.create_task(_ready(stack, begun))
    try:
        await asyncio.wait((serving, death, stop, ready), return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            await asyncio.wait((serving, death, stop), return_when=asyncio.FIRST_COMPLETED)
        if death.done():
            role = death.result()
            raise CannotStart(f"{role} ended by itself; the end of its log:\n{stack.children.last_words(role)}")
    finally:
        by_itself = serving.done() and not stop.done()
        stack.stop.set()
        for task in (ready, death, stop):
            task.cancel()
        stack.console.print("Stopping: requests in flight, then the worker, then Temporal and Postgres.")
        await serving
    if by_itself:
        raise CannotStart("worker or API ended by itself")


async def _ready(stack: Stack, begun: float) -> None:
    """Until the API says that everything it needs is there; then says so to the person who started this."""
    import httpx2  # from the extra `embedded`

    with stack.step("API, worker"):
        deadline, missing = time.monotonic() + READY_WITHIN_S, "the API itself"
        async with httpx2.AsyncClient(base_url=stack.children.urls["api"]) as http:
            while time.monotonic() < deadline:
                with contextlib.suppress(httpx2.TransportError):
                    answer = await http.get("/readyz")
                    if answer.status_code == 200:
                        break
                    missing = ", ".join(answer.json().get("missing", ()))
                await asyncio.sleep(0.02)
            else:
                raise CannotStart(f"not ready after {READY_WITHIN_S:.0f} s; missing: {missing}")
    stack.console.print(welcome(stack, time.monotonic() - begun), highlight=False, markup=False, soft_wrap=True)


def welcome(stack: Stack, took_s: float) -> str:
    """What is running where, and the first thing to try."""
    api = stack.children.urls["api"]
    where = {
        "Console": f"{api}/console (from this machine one click signs in)",
        "API": f"{api} (documentation: {api}/docs)",
        "Dashboard": f"{api}/metrics/dashboard",
        "Temporal UI": stack.children.urls.get("temporal ui", "not started here"),
    }
    where |= {"Mail": str(stack.folder / "mail") if "mail sink" in stack.embedded else "goes to your SMTP server"}
    where |= {"Embedded": ", ".join(stack.embedded) or "nothing", "State": f"{stack.folder} (`make reset` deletes it)"}
    body = '{"customerId": "cust_123", "message": "refund please"}'
    return "\n".join(
        (
            f"\nHoldfast is up in {took_s:.1f} s.",
            *(f"  {name:<12} {value}" for name, value in where.items()),
            *(_to_sign_in(*stack.first_admin) if stack.first_admin else ()),
            "  From this machine no key is needed: calls act as the demo organisation's administrator.",
            "\nTry it (more: `make demo`):",
            f"  curl -s {api}/chat -H 'Content-Type: application/json' -d '{body}'",
            "\nCtrl-C stops everything.",
        )
    )


def _to_sign_in(login: str, password: str) -> tuple[str, ...]:
    return (
        f"  {'Sign in':<12} organisation {demo.DEMO}, login {login}, password {password}",
        f"  {'':<12} (shown this once; POST /session, or the console)",
    )


def run(stack: Stack, work: Awaitable[None] | None = None) -> int:
    """Runs the stack until a signal; the exit code. The second signal does not wait for anybody."""
    try:
        asyncio.run(_with_signals(stack, work or up(stack)))
    except StopRequested:
        return 130
    except HoldfastError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    stack.console.print("Stopped; the state is kept.")
    return 0


async def _with_signals(stack: Stack, work: Awaitable[None]) -> None:
    def stop() -> None:
        if stack.stop.is_set():
            os._exit(130)
        stack.stop.set()

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, stop)
    await work


def _end(code: int) -> None:
    """Ends here and now: on the way out of the interpreter a thread of the Temporal client sometimes aborts it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


cli = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
DataDir = Annotated[Path | None, typer.Option(help="Where the state is kept. Default: HOLDFAST_DATA_DIR, else .data.")]


def _folder(chosen: Path | None) -> Path:
    local = {"database_url": "-", "id_key": "-" * 32, "environment": "development"}
    return (chosen or Settings.load(local).data_dir).expanduser().resolve()


@cli.command("up")
def up_command(
    *,
    api_port: Annotated[int | None, typer.Option(help="Port of the API [default: HOLDFAST_API_PORT, 8000].")] = None,
    temporal_port: Annotated[int, typer.Option(help="Port of Temporal.")] = 7233,
    ui_port: Annotated[int, typer.Option(help="Port of Temporal's Web UI.")] = 8233,
    smtp_port: Annotated[int, typer.Option(help="Port of the mail sink.")] = 1025,
    data_dir: DataDir = None,
    separate: Annotated[bool, typer.Option("--separate", help="Worker and API as processes of their own.")] = False,
    headless: Annotated[bool, typer.Option("--headless", help="Without Temporal's Web UI.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Start everything; Ctrl-C stops it."""
    options = Options(_folder(data_dir), api_port, temporal_port, ui_port, smtp_port, separate, headless)
    _end(run(Stack(options, Console(quiet=quiet))))


@cli.command()
def reset(data_dir: DataDir = None) -> None:
    """Delete the state: database, workflows, mail. What a killed stack left running is stopped first."""
    folder = _folder(data_dir)
    if not folder.exists():
        print(f"nothing to delete: {folder} does not exist")
        return
    with _told(), processes.exclusive(folder):
        if not (folder / "id.key").exists() and set(os.listdir(folder)) - {"lock"}:
            raise CannotStart(f"{folder} was not made by this stack; delete it yourself if you are sure")
        processes.stop_orphans(folder)
        if (folder / "postgres" / "PG_VERSION").exists():
            _postgres(folder).stop()
        shutil.rmtree(folder)
    print(f"deleted {folder}")


@cli.command("demo")
def demo_command(data_dir: DataDir = None) -> None:
    """Tell a running stack the stories of the documentation, and show what it decided and why."""
    from adapters.embedded.tour import tour  # from the extra `embedded`

    folder = _folder(data_dir)
    with _told():
        if not processes.running(folder):
            raise CannotStart("no stack is running; start one with `make up` in another terminal")
        urls = processes.recorded(folder)["urls"]
        ours = (folder / "postgres").is_dir() and "temporal" in urls
        for line in tour(urls["api"], _backstage(folder, urls["temporal"]) if ours else None):
            print(line)


def _backstage(folder: Path, server: str) -> "Backstage":
    """What the tour does behind the product's back: only to servers this machine runs for itself."""
    import psycopg

    from adapters.embedded.tour import Backstage
    from workflows import ids
    from workflows.by_hand import seal_now, skip_time
    from workflows.runtime import connect

    async def skip(handoff: str, by: timedelta) -> None:
        await skip_time(await connect({"target_host": server}), ids.handoff(demo.DEMO, HandoffId(handoff)), by)

    async def seal() -> None:
        codec = outside.payload_codec(Settings.load(_local_values(folder) | {"database_url": "-"}))
        await seal_now(await connect({"target_host": server}, codec=codec), Settings.model_fields["task_queue"].default)

    @contextlib.contextmanager
    def forged(place: int) -> Iterator[None]:
        event = "id = (SELECT event_id FROM audit_seals WHERE organisation = %(org)s AND sequence = %(place)s)"
        which = {"org": demo.DEMO, "place": place}
        with psycopg.connect(_postgres(folder).start(), autocommit=True) as owner:
            (actor,) = owner.execute(f"SELECT actor FROM audit_events WHERE {event}", which).fetchone() or ("",)
            owner.execute(f"UPDATE audit_events SET actor = 'nobody' WHERE {event}", which)
            try:
                yield
            finally:
                owner.execute(f"UPDATE audit_events SET actor = %(actor)s WHERE {event}", {**which, "actor": actor})

    return Backstage(lambda handoff, by: asyncio.run(skip(handoff, by)), lambda: asyncio.run(seal()), forged)


@cli.command()
def status(data_dir: DataDir = None) -> None:
    """What runs on this state folder. Exit code 1 if no stack does."""
    folder = _folder(data_dir)
    running = processes.running(folder)
    for name, url in processes.recorded(folder).get("urls", {}).items() if running else ():
        print(f"{name:<12} {url}")
    print(f"running (pid {running})" if running else f"no stack runs on {folder}")
    raise typer.Exit(0 if running else 1)


@cli.command("new-key")
def new_key(
    *,
    organisation: Annotated[str, typer.Option(help="Whose key it is.")] = "demo",
    scopes: Annotated[str, typer.Option(help="Comma-separated: ingest, operator, builder, auditor, admin.")],
    name: Annotated[str, typer.Option(help="What the key is for; shown in the audit trail.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Issue an API key. It is shown once; only its hash is stored."""
    with _told(), contextlib.ExitStack() as closing:
        database = _database_url(_folder(data_dir), closing)
        print(asyncio.run(issue_key(database, OrganisationId(organisation), scopes.split(","), name)))


async def issue_key(database: str, organisation: OrganisationId, scopes: list[str], name: str) -> str:
    """A new key of an organisation, which is made if it does not exist yet."""
    unknown = {scope.strip() for scope in scopes} - {scope.value for scope in Scope}
    if unknown:
        raise CannotStart(f"no such scope: {', '.join(sorted(unknown))}; there are {', '.join(Scope)}")
    key, now = new_secret(), datetime.now(UTC)  # noqa: TID251 - an entry point
    db = Database(database, pool_size=1)
    try:
        async with db.transaction(organisation) as session:
            if await OrganisationRepository(session).find() is None:
                await OrganisationRepository(session).put(organisation, now)
            check_name(name)
            name = name or f"issued by hand {secrets.token_hex(3)}"
            wanted = {scope.strip() for scope in scopes}
            await ApiKeyRepository(session).issue(name, wanted, key_hash(key), now, hint=hint(key))
    except (Conflict, RequestInvalid) as error:
        raise CannotStart(error.message) from None
    finally:
        await db.close()
    return key


def _database_url(folder: Path, closing: contextlib.ExitStack) -> str:
    """The application's database; the embedded one is started for as long as `closing` lasts if no stack runs."""
    if outside.given("database_url"):
        return Settings.load({"environment": "development", "id_key": "-" * 32}).database_url
    if not processes.running(folder):
        closing.enter_context(processes.exclusive(folder))
        postgres = _postgres(folder)
        closing.callback(postgres.stop)
        url = postgres.start()
        migrate.upgrade(url)
        return url
    return _postgres(folder).start()


def _postgres(folder: Path) -> "Postgres":
    from adapters.embedded.postgres import Postgres  # from the extra `embedded`

    return Postgres(folder / "postgres")


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Errors with a code end the command with their message, without a stack trace."""
    try:
        yield
    except HoldfastError as error:
        print(f"error: {error.message}", file=sys.stderr)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    cli()
