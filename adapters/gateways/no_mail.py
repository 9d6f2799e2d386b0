"""No mail server is configured: mail is refused, plainly, and becomes a dead letter that can be redriven."""

from domain.errors import ToolRefused
from domain.ports import MailReceipt, OutboundMail


class NoMailGateway:
    async def send(self, mail: OutboundMail) -> MailReceipt:
        """Always `ToolRefused`."""
        raise ToolRefused("no mail server is configured")
