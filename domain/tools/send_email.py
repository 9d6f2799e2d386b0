"""Send the verified reply to the customer by e-mail."""

import re
from datetime import timedelta
from hashlib import sha256
from typing import Literal

from pydantic import ConfigDict

from domain.errors import ToolRefused
from domain.facts import Facts
from domain.ports import OutboundMail, Ports
from domain.tools.tool import EffectClass, Risk, Tool, ToolCall
from domain.values import Json, Value

Purpose = Literal["refund_confirmation", "ticket_confirmation", "reply"]

SUBJECTS: dict[Purpose, str] = {
    "refund_confirmation": "Your refund",
    "ticket_confirmation": "Your support ticket",
    "reply": "Your request",
}
FOOTER = "You receive this message because you contacted us. Reference: {reference}"

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_NAME = re.compile(r"(?:[^\W\d_]|['’-]|\.(?=\s|$)|\s)+")
"""Letters, apostrophes, hyphens and abbreviating dots: `Dr. Zoë O'Hara` passes, `example.com` does not."""


class SendEmailArguments(Value):
    """Only why it is sent. To whom comes from the account and what it says from the checked reply."""

    model_config = ConfigDict(extra="forbid")

    purpose: Purpose


def message_id(key: str) -> str:
    """The Message-ID of an effect's mail, from its key alone: every attempt carries the same one."""
    local = key if _PLAIN_KEY.fullmatch(key) else sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    # A reserved domain: the id is ours alone and says nothing about the machine that sent it.
    return f"<{local}@holdfast.invalid>"


def _greeting(name: str) -> str:
    """A name that could pass for a link or a command is left out: it was typed by somebody."""
    usable = len(name) <= 80 and _NAME.fullmatch(name) is not None
    plain = " ".join(name.split()) if usable else ""
    return f"Hello {plain}," if plain else "Hello,"


def _mail(arguments: SendEmailArguments, call: ToolCall, to: str) -> OutboundMail:
    footer = FOOTER.format(reference=call.interaction_id)
    return OutboundMail(
        message_id=message_id(call.key),
        to=to,
        subject=SUBJECTS[arguments.purpose],
        text=f"{_greeting(call.account.name)}\n\n{call.reply.strip()}\n\n-- \n{footer}\n",
    )


async def _run(arguments: SendEmailArguments, call: ToolCall, ports: Ports) -> Json:
    if not call.account.email:
        raise ToolRefused("the account has no e-mail address", tool="send_email")
    if not call.reply.strip():
        raise ToolRefused("there is no verified reply to send", tool="send_email")
    receipt = await ports.mail.send(_mail(arguments, call, call.account.email))
    return {"messageId": receipt.message_id, "response": receipt.response}


def _preview(arguments: SendEmailArguments, facts: Facts) -> Json:
    return {"purpose": arguments.purpose, "hasEmail": bool(facts.account.email)}


send_email = Tool(
    name="send_email",
    summary="Send the checked reply to the customer's own e-mail address.",
    arguments=SendEmailArguments,
    run=_run,
    effect=EffectClass.WRITE,
    # One stable Message-ID on every attempt lets the receiving side recognise a repeat.
    idempotent=True,
    atomic=False,
    outlet=True,
    timeout=timedelta(seconds=20),
    risk=Risk.LOW,
    preview=_preview,
)
"""Result: `{messageId, response}`; a preview shows `{purpose, hasEmail}`. The text is `ToolCall.reply` with a greeting
by name and a footer; it is refused without a reply or an address."""
