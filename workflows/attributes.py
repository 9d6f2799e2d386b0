"""The search attributes, declared once. Plain text in Temporal: ids and codes, nothing personal."""

from temporalio.common import SearchAttributeKey

ORGANISATION = SearchAttributeKey.for_keyword("Organisation")
CUSTOMER = SearchAttributeKey.for_keyword("Customer")
CONVERSATION = SearchAttributeKey.for_keyword("Conversation")
CHANNEL = SearchAttributeKey.for_keyword("Channel")
INTENT = SearchAttributeKey.for_keyword("Intent")
OUTCOME = SearchAttributeKey.for_keyword("Outcome")
MODE = SearchAttributeKey.for_keyword("Mode")
STATUS = SearchAttributeKey.for_keyword("Status")
HANDOFF_STATUS = SearchAttributeKey.for_keyword("HandoffStatus")
GRAPH = SearchAttributeKey.for_keyword("Graph")
PRIORITY = SearchAttributeKey.for_int("Priority")
DUE_AT = SearchAttributeKey.for_datetime("DueAt")

SEARCH_ATTRIBUTES = (
    ORGANISATION, CUSTOMER, CONVERSATION, CHANNEL, INTENT, OUTCOME, MODE, STATUS, HANDOFF_STATUS, GRAPH,
    PRIORITY, DUE_AT,
)  # fmt: skip
"""All of them, registered at start and read back. SQL stores allow ten keywords: this is all ten."""
