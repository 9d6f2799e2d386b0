"""Every tool the system has. One file per tool; a new one adds its line here."""

from collections.abc import Mapping
from types import MappingProxyType

from domain.tools.create_ticket import create_ticket
from domain.tools.get_account import get_account
from domain.tools.get_billing import get_billing
from domain.tools.handoff_to_human import handoff_to_human
from domain.tools.issue_refund import issue_refund
from domain.tools.send_email import send_email
from domain.tools.tool import AnyTool

ALL_TOOLS: tuple[AnyTool, ...] = (
    create_ticket,
    get_account,
    get_billing,
    handoff_to_human,
    issue_refund,
    send_email,
)

TOOLS: Mapping[str, AnyTool] = MappingProxyType({tool.name: tool for tool in ALL_TOOLS})
"""By name. A name that is not here is not a tool."""
