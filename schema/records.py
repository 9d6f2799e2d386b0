"""An interaction with its customer's account and its decision, in one statement: what every step begins with."""

from dataclasses import dataclass

from sqlalchemy import text

from domain.decision import Decision
from domain.errors import InteractionNotFound
from domain.facts import Account, Facts
from domain.values import DecisionId, InteractionId
from schema.interaction_rows import COLUMNS, Interaction, read_interaction
from schema.session import Session


@dataclass(frozen=True, slots=True)
class Recorded:
    interaction: Interaction
    account: Account
    """As it is now, with name and addresses."""
    decision_id: DecisionId | None
    decision: Decision | None
    """None while nothing was decided at this stage."""
    facts: Facts | None
    """Those the decision was made on, with the account as it is now."""


_LOAD = text(
    f"""
    SELECT {", ".join(f"i.{column.strip()}" for column in COLUMNS.split(","))},
        c.name, c.email, c.phone, c.plan, c.status AS account_status, c.language, c.time_zone, c.region,
        d.id AS decision_id, d.decision::text AS decision, d.facts::text AS facts
    FROM interactions i
    JOIN customers c ON c.organisation = i.organisation AND c.id = i.customer_id
    LEFT JOIN decisions d ON d.organisation = i.organisation AND d.interaction_id = i.id AND d.stage = :stage
    WHERE i.organisation = :organisation AND i.id = :id
    """
)


async def load_recorded(session: Session, interaction_id: InteractionId, stage: str) -> Recorded:
    """What is recorded so far, or `InteractionNotFound`."""
    row = await session.first(_LOAD, id=interaction_id, stage=stage)
    if row is None:
        raise InteractionNotFound("no such interaction")
    account = Account(
        customer_id=row.customer_id,
        name=row.name,
        email=row.email,
        phone=row.phone,
        plan=row.plan,
        status=row.account_status,
        language=row.language,
        time_zone=row.time_zone,
        region=row.region,
    )
    facts = Facts.model_validate_json(row.facts) if row.facts else None
    return Recorded(
        interaction=read_interaction(row),
        account=account,
        decision_id=row.decision_id,
        decision=Decision.model_validate_json(row.decision) if row.decision else None,
        facts=facts.model_copy(update={"account": account}) if facts else None,
    )
