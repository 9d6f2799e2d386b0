"""`reseal.py` as an operator runs it."""

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters.crypto import TinkSecretBox
from adapters.customer_keys import CustomerKeys
from reseal import cli
from schema.customers import CustomerRepository
from schema.seals import Seals
from schema.session import Database
from settings import as_variables
from tests.house import ID_KEY, KEYSET
from tests.schema.given import ACME, ANNA, customer


def run(*words: str, **settings: Any) -> Result:
    given = {"environment": "development", "database_url": "postgresql://nobody@localhost/none", "id_key": ID_KEY}
    return CliRunner().invoke(cli, list(words), env=as_variables({**given, **settings}))


def test_a_keyset_is_rotated_step_by_step() -> None:
    made = run("keyset", "new").output.strip()
    added = run("keyset", "add", encryption_keyset=made).output.strip()
    promoted = run("keyset", "promote", encryption_keyset=added).output.strip()
    dropped = run("keyset", "drop", encryption_keyset=promoted).output.strip()
    keysets = [json.loads(keyset) for keyset in (made, added, promoted, dropped)]
    assert [len(keyset["key"]) for keyset in keysets] == [1, 2, 2, 1]
    primaries = [keyset["primaryKeyId"] for keyset in keysets]
    assert primaries[0] == primaries[1] != primaries[2] == primaries[3]


@pytest.mark.parametrize("words", [("seal",), ("rewrap",), ("keyset", "add")])
def test_without_a_keyset_it_says_so_and_does_nothing(words: tuple[str, ...]) -> None:
    said = run(*words)
    assert said.exit_code == 1
    assert "HOLDFAST_ENCRYPTION_KEYSET" in said.stderr


def test_what_is_in_clear_is_sealed_and_rewrapped_while_the_old_key_goes(database_url_of_test: str) -> None:
    async def before() -> None:
        db = Database(database_url_of_test)
        await customer(db)
        await db.close()

    async def name(keyset: str) -> str:
        db = Database(database_url_of_test, seals=Seals(CustomerKeys(TinkSecretBox(keyset))))
        async with db.transaction(ACME) as session:
            account = await CustomerRepository(session).get_account(ANNA)
        await db.close()
        return account.name

    asyncio.run(before())
    sealed = run("seal", database_url=database_url_of_test, encryption_keyset=KEYSET)
    assert (sealed.exit_code, sealed.output.split()) == (0, ["1", "customers", "of", "acme"])
    both = run("keyset", "promote", encryption_keyset=run("keyset", "add", encryption_keyset=KEYSET).output.strip())
    rewrapped = run("rewrap", database_url=database_url_of_test, encryption_keyset=both.output.strip())
    assert (rewrapped.exit_code, rewrapped.output.split()) == (0, ["1", "customer_keys", "of", "acme"])
    new = run("keyset", "drop", encryption_keyset=both.output.strip()).output.strip()
    assert asyncio.run(name(new)) == "Anna Example"
    assert run("seal", database_url=database_url_of_test, encryption_keyset=new).output == ""
