"""`docs/reference/policies.md`, written from the packs themselves: `python -m domain.policies.reference` prints it."""

import sys

from domain.policies.book import PolicyBook
from domain.policies.cel import MAX_ADDITIONS, MAX_LENGTH, MAX_LENGTH_WITH_LOOP, MAX_NESTING, VARIABLES
from domain.policies.inputs import MAX_INVOICES, MAX_ITEMS, MAX_TEXT
from domain.policies.pack import PolicyPack, Then

_HEAD = f"""# Policies

Written from the packs in `domain/policies/packs` by `python -m domain.policies.reference`. How to write one:
[add a policy](../how-to/add-a-policy.md).

`first`: the first rule whose condition is true decides. `all`: every rule whose condition is true counts, and the
strictest wins. A rule without an answer for the facts at hand asks a human with the code `policy_error`.

Conditions are CEL, checked when the pack is loaded: at most {MAX_LENGTH} characters,
{MAX_LENGTH_WITH_LOOP} with a loop, {MAX_NESTING} levels of brackets, {MAX_ADDITIONS} additions, no loop inside a loop,
no `matches`, no `map`, no joining of text. For facts with text over {MAX_TEXT} characters, lists over {MAX_ITEMS} items
or integers beyond 64 bits a rule has no answer. `facts.get_billing` shows the latest {MAX_INVOICES} invoices.

Variables: {", ".join(f"`{name}`" for name in sorted(VARIABLES))}, and `limits.<parameter>` of the rule's own pack.
"""


def reference(book: PolicyBook) -> str:
    """The page for the packs in `book`."""
    return "\n".join([_HEAD, *(_section(pack) for pack in book)])


def _section(pack: PolicyPack) -> str:
    judges = [f"`{name}`" for name in (*pack.tools, *(intent.value for intent in pack.intents))]
    lines = [f"## {pack.subject}", "", pack.summary, ""]
    lines.append(f"Version {pack.version}, hit: {pack.hit.value}. Judges {', '.join(judges) or 'whole proposals'}.")
    if pack.parameters:
        lines += ["", "| parameter | value |", "|---|---|"]
        lines += [f"| `{name}` | {_shown(value)} |" for name, value in pack.parameters.items()]
    lines += ["", "| rule | when | then | code | meaning |", "|---|---|---|---|---|"]
    for rule in pack.rules:
        when = " ".join(rule.when.split()).replace("|", "\\|")
        lines.append(f"| `{rule.id}` | `{when}` | {_then(rule.then)} | {_code(rule.then)} | {rule.reason} |")
    lines.append(f"| default | | {_then(pack.default)} | {_code(pack.default)} | |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, tuple) else str(value)


def _then(then: Then) -> str:
    return (then.outcome or then.priority or "").replace("_", " ")


def _code(then: Then) -> str:
    return f"`{then.code}`" if then.code else ""


if __name__ == "__main__":
    sys.stdout.write(reference(PolicyBook.shipped()))
