"""Brings the tables to where this code expects them, as the role that owns them. Run before API and workers start."""

import schema.migrate
from settings import Settings

if __name__ == "__main__":
    schema.migrate.upgrade(Settings.load().owner_database_url)
    print(f"the tables are at {schema.migrate.head_revision()}")  # noqa: T201 - the job's one line of log
