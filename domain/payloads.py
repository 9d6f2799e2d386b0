"""Whose a workflow is, told from its id: what binds what Temporal keeps to an organisation."""

import re

WORKFLOW = "encryption-workflow"
"""The name, in a sealed payload's metadata, under which it says what workflow it is for. Opening it proves it."""

_OURS = re.compile(r"[a-z-]+:([^:]+):.+", re.DOTALL)


def organisation_of(workflow_id: str) -> str:
    """The organisation of `<kind>:<organisation>:<rest>`; empty for the installation's own workflows."""
    found = _OURS.fullmatch(workflow_id)
    return found.group(1) if found else ""
