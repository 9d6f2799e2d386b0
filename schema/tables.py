"""Every table, imported so that `METADATA` is whole. Only migrations and their tests need all of them at once."""

from schema.api_keys import ApiKeyRow
from schema.audit import AuditEventRow
from schema.base import METADATA, Row
from schema.conversations import ConversationRow
from schema.customers import CustomerRow
from schema.decisions import DecisionRow
from schema.deliveries import DeliveryEventRow, DeliveryRow
from schema.effect_rows import EffectEventRow, EffectRow
from schema.handoff_rows import HandoffEventRow, HandoffRow
from schema.interaction_rows import InteractionRow
from schema.invoices import InvoiceRow
from schema.organisations import OrganisationTableRow
from schema.refunds import RefundRow
from schema.tickets import TicketRow

__all__ = ["ALL_ROWS", "METADATA"]

ALL_ROWS: tuple[type[Row], ...] = (
    OrganisationTableRow,
    ApiKeyRow,
    CustomerRow,
    ConversationRow,
    InvoiceRow,
    RefundRow,
    TicketRow,
    InteractionRow,
    DecisionRow,
    EffectRow,
    EffectEventRow,
    HandoffRow,
    HandoffEventRow,
    DeliveryRow,
    DeliveryEventRow,
    AuditEventRow,
)
