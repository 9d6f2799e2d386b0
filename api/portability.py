"""All we know of a customer as one JSON document, written row by row from one snapshot."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime

from domain.values import CustomerId, OrganisationId
from schema.portability import SECTIONS, rows_of
from schema.session import Database


async def as_bundle(
    db: Database, organisation: OrganisationId, customer_id: CustomerId, at: datetime
) -> AsyncGenerator[str, None]:
    """`counts` comes last: a document without it was cut off."""
    counts: dict[str, int] = {}
    async with db.transaction(organisation, frozen=True) as session:
        yield json.dumps({"format": "holdfast-customer-1", "exportedAt": at.isoformat()})[:-1]
        for section in SECTIONS:
            yield f',\n"{section}":['
            counts[section] = 0
            async with aclosing(rows_of(session, section, customer_id)) as groups:
                async for texts in groups:
                    yield ("," if counts[section] else "") + ",\n".join(texts)
                    counts[section] += len(texts)
            yield "]"
    yield f',\n"counts":{json.dumps(counts)}}}\n'
