"""An interaction with its customer's account and its decision, in one statement: what every step begins with."""

from dataclasses import dataclass

from sqlalchemy import text

from domain.decision import Decision
from domain.errors import InteractionNotFound
from domain.facts import Account, Facts
from domain.values import DecisionId, InteractionId
from schema.customer_keys import keys_of
from schema.customers import SEALED as ACCOUNT
from schema.interaction_rows import COLUMNS, Interaction, read_interaction
from schema.interaction_rows import SEALED as INTERACTION
from schema.sealed import opened_one
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
    is_listened_to: bool
    """Whether any endpoint of the organisation might want to hear of it."""


_LOAD = text(
    f"""
    SELECT {", ".join(f"i.{column.strip()}" for column in COLUMNS.split(","))},
        c.name, c.email, c.phone, c.plan, c.status AS account_status, c.language, c.time_zone, c.region,
        EXISTS (SELECT FROM webhook_endpoints w WHERE w.organisation = i.organisation AND w.enabled) AS is_listened_to,
        {keys_of("i.organisation", "i.message", "c.name", "c.email", "c.phone")} AS keys,
        d.id AS decision_id, d.decision::text AS decision, d.facts::text AS facts
    FROM interactions i
    JOIN customers c ON c.organisation = i.organisation AND c.id = i.customer_id
    LEFT JOIN LATERAL (
        SELECT x.id, x.decision, x.facts FROM decisions x
        WHERE x.organisation = i.organisation AND x.interaction_id = i.id AND CASE
            WHEN CAST(:stage AS varchar) IS NULL THEN x.stage IN ('first', 'first:proven') OR x.stage LIKE 'corrected:%'
            ELSE x.stage = :stage END
        ORDER BY CASE WHEN x.stage LIKE 'corrected:%' THEN split_part(x.stage, ':', 2)::integer ELSE 0 END DESC,
            length(x.stage) DESC LIMIT 1
    ) d ON true
    WHERE i.organisation = :organisation AND i.id = :id
    """
)


async def load_recorded(session: Session, interaction_id: InteractionId, stage: str | None) -> Recorded:
    """What is recorded so far, or `InteractionNotFound`. Without a stage: the decision on the message, as last
    corrected by a person."""
    row = await session.first(_LOAD, id=interaction_id, stage=stage)
    if row is None:
        raise InteractionNotFound("no such interaction")
    row = await opened_one(session, row, INTERACTION)
    row = await opened_one(session, row, ACCOUNT, row_id="customer_id")
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
        is_listened_to=row.is_listened_to,
    )
