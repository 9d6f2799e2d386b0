"""Every table, imported so that `METADATA` is whole. Only migrations and their tests need all of them at once."""

from schema.api_keys import ApiKeyRow
from schema.approval_rows import HandoffApprovalRow, HandoffLinkRow, HandoffRevisionRow
from schema.audit import AuditEventRow
from schema.audit_seals import AuditBatchRow, AuditSealRow
from schema.base import METADATA, Row
from schema.calendars import CalendarRow
from schema.channels import CustomerChannelRow
from schema.codes import CustomerCodeRow
from schema.consents import ConsentRow
from schema.conversation_rows import ConversationEventRow, ConversationRow
from schema.customer_keys import CustomerKeyRow
from schema.customer_tokens import CustomerTokenRow
from schema.customers import CustomerRow
from schema.decisions import DecisionRow
from schema.delivery_rows import DeliveryEventRow, DeliveryRow, DeliveryVersionRow
from schema.effect_rows import EffectEventRow, EffectRow
from schema.erasures import ErasureRow
from schema.events import WebhookEventRow
from schema.handoff_claims import HandoffPresenceRow
from schema.handoff_rows import HandoffEventRow, HandoffRow
from schema.heartbeats import WorkerHeartbeatRow
from schema.identities import OperatorIdentityRow
from schema.identity_providers import IdentityProviderRow
from schema.interaction_rows import InteractionRow
from schema.invoices import InvoiceRow
from schema.legal_holds import LegalHoldRow
from schema.messages import MessageRow
from schema.notifications import NotificationReadRow, NotificationRow
from schema.oidc_attempts import OidcAttemptRow
from schema.operators import OperatorRow
from schema.organisations import OrganisationTableRow
from schema.rate_limits import RateLimitRow
from schema.refunds import RefundRow
from schema.restored import LostRequestRow
from schema.retention import RetentionPolicyRow, RetentionRunRow
from schema.rollups import MetricDayRow, MetricHourRow, MetricWatermarkRow
from schema.sign_ins import SignInRow
from schema.throttles import SignInThrottleRow
from schema.tickets import TicketRow
from schema.wakes import HandoffWakeRow
from schema.webhook_secrets import WebhookSecretRow
from schema.webhooks import WebhookEndpointRow

__all__ = ["ALL_ROWS", "METADATA"]

ALL_ROWS: tuple[type[Row], ...] = (
    OrganisationTableRow,
    ApiKeyRow,
    OperatorRow,
    SignInRow,
    IdentityProviderRow,
    OperatorIdentityRow,
    OidcAttemptRow,
    SignInThrottleRow,
    CustomerRow,
    CustomerTokenRow,
    CustomerChannelRow,
    CustomerCodeRow,
    CustomerKeyRow,
    CalendarRow,
    ConversationRow,
    ConversationEventRow,
    InvoiceRow,
    RefundRow,
    TicketRow,
    InteractionRow,
    LostRequestRow,
    LegalHoldRow,
    RetentionPolicyRow,
    RetentionRunRow,
    DecisionRow,
    EffectRow,
    EffectEventRow,
    HandoffRow,
    HandoffEventRow,
    HandoffRevisionRow,
    HandoffApprovalRow,
    HandoffLinkRow,
    HandoffPresenceRow,
    HandoffWakeRow,
    MessageRow,
    WebhookEndpointRow,
    WebhookSecretRow,
    WebhookEventRow,
    NotificationRow,
    NotificationReadRow,
    ConsentRow,
    ErasureRow,
    DeliveryRow,
    DeliveryEventRow,
    DeliveryVersionRow,
    AuditEventRow,
    AuditSealRow,
    AuditBatchRow,
    MetricHourRow,
    MetricDayRow,
    MetricWatermarkRow,
    WorkerHeartbeatRow,
    RateLimitRow,
)
