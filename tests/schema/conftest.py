"""Fixtures of every schema test: a fresh, migrated database on a real server."""

from tests.postgres import database, database_url_of_test, postgres

__all__ = ["database", "database_url_of_test", "postgres"]
