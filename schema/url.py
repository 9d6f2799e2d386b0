"""Database addresses as people write them."""

from sqlalchemy.engine import URL, make_url


def database_url(url: str) -> URL:
    """Any spelling of a Postgres URL (`postgres://`, `postgresql://`, a unix socket in `?host=`) for this driver."""
    parsed = make_url(url)
    if parsed.get_backend_name() not in {"postgres", "postgresql"}:
        raise ValueError("the database must be Postgres: postgresql://…")
    parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed if "connect_timeout" in parsed.query else parsed.update_query_dict({"connect_timeout": "5"})
