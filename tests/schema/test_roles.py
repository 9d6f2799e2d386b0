"""As in production: the owner is no superuser, and the application logs in as somebody who owns nothing."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from psycopg import errors

from domain.erasure import Tombstone
from domain.errors import DependencyDown
from schema import migrate
from schema.base import new_id
from schema.customers import CustomerRepository
from schema.erasures import ErasureRepository
from schema.interactions import InteractionRepository
from schema.resealing import RESEALER, rewrap, seal_what_is_in_clear
from schema.session import Database
from tests.postgres import PostgresServer, new_seals
from tests.schema.given import ACME, ANNA, GLOBEX, NOW, customer
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


async def test_an_erasure_destroys_keys_and_the_owner_seals_and_rewraps_without_being_a_superuser(
    installation: Installation, postgres: PostgresServer
) -> None:
    """The keys go by a foreign key, which reaches through row-level security; the owner alone becomes the resealer."""
    migrate.upgrade(installation.owner)
    seals = new_seals()
    db, owner = Database(installation.login, seals=seals), Database(installation.owner, seals=seals, role=RESEALER)
    older = Database(installation.login)
    for organisation in (ACME, GLOBEX):
        await customer(older, organisation=organisation)
    assert {(done.organisation, done.rows) async for done in seal_what_is_in_clear(owner)} == {(ACME, 1), (GLOBEX, 1)}
    assert {(done.organisation, done.rows) async for done in rewrap(owner)} == {(ACME, 1), (GLOBEX, 1)}
    stone = Tombstone(id=new_id("ers"), organisation=ACME, subject="s", by="ana", at=NOW)
    async with db.transaction(ACME) as session:
        assert (await CustomerRepository(session).get(ANNA)).account.name == "Anna Example"
        await ErasureRepository(session).request(stone, ANNA, stone.id)
        await ErasureRepository(session).erase(stone.id, NOW)
    with postgres.owner(postgres.url(postgres.name(installation.owner))) as admin:
        assert admin.execute("SELECT organisation FROM customer_keys").fetchall() == [("globex",)]
    application = Database(installation.login, role=RESEALER)
    with pytest.raises(DependencyDown):
        await application.ping()
    for each in (db, older, owner, application):
        await each.close()


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
