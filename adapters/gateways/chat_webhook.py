"""Chat rooms that take one line over an incoming webhook."""

from collections.abc import Callable
from datetime import datetime

from adapters.gateways.outside import OutsideClient
from adapters.gateways.webhook import post
from domain.delivery import Failure, Receipt
from domain.outside import Use
from domain.values import OrganisationId


class HttpChatGateway:
    """Posts one line to a chat room's incoming webhook (Slack, Mattermost and their like)."""

    def __init__(self, client: OutsideClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now

    async def send(self, url: str, body: str, organisation: OrganisationId) -> Receipt | Failure:
        whose = (organisation, Use.CHAT)
        return await post(self._client, url, body, {"Content-Type": "application/json"}, self._now, whose)
