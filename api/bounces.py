"""What became of a mail after a server had taken it: reports that come back, from whoever reads that mailbox."""

import hashlib

from api.auth import Caller
from api.deps import Services
from api.sending import set_going
from domain.dsn import DeliveryReport, is_plain, read_report
from domain.errors import ReportUnreadable
from domain.values import DeliveryId
from schema.audit import AuditEvent, AuditRepository
from schema.deliveries import DeliveryRepository

MAX_REPORT_BYTES = 256_000


def readable(report: str) -> bytes:
    """The report as it came over the wire, or `ReportUnreadable`."""
    raw = report.encode()
    if len(raw) > MAX_REPORT_BYTES or not is_plain(raw):
        raise ReportUnreadable("this is not built like a delivery status notification")
    return raw


async def take_report(services: Services, caller: Caller, raw: bytes) -> DeliveryId | None:
    """The delivery a report is about; None if it is no report, or about no mail of this organisation.

    A mail that had been taken and did not arrive becomes a dead letter. Anything else changes nothing: a delay, a
    report that was taken before, one about a mail that is a dead letter already.
    """
    reports = _read(raw)
    if not reports:
        return None
    failed = next((report for report in reports if report.has_failed), None)
    digest = hashlib.sha256(raw).hexdigest()
    async with services.db.transaction(caller.organisation) as session:
        deliveries, now = DeliveryRepository(session), services.now()
        delivery = await deliveries.of_mail(reports[0].message_id)
        if delivery is None:
            return None
        if failed is None or not await deliveries.bounced(failed.message_id, failed.code, "operators", now, digest):
            return delivery.id
        details = {"channel": delivery.channel, "reason": "bounced", "said": failed.code}
        event = AuditEvent(now, caller.name, "delivery.dead_lettered", delivery.id, details)
        await AuditRepository(session).append(event)
    # Its workflow sees a dead letter, tells of it and waits; if it cannot be told now, it is told within seconds.
    await set_going(services, caller.organisation, delivery.id)
    return delivery.id


def _read(raw: bytes) -> tuple[DeliveryReport, ...]:
    try:
        return read_report(raw)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        # The parser is the standard library's; what anybody may send finds the corners of it nobody knows.
        raise ReportUnreadable("this cannot be read as a mail") from None
