"""Proposals from outside: what somebody else's agent suggests, until it is judged and from then on."""

from alembic import op

from schema.migrations.versions.r0013_erasure import ERASE
from schema.migrations.versions.r0018_retention import ENDS

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_FORGETS = "UPDATE interactions SET message = 'erased',"
_FORGETS_PROPOSALS = f"{_FORGETS} proposal = wordless(proposal, false),"


def upgrade() -> None:
    op.execute("ALTER TABLE interactions ADD COLUMN proposal jsonb")
    for function in (ERASE, ENDS):
        assert function.count(_FORGETS) == 1
        _forgets(function.replace(_FORGETS, _FORGETS_PROPOSALS))


def downgrade() -> None:
    for function in (ERASE, ENDS):
        _forgets(function)
    op.execute("ALTER TABLE interactions DROP COLUMN proposal")


def _forgets(function: str) -> None:
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    # The eraser may replace its own function, and make nothing else here.
    op.execute(f"GRANT CREATE ON SCHEMA {schema} TO holdfast_eraser")
    op.execute("SET LOCAL ROLE holdfast_eraser")
    op.execute(function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").format(schema=schema))
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA {schema} FROM holdfast_eraser")
