"""The deliveries that carry codes. Their words have a place for the code, which is filled in when they leave."""

from datetime import datetime

from domain.delivery import EMAIL
from domain.step_up import PURPOSE, words
from domain.values import DeliveryId
from schema.codes import SentCode
from schema.deliveries import DeliveryRepository, NewDelivery
from schema.session import Session


async def send_code(session: Session, code: SentCode, number: int, at: datetime) -> DeliveryId:
    """On record, to be started by whoever asks. Each sending is a delivery; all carry the same code."""
    purpose = PURPOSE if number == 1 else f"{PURPOSE}_{number}"
    message = NewDelivery(
        interaction_id=code.interaction_id,
        customer_id=code.customer_id,
        purpose=purpose,
        channel=EMAIL,
        body=words(code.interaction_id),
        at=at,
        source_id=code.id,
        sent_by_workflow=True,
    )
    return await DeliveryRepository(session).add(message)
