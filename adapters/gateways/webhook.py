"""Outbound webhooks, signed as Standard Webhooks says."""

from collections.abc import Callable
from datetime import datetime

from adapters.gateways.outside import AddressRefused, OutsideClient, Unreachable, Whose
from adapters.signing import sign
from domain.delivery import Failure, FailureKind, Receipt
from domain.outside import Use
from domain.webhook import WebhookCall, outcome_of, retry_after


class HttpWebhookGateway:
    """Posts each event once. Whether it is tried again is decided elsewhere."""

    def __init__(self, client: OutsideClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now

    async def send(self, call: WebhookCall) -> Receipt | Failure:
        if not call.keys.secrets:
            return Failure(kind=FailureKind.REFUSED_BY_POLICY, code="secret_missing")
        headers = {
            "Content-Type": "application/json",
            **sign(call.keys.secrets, call.webhook_id, self._now(), call.body, seeds=call.keys.seeds),
        }
        whose = (call.organisation, Use.WEBHOOK)
        return await post(self._client, call.url, call.body, headers, self._now, whose)


async def post(
    client: OutsideClient,
    url: str,
    body: str,
    headers: dict[str, str],
    now: Callable[[], datetime],
    whose: Whose | None = None,
) -> Receipt | Failure:
    """One POST, and what it means. A line that broke after the request had left is ambiguous: it may have arrived."""
    try:
        answer = await client.request("POST", url, content=body.encode(), headers=headers, whose=whose)
    except AddressRefused:
        return Failure(kind=FailureKind.REFUSED_BY_POLICY, code="address_refused")
    except Unreachable as failure:
        kind = FailureKind.AMBIGUOUS if failure.sent else FailureKind.TRANSIENT
        return Failure(kind=kind, code=failure.code)
    return outcome_of(answer.status, retry_after(answer.headers.get("retry-after"), now()))
