"""As in production: the owner is no superuser, and the application logs in as somebody who owns nothing."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from psycopg import errors

from domain.errors import DependencyDown
from schema import migrate
from schema.interactions import InteractionRepository
from schema.session import Database
from tests.postgres import PostgresServer
from tests.schema.given import ACME, GLOBEX
from tests.schema.test_tenants import something_in_every_table


@dataclass(frozen=True)
class Installation:
    owner: str
    """URL of the role that owns the tables and runs the migrations."""
    login: str
    """URL of the role the application logs in as: a member of `holdfast_app`, nothing else."""
    stranger: str


@pytest.fixture
def installation(postgres: PostgresServer) -> Iterator[Installation]:
    url, tag = postgres.create(template=None), secrets.token_hex(4)
    owner, login, stranger = (f"{name}_{tag}" for name in ("owner", "login", "stranger"))

    def as_role(role: str) -> str:
        return url.replace("postgres:@", f"{role}:@", 1)

    with postgres.owner(url) as admin:
        for statement in (
            f"CREATE ROLE {owner} LOGIN CREATEROLE",
            f"CREATE ROLE {login} LOGIN NOINHERIT",
            f"CREATE ROLE {stranger} LOGIN",
            f"ALTER DATABASE {postgres.name(url)} OWNER TO {owner}",
            # On a server of its own the migration makes these roles itself; here other tests already did.
            f"GRANT holdfast_app, holdfast_lookup, holdfast_eraser TO {owner}",
            f"GRANT holdfast_app TO {login}",
        ):
            admin.execute(statement.encode())
    yield Installation(as_role(owner), as_role(login), as_role(stranger))
    postgres.drop(url)
    with postgres.owner(postgres.url("postgres")) as admin:
        admin.execute(f"DROP ROLE {owner}, {login}, {stranger}".encode())


async def test_the_application_works_without_owning_anything(installation: Installation) -> None:
    migrate.upgrade(installation.owner)
    db = Database(installation.login)
    assert await db.at_head()
    await something_in_every_table(db, ACME)
    found = await db.resolve_api_key(ACME.encode())
    assert found is not None
    assert found.organisation == ACME
    assert await db.untold_handoffs() == ()
    async with db.transaction(GLOBEX) as session:
        assert (await InteractionRepository(session).list()).items == ()
    await db.close()


async def test_not_even_the_owner_reads_a_tenants_rows(installation: Installation, postgres: PostgresServer) -> None:
    migrate.upgrade(installation.owner)
    db = Database(installation.login)
    await something_in_every_table(db, ACME)
    await db.close()
    with postgres.owner(installation.owner) as owner:
        assert owner.execute("SELECT count(*) FROM interactions").fetchone() == (0,)
        with pytest.raises(errors.InsufficientPrivilege):
            owner.execute("INSERT INTO audit_events VALUES ('acme', 'aud_1', now(), 'eve', 'x.forged', 'y', '{}')")


async def test_the_application_cannot_migrate_and_a_stranger_gets_nowhere(installation: Installation) -> None:
    migrate.upgrade(installation.owner)
    with pytest.raises(Exception, match="permission denied"):
        migrate.downgrade(installation.login, "base")
    stranger = Database(installation.stranger)
    with pytest.raises(DependencyDown):
        await stranger.ping()
    await stranger.close()


def test_the_owner_can_take_everything_down_again(installation: Installation, postgres: PostgresServer) -> None:
    migrate.upgrade(installation.owner)
    migrate.downgrade(installation.owner, "base")
    migrate.upgrade(installation.owner)
    assert migrate.at_head(installation.owner)
