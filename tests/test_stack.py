# ruff: noqa: ASYNC220, ASYNC240 - nobody else waits for this event loop
"""The one-machine stack: it names what is in its way, cleans up after itself, and recovers from kill -9."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg
import pytest
from rich.console import Console

import settings
import stack
from adapters.embedded import processes
from adapters.embedded.mail import MailFolder, mail_sink
from adapters.embedded.postgres import Postgres
from adapters.embedded.processes import CannotStart
from adapters.passwords import Argon2Passwords
from api.keys import new_secret
from api.signing_in import new_token
from domain.facts import Account
from domain.values import CustomerId, OrganisationId, Plan
from schema import demo
from schema.api_keys import ApiKeyRepository
from schema.customers import CustomerRepository
from schema.invoices import InvoiceRepository
from schema.operators import OperatorRepository
from schema.session import Database
from settings import Settings, customer_seals
from tests.processes import data_folder
from tests.temporal import free_port

ROOT = Path(settings.__file__).parent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder; whatever still runs on it afterwards is ended. It is not in `tmp_path`: Postgres, which as root
    runs as another user, must be able to reach it, and every start of pytest closes that folder again."""
    for name in list(os.environ):
        if name.startswith(("HOLDFAST_", "DATABASE_", "MIGRATION_", "TEMPORAL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    place = Path(tempfile.mkdtemp(prefix="holdfast-"))
    state = place / "state"
    yield state
    for process in on(state):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    shutil.rmtree(place)


@pytest.fixture
def trained(folder: Path, learnt: Path) -> Path:
    """A state folder in which the intent model has been learnt already: not every start here must do that again."""
    return data_folder(folder, learnt)


def on(state: Path) -> list[psutil.Process]:
    """Every process, not this one, that names the state folder or runs with it in its environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            named = any(str(state) in part for part in process.cmdline())
            if process.pid != os.getpid() and (named or process.environ().get("HOLDFAST_DATA_DIR") == str(state)):
                found.append(process)
    return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


SEED_CREDENTIALS = (
    "", "admin", "administrator", "root", "demo", "test", "guest", "user", "operator", "holdfast", "password",
    "passw0rd", "Password1", "admin123", "admin1234", "changeme", "change-me", "secret", "letmein", "welcome", "123456",
    "12345678", "postgres", "temporal", "default", "local", "system", "adminadmin", "holdfast123", "demo1234",
)  # fmt: skip


def options(state: Path, **more: Any) -> stack.Options:
    ports = {name: free_port() for name in ("api_port", "temporal_port", "ui_port", "smtp_port")}
    return stack.Options(state, **{**ports, "headless": True, **more})


# Ports


@pytest.mark.parametrize(
    ("taken", "option"),
    [
        ("api_port", "--api-port"),
        ("temporal_port", "--temporal-port"),
        ("ui_port", "--ui-port"),
        ("smtp_port", "--smtp-port"),
    ],
)
async def test_a_taken_port_is_named_with_its_owner_and_the_option_that_changes_it(folder, taken, option) -> None:
    chosen = options(folder, headless=False)
    with socket.create_server(("127.0.0.1", getattr(chosen, taken))), pytest.raises(CannotStart) as refusal:
        await stack.up(stack.Stack(chosen, Console(quiet=True)))
    assert f"port {getattr(chosen, taken)}" in refusal.value.message
    assert f"(pid {os.getpid()})" in refusal.value.message
    assert option in refusal.value.message
    assert on(folder) == []


def test_a_port_taken_on_every_interface_is_taken_and_a_free_one_is_not() -> None:
    with socket.create_server(("0.0.0.0", 0)) as stranger, pytest.raises(CannotStart):
        processes.need_port("127.0.0.1", stranger.getsockname()[1], "x", "--x")
    processes.need_port("127.0.0.1", free_port(), "x", "--x")


async def test_a_stranger_who_is_quicker_to_the_port_is_not_taken_for_our_temporal(folder: Path) -> None:
    """Between looking at a port and listening on it there is time for somebody else."""
    chosen = options(folder)
    running = stack.Stack(chosen, Console(quiet=True))
    folder.mkdir()
    async with contextlib.AsyncExitStack() as closing:
        closing.enter_context(socket.create_server(("127.0.0.1", chosen.temporal_port)))
        await stack.launch_temporal(running, closing)
        with pytest.raises(CannotStart, match="Temporal did not start"):
            await stack.temporal_ready(running)
    assert on(folder) == []


async def serve_nothing(running: stack.Stack, _: Settings) -> None:
    await running.stop.wait()


# What an earlier launcher left behind


def test_only_one_launcher_owns_a_state_folder_and_a_dead_one_owns_nothing(folder: Path) -> None:
    hold = "import sys,time; from pathlib import Path; from adapters.embedded.processes import exclusive\n"
    hold += "with exclusive(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", hold, str(folder)], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(CannotStart, match="already runs"), processes.exclusive(folder):
            pass
        holder.kill()
    with processes.exclusive(folder):
        pass


async def test_a_recorded_child_is_stopped_and_a_stranger_with_its_number_is_not(folder: Path) -> None:
    folder.mkdir()
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    children = processes.Children(folder, ROOT)
    await children.launch("worker", sleeper, settings.child_environment({}))
    stranger = subprocess.Popen(sleeper)
    try:
        state = json.loads((folder / "stack.json").read_text())
        state["children"]["api"] = {"pid": stranger.pid, "created": 1.0}
        (folder / "stack.json").write_text(json.dumps(state))
        assert await asyncio.to_thread(processes.stop_orphans, folder) == 1
        assert stranger.poll() is None
        assert await asyncio.wait_for(children.deaths.get(), 10) == "worker"
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize(
    "content", ["", "not json", "[]", '{"children": {"api": {"pid": "x"}}}', '{"children": {"a": 1}}']
)
def test_a_damaged_record_is_no_record(folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / "stack.json").write_text(content)
    assert processes.orphans(folder) == []


@pytest.mark.parametrize(
    "content", ["", f"{os.getpid()}\n/elsewhere\n1\n5432\n/tmp\n\n  1 2\nready\n"], ids=["empty", "somebody"]
)
def test_postgres_starts_although_a_power_cut_left_its_process_number_to_somebody_else(folder, content: str) -> None:
    folder.mkdir()
    first = Postgres(folder / "postgres")
    first.start()
    first.stop()
    (folder / "postgres" / "postmaster.pid").write_text(content)
    second = Postgres(folder / "postgres")
    try:
        assert f"host={folder / 'postgres'}" in second.start()
        assert [p for p in on(folder) if p.name() == "postgres"]
    finally:
        second.stop()
    assert on(folder) == []


def test_postgres_starts_although_its_sockets_lock_names_a_living_process(folder: Path) -> None:
    """As after a power cut, or after a kill -9 nobody has taken notice of yet."""
    folder.mkdir()
    first = Postgres(folder / "postgres")
    first.start()
    first.stop()
    owner = (folder / "postgres").stat().st_uid  # Postgres heeds processes of its own user only
    stranger = subprocess.Popen(["/bin/sleep", "600"], user=owner)
    try:
        lock = folder / "postgres" / ".s.PGSQL.5432.lock"
        lock.write_text(f"{stranger.pid}\n{folder}/postgres\n1\n5432\n{folder}/postgres\n")
        os.chown(lock, owner, -1)
        second = Postgres(folder / "postgres")
        assert f"host={folder / 'postgres'}" in second.start()
        second.stop()
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("name", ["plain", "it's a state", "long" * 40], ids=["plain", "quoted", "long"])
def test_postgres_listens_on_a_private_socket_wherever_the_folder_is_and_is_taken_over_while_it_runs(
    folder, name
) -> None:
    place = folder / name / "postgres"
    url = Postgres(place).start()
    try:
        (server,) = [p for p in on(place) if p.name() == "postgres" and p.ppid() == 1]
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW unix_socket_permissions").fetchone() == ("0700",)
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert Postgres(place).start() == url
        assert [p for p in on(place) if p.name() == "postgres" and p.ppid() == 1] == [server]
    finally:
        Postgres(place).stop()
    assert on(place) == []


# Mail


def message(message_id: str, text: str = "hello") -> EmailMessage:
    mail = EmailMessage()
    mail["Message-ID"], mail["From"], mail["To"], mail["Subject"] = message_id, "a@example.com", "b@example.com", "s"
    mail.set_content(text)
    return mail


async def test_mail_is_on_disk_when_it_is_accepted_and_a_repeat_is_the_same_file(folder: Path) -> None:
    port = free_port()

    def send(*mails: EmailMessage) -> None:
        with smtplib.SMTP("127.0.0.1", port) as smtp:
            for mail in mails:
                smtp.send_message(mail)

    async with mail_sink(folder, port):
        await asyncio.to_thread(send, message("<one@x>"), message("<one@x>"), message("<two@x>", "ünïcode"))
        assert len(list(folder.glob("*.eml"))) == 2
        assert not list(folder.glob("*.part"))
    assert folder.stat().st_mode & 0o077 == 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(send)


def test_mails_without_an_id_are_kept_apart(folder: Path) -> None:
    kept = MailFolder(folder)
    assert kept.keep(b"Subject: a\r\n\r\nx") != kept.keep(b"Subject: b\r\n\r\nx")


# The whole, with worker and API replaced by something that answers `/readyz`


async def serve_ready(running: stack.Stack, chosen: Settings) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", chosen.api_port):
        await running.stop.wait()


async def run_until_ready(running: stack.Stack, then: Any) -> None:
    """Starts `running`, awaits `then(settings)` when it serves, and stops it."""
    reached: asyncio.Future[Settings] = asyncio.get_running_loop().create_future()

    async def serve(own: stack.Stack, chosen: Settings) -> None:
        reached.set_result(chosen)
        await serve_ready(own, chosen)

    work = asyncio.create_task(stack.up(running, serve))
    await asyncio.wait((work, reached), return_when=asyncio.FIRST_COMPLETED)
    try:
        if reached.done():
            await then(reached.result())
    finally:
        running.stop.set()
        await work


async def test_a_second_start_keeps_what_the_first_one_seeded_and_what_people_changed(trained: Path) -> None:
    async def rename(chosen: Settings) -> None:
        db = Database(chosen.database_url, pool_size=1, seals=customer_seals(chosen))
        async with db.transaction(demo.DEMO) as session:
            invoice = await InvoiceRepository(session).find(CustomerId("cust_123"), "inv_1001")
            assert invoice is not None
            assert (str(invoice.total), invoice.refundable) == ("EUR 49.00", invoice.total)
            changed = Account(customer_id=CustomerId("cust_123"), name="Renamed", plan=Plan.FREE)
            await CustomerRepository(session).put(changed, datetime.now(UTC))
        await db.close()

    async def look(chosen: Settings) -> None:
        db = Database(chosen.database_url, pool_size=1, seals=customer_seals(chosen))
        async with db.transaction(demo.DEMO) as session:
            customers = CustomerRepository(session)
            assert (await customers.get_account(CustomerId("cust_123"))).name == "Renamed"
            assert not (await customers.get_account(CustomerId("cust_321"))).is_active
        await db.close()

    await run_until_ready(stack.Stack(options(trained), Console(quiet=True)), rename)
    assert on(trained) == []
    key = (trained / "id.key").read_text()
    await run_until_ready(stack.Stack(options(trained), Console(quiet=True)), look)
    assert (trained / "id.key").read_text() == key
    for private in ("id.key", "stack.env", "stack.json"):
        assert (trained / private).stat().st_mode & 0o077 == 0, private


async def test_the_first_start_makes_one_admin_and_says_the_password_once(database: Database) -> None:
    made = await stack.first_operator(database, demo.DEMO)
    assert made is not None
    login, password = made
    assert await stack.first_operator(database, demo.DEMO) is None
    async with database.transaction(demo.DEMO) as session:
        found = await OperatorRepository(session).by_login(login)
    assert found is not None
    assert found[0].scopes == ("admin",)
    assert Argon2Passwords().verify(password, found[1])
    told = stack.Stack(options(Path("x")), Console(quiet=True))
    told.children.urls["api"] = "http://api"
    assert password not in stack.welcome(told, 1.0)
    told.first_admin = made
    assert stack.welcome(told, 1.0).count(password) == 1


async def test_two_fresh_installs_share_no_password(database: Database) -> None:
    made = [await stack.first_operator(database, OrganisationId(name)) for name in ("one", "two")]
    assert len({m[1] for m in made if m}) == 2


async def test_T6_no_seed_credential_opens_a_fresh_install(database: Database) -> None:
    """What people try first, with every login people try: none of it is a password here, and no key is seeded."""
    await demo.seed(database, datetime.now(UTC))
    made = await stack.first_operator(database, demo.DEMO)
    assert made is not None
    passwords = Argon2Passwords()
    async with database.transaction(demo.DEMO) as session:
        operators = await OperatorRepository(session).list()
        assert (await ApiKeyRepository(session).list()).items == ()
        for word in SEED_CREDENTIALS:
            found = await OperatorRepository(session).by_login(word)
            assert found is None or word == made[0]
        (only,) = operators.items
        hashed = (await OperatorRepository(session).get(only.id))[1]
    assert [word for word in SEED_CREDENTIALS if passwords.verify(word, hashed)] == []
    assert passwords.verify(made[1], hashed)  # negative control: the check can find one


CREDENTIAL = re.compile(
    r"hf_(?:live|ses|cust)_[A-Za-z0-9_-]{43}|\$argon2id\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]{16}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]"
)


def test_T6_no_credential_stands_in_the_repository() -> None:
    root = Path(stack.__file__).parent
    names = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split("\n")
    texts = {name: (root / name).read_bytes().decode("latin-1") for name in names if name}
    assert len(texts) > 200
    assert [name for name, text in texts.items() if CREDENTIAL.search(text)] == []


def test_T6_a_credential_in_a_file_would_be_noticed() -> None:
    for made in (new_secret(), new_token(), Argon2Passwords().nobodys):
        assert CREDENTIAL.search(f'KEY = "{made}"')


async def test_the_death_of_temporal_ends_the_stack_and_says_so(trained: Path) -> None:
    running = stack.Stack(options(trained), Console(quiet=True))

    async def kill(_: Settings) -> None:
        pid = json.loads((trained / "stack.json").read_text())["children"]["temporal"]["pid"]
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait_for(running.stop.wait(), 30)

    with pytest.raises(CannotStart, match="temporal ended by itself"):
        await run_until_ready(running, kill)
    assert on(trained) == []


async def test_an_error_of_the_worker_ends_the_stack_with_that_error(trained: Path) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await stack.up(stack.Stack(options(trained), Console(quiet=True)), broken)
    assert on(trained) == []


async def test_ctrl_c_while_starting_stops_what_was_started(folder: Path) -> None:
    running = stack.Stack(options(folder), Console(quiet=True))
    running.stop.set()
    with pytest.raises(stack.StopRequested):
        await stack.up(running, serve_nothing)
    assert on(folder) == []


def test_demo_invoices_are_as_documented() -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    people = {account.customer_id: (account, invoice) for account, invoice in demo.demo_customers(now)}
    paid = {i.id: (i.total.amount, now - i.paid_at) for _, i in people.values() if i is not None and i.paid_at}
    assert paid == {
        "inv_1001": (4900, timedelta(days=5)),
        "inv_2001": (48000, timedelta(days=3)),
        "inv_3001": (1900, timedelta(days=60)),
    }
    assert all((account.email or "").endswith("@example.com") for account, _ in people.values())


# As a user would: real processes, real worker, real API


@dataclass
class Launched:
    """A `python stack.py up` in a process group of its own, as a terminal would start it."""

    process: subprocess.Popen[str]
    lines: list[str]

    def line(self, with_: str) -> str:
        """The next line of output that contains `with_`; an error with everything said if it ends before that."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if with_ in line:
                return line
        raise AssertionError("".join(self.lines))

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(how)
        self.lines += self.process.communicate(timeout=90)[0].splitlines(keepends=True)
        return self.process.returncode


def launch(chosen: stack.Options, *more: str) -> Launched:
    ports = {"--api-port": chosen.api_port, "--temporal-port": chosen.temporal_port, "--smtp-port": chosen.smtp_port}
    flags = [text for option, port in ports.items() for text in (option, str(port))]
    command = [sys.executable, "stack.py", "up", "--headless", "--data-dir", str(chosen.data_dir), *flags, *more]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    # A stack that hangs must fail the test, not the run.
    watchdog = threading.Timer(120, process.kill)
    watchdog.daemon = True
    watchdog.start()
    return Launched(process, [])


def run(chosen: stack.Options, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "stack.py", *arguments, "--data-dir", str(chosen.data_dir)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def chat(chosen: stack.Options, request: str, **headers: str) -> httpx2.Response:
    body = {"customerId": "cust_123", "requestId": request, "message": "Please refund invoice inv_1001."}
    return httpx2.post(f"http://127.0.0.1:{chosen.api_port}/chat", json=body, headers=headers, timeout=60)


@pytest.mark.stack
@pytest.mark.parametrize("how", [(), ("--separate",)], ids=["together", "separate"])
def test_after_kill_minus_nine_of_the_launcher_the_next_start_recovers_with_the_data(trained: Path, how) -> None:
    chosen = options(trained)
    first = launch(chosen, *how)
    print(first.line("Holdfast is up"))
    answered = chat(chosen, "req-1").json()
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    assert on(trained), "the control: kill -9 does leave something behind"
    second = launch(chosen, *how)
    second.line("left behind")
    print(second.line("Holdfast is up"))
    again = chat(chosen, "req-1").json()
    assert again.pop("replayed")
    answered.pop("replayed")
    assert again == answered
    assert second.end() == 0
    assert on(trained) == []


@pytest.mark.stack
@pytest.mark.parametrize("how", [(), ("--separate",)], ids=["together", "separate"])
@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda s: s.name)
def test_a_polite_end_leaves_no_process_and_exits_with_zero(trained: Path, how, name: signal.Signals) -> None:
    chosen = options(trained)
    launched = launch(chosen, *how)
    launched.line("Holdfast is up")
    assert run(chosen, "status").returncode == 0
    assert launched.end(name) == 0, "".join(launched.lines)
    assert on(trained) == []
    assert "Traceback" not in "".join(launched.lines)
    assert run(chosen, "status").returncode == 1


TOLD = (
    "decided           proceed",
    "approved again    200",
    "on record         claim@1",
    "redriven          to the corrected address: delivered",
    "hash_differs at",
    "changed back      ok: True",
)
"""What the tour must have to say."""


@pytest.mark.stack
def test_keys_are_issued_beside_a_running_stack_and_work_and_reset_deletes_everything(folder: Path) -> None:
    chosen = options(folder)
    launched = launch(chosen)
    launched.line("Holdfast is up")
    assert "already runs" in run(chosen, "reset").stderr
    wrong = run(chosen, "new-key", "--scopes", "everything")
    assert (wrong.returncode, "no such scope: everything" in wrong.stderr) == (1, True)
    issued = run(chosen, "new-key", "--scopes", "ingest", "--organisation", "demo")
    assert issued.returncode == 0, issued.stderr
    key = issued.stdout.strip()
    # 202 on a machine too busy to answer within ten seconds; either says that the key was accepted.
    assert chat(chosen, "req-2", Authorization=f"Bearer {key}").status_code in {200, 202}
    assert chat(chosen, "req-2", Authorization=f"Bearer {key}x").status_code == 401
    told = run(chosen, "demo")
    for line in TOLD:
        assert line in told.stdout, told.stdout + told.stderr
    launched.end()
    assert run(chosen, "new-key", "--scopes", "ingest").stdout.startswith("hf_live_")
    assert run(chosen, "reset").returncode == 0
    assert not folder.exists()
    assert on(folder) == []


@pytest.mark.stack
def test_reset_stops_what_a_killed_stack_left_running_and_refuses_a_folder_that_is_not_ours(trained: Path) -> None:
    chosen = options(trained)
    launched = launch(chosen)
    launched.line("Holdfast is up")
    launched.end(signal.SIGKILL)
    assert on(trained)
    assert run(chosen, "reset").returncode == 0
    assert on(trained) == []
    trained.mkdir()
    (trained / "thesis.txt").write_text("years of work")
    assert run(chosen, "reset").returncode == 1
    assert (trained / "thesis.txt").exists()
