"""Every error has a code; nobody reads a message to decide anything.

    HoldfastError
    ├── RequestInvalid            400/422   the caller sent something that cannot be accepted
    │   ├── RequestIdReused       422       same key, another body
    │   └── ApprovalStale         409       the digest is not the one on the table
    ├── NotFound                  404       or it belongs to another organisation: the same answer
    │   └── CustomerNotFound, ConversationNotFound, InteractionNotFound, DecisionNotFound, HandoffNotFound
    ├── Conflict                  409       somebody else was first
    │   └── HandoffAlreadyDecided
    ├── NotAllowed                401/403
    │   ├── NotAuthenticated      401       KeyExpired, KeyRevoked, SessionOver, SignInFailed
    │   └── CsrfRefused, StepUpNeeded, PasswordChangeNeeded, ScopeMissing  403
    ├── DependencyDown            503       repeat safely, after `retry_after`
    └── ToolFailure               inside activities only; each says what is known about the effect
        ├── ToolRefused           it did not happen and will not: do not retry
        ├── ToolUnavailable       it did not happen: may be retried
        └── ToolOutcomeUnknown    it may have happened: a person looks, unless the tool is idempotent

    PayloadRefused            503       what Temporal keeps is not sealed as it must be: keys differ, or it was changed
    ModelUnavailable              a model did not answer usably; rules take over
    ReservationRefused            the ledger would exceed a limit; the decision becomes *ask a human*

An expected refusal is a value (`Decision`, `Issue`), not an exception.
"""

from typing import ClassVar


class HoldfastError(Exception):
    """Base of all. `code` is stable; the message is for an operator and carries nothing personal."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", **details: object) -> None:
        super().__init__(message or self.code)
        self.message = message or self.code.replace("_", " ")
        self.details = details


class RequestInvalid(HoldfastError):
    code = "request_invalid"


class RequestIdReused(RequestInvalid):
    """The key was used for another body; `details["fields"]` names what differs."""

    code = "request_id_reused"


class ApprovalStale(HoldfastError):
    code = "approval_stale"


class NotFound(HoldfastError):
    code = "not_found"


class CustomerNotFound(NotFound):
    code = "customer_not_found"


class ConversationNotFound(NotFound):
    code = "conversation_not_found"


class InteractionNotFound(NotFound):
    code = "interaction_not_found"


class DecisionNotFound(NotFound):
    code = "decision_not_found"


class HandoffNotFound(NotFound):
    code = "handoff_not_found"


class CalendarNotFound(NotFound):
    code = "calendar_not_found"


class KeyNotFound(NotFound):
    code = "key_not_found"


class OperatorNotFound(NotFound):
    code = "operator_not_found"


class Conflict(HoldfastError):
    code = "conflict"


class HandoffAlreadyDecided(Conflict):
    """`details` says what was decided, by whom and when."""

    code = "handoff_already_decided"


class NotAuthenticated(HoldfastError):
    code = "not_authenticated"


class KeyExpired(NotAuthenticated):
    code = "key_expired"


class KeyRevoked(NotAuthenticated):
    code = "key_revoked"


class SessionOver(NotAuthenticated):
    """There is no such session, or not any more: sign in again."""

    code = "session_over"


class SignInFailed(NotAuthenticated):
    """Which part was wrong is not said."""

    code = "sign_in_failed"


class CsrfRefused(HoldfastError):
    """A request with a session's cookie that another page may have sent."""

    code = "csrf_refused"


class StepUpNeeded(HoldfastError):
    """Who is there must be proved again first. `details["within"]`: how long that counts; `method`: how."""

    code = "step_up_needed"


class PasswordChangeNeeded(HoldfastError):
    code = "password_change_needed"


class ScopeMissing(HoldfastError):
    code = "scope_missing"


class RateLimited(HoldfastError):
    """`details["limit"]` names the limit, `details["retry_after"]` is in whole seconds."""

    code = "rate_limited"
    retryable = True


class DependencyDown(HoldfastError):
    """`details["dependency"]` names it: `postgres`, `temporal` or `identity_provider`."""

    code = "dependency_down"
    retryable = True


class PayloadRefused(HoldfastError):
    """Something Temporal keeps is not sealed for this workflow by a key known here. Nothing of it is believed."""

    code = "payload_refused"


class ToolFailure(HoldfastError):
    code = "tool_failure"


class ToolRefused(ToolFailure):
    code = "tool_refused"


class ToolUnavailable(ToolFailure):
    code = "tool_unavailable"
    retryable = True


class ToolOutcomeUnknown(ToolFailure):
    code = "tool_outcome_unknown"


class ModelUnavailable(HoldfastError):
    code = "model_unavailable"


class ReservationRefused(HoldfastError):
    code = "reservation_refused"


class ReportUnreadable(HoldfastError):
    """Not built like a report about a mail."""

    code = "report_unreadable"
