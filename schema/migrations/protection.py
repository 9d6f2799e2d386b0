"""What makes a table an organisation's own: row-level security, and exactly the rights the application role needs."""

from alembic import op


def protect(table: str, may_change: str = "", *, may_delete: bool = False) -> None:
    """Rows of one organisation only, for reading and writing; inserts always, updates of `may_change` (a list of
    columns) only. Without it the table is append-only for the application."""
    bound = "organisation = nullif(current_setting('holdfast.organisation', true), '')"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY organisation ON {table} TO holdfast_app USING ({bound}) WITH CHECK ({bound})")
    op.execute(f"GRANT SELECT, INSERT ON {table} TO holdfast_app")
    if may_change:
        op.execute(f"GRANT UPDATE ({may_change}) ON {table} TO holdfast_app")
    if may_delete:
        op.execute(f"GRANT DELETE ON {table} TO holdfast_app")
