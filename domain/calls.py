"""A proposed call, read for people: what it does, how much it moves, and to what."""

from collections.abc import Mapping

from domain.errors import RequestInvalid
from domain.tools.tool import AnyTool
from domain.values import Json, Money


def money_and_subject(action: Json, tools: Mapping[str, AnyTool]) -> tuple[Money | None, str | None]:
    """The amount and the object of a call; nothing of one that cannot be read."""
    tool = tools.get(str(action.get("tool")))
    if tool is None:
        return None, None
    try:
        arguments = tool.parse(action.get("arguments") or {})
    except RequestInvalid:
        return None, None
    return tool.money(arguments), tool.subject(arguments)


def canonical(tool: str, arguments: Json, tools: Mapping[str, AnyTool]) -> Json:
    """The arguments as they are recorded; unchanged if they cannot be read."""
    try:
        parsed: Json = tools[tool].parse(arguments).model_dump(mode="json", by_alias=True)
    except (KeyError, RequestInvalid):
        return arguments
    return parsed


def in_words(action: Json, tools: Mapping[str, AnyTool]) -> str:
    """`Give back an amount of one paid invoice: EUR 480.00, inv_2001.`"""
    tool = tools.get(str(action.get("tool")))
    if tool is None:
        return "An unknown tool."
    details = [str(part) for part in money_and_subject(action, tools) if part is not None]
    return tool.summary.rstrip(".") + (f": {', '.join(details)}." if details else ".")
