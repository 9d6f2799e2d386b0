"""The answer to a request: what the caller is told, in one shape, when it is first given and whenever it is read."""

from collections.abc import Sequence
from datetime import datetime

from domain.decision import Decision, Issue, Outcome, Reason
from domain.handoff import HandoffKind
from domain.interaction import EffectState, InteractionStatus
from domain.values import Intent, Json, Mode, Priority, Value


class ShownReason(Value):
    """One reason, without the facts behind it: those are on the decision."""

    code: str
    rule: str
    message: str = ""
    version: int = 0


class ShownDecision(Value):
    outcome: Outcome
    priority: Priority = Priority.NORMAL
    reasons: tuple[ShownReason, ...] = ()
    policy_version: int = 0


class ShownAction(Value):
    """One tool call and where its effect stands."""

    tool: str
    arguments: Json = {}
    effect: EffectState
    result: Json = {}

    @staticmethod
    def of(tool: str, arguments: Json, state: EffectState, result: Json | None) -> "ShownAction":
        """To the outside, an effect under way is a reserved one."""
        shown = EffectState.RESERVED if state is EffectState.DISPATCHED else state
        return ShownAction(tool=tool, arguments=arguments, effect=shown, result=result or {})


class ShownVerification(Value):
    passed: bool = True
    issues: tuple[Issue, ...] = ()


class ShownHandoff(Value):
    id: str
    kind: HandoffKind
    priority: Priority
    sla_due_at: datetime | None = None


class Answer(Value):
    """The core of `POST /chat` and of `GET /interactions/{id}`."""

    interaction_id: str
    conversation_id: str
    request_id: str
    customer_id: str
    mode: Mode
    status: InteractionStatus
    reply: str | None = None
    intent: Intent = Intent.OTHER
    confidence: float = 0.0
    decision: ShownDecision | None = None
    """None until the rules have spoken."""
    actions: tuple[ShownAction, ...] = ()
    verification: ShownVerification = ShownVerification()
    handoff: ShownHandoff | None = None


class Asked(Value):
    """Whose answer it is: the caller's own words for things."""

    id: str
    conversation_id: str
    request_id: str
    customer_id: str
    mode: Mode


def answer_of(
    asked: Asked,
    *,
    status: InteractionStatus,
    reply: str | None,
    decision: Decision | None,
    actions: Sequence[ShownAction] = (),
    reply_issues: Sequence[Issue] = (),
    handoff: ShownHandoff | None = None,
) -> Answer:
    """Puts an answer together from what is recorded."""
    issues = (*(decision.issues if decision else ()), *reply_issues)
    return Answer(
        interaction_id=asked.id,
        **asked.model_dump(by_alias=False, exclude={"id"}),
        status=status,
        reply=reply,
        intent=decision.intent if decision else Intent.OTHER,
        confidence=decision.confidence if decision else 0.0,
        decision=_shown(decision) if decision else None,
        actions=tuple(actions),
        verification=ShownVerification(passed=not issues, issues=issues),
        handoff=handoff,
    )


def _shown(decision: Decision) -> ShownDecision:
    return ShownDecision(
        outcome=decision.outcome,
        priority=decision.priority,
        reasons=tuple(_shown_reason(r) for r in decision.reasons),
        policy_version=decision.policy_version,
    )


def _shown_reason(reason: Reason) -> ShownReason:
    return ShownReason(code=reason.code, rule=reason.rule, message=reason.message, version=reason.version)
