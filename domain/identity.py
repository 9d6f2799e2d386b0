"""What becomes of a decision where it is not certain enough that the customer asks."""

from domain.assurance import Assurance, needed_for
from domain.conversation import NOTHING_TO_ANSWER, TAKEN_OVER, wants_a_person
from domain.decision import Decision, Outcome, Reason, sealed
from domain.digest import digest
from domain.values import Json

UNPROVEN = "identity_not_proven"
CHANGED = "identity_for_other_actions"
_RULE = "identity"
_WISH = "customer_asked_for_human"


def actions_digest(decision: Decision) -> str:
    """What a code is asked for: the kind of request, and exactly these actions."""
    return digest({"intent": decision.intent, "actions": [action.digest for action in decision.actions]})


def held_back(decision: Decision, has: Assurance) -> Decision:
    """The decision as it stands for somebody who is known so well.

    Where that is too little nothing is done, and nothing is told that only the customer should hear, not even in the
    reasons: they are replaced by one, and actions and issues are left out. A wish for a person reaches one.
    """
    needs = needed_for(decision.intent, (action.tool for action in decision.actions))
    first = decision.reasons[0].code if decision.reasons else ""
    if has.is_enough(needs) or first in {TAKEN_OVER, NOTHING_TO_ANSWER}:  # a person has it, or nothing was asked
        return decision
    facts: Json = {"has": has.value, "needs": needs.value, "actions": actions_digest(decision)}
    message = "It is not certain that the customer is asking."
    wishes = tuple(reason for reason in decision.reasons if wants_a_person(decision) and reason.code == _WISH)
    reasons = (*wishes, Reason(code=UNPROVEN, rule=_RULE, message=message, facts=facts))
    changes = {"outcome": Outcome.ASK_HUMAN, "actions": (), "issues": (), "reasons": reasons}
    return sealed(decision.model_copy(update=changes), before={"digest": decision.digest}, identity=facts)


def asks_for_proof(decision: Decision) -> bool:
    """Whether nothing but a proof of who asks is missing."""
    return decision.reasons[:1] != () and decision.reasons[0].code == UNPROVEN


def wanted_actions(decision: Decision) -> str:
    """The digest of what was held back; empty if nothing was."""
    found = next((reason for reason in decision.reasons if reason.code == UNPROVEN), None)
    return str(found.facts.get("actions", "")) if found else ""


def only_as_asked(decision: Decision, wanted: str) -> Decision:
    """The decision after the customer proved who they are, for `wanted`: what would do anything else asks a person."""
    if decision.outcome is not Outcome.PROCEED or not decision.actions or actions_digest(decision) == wanted:
        return decision
    message = "What would be done now is not what the customer gave the code for."
    reason = Reason(code=CHANGED, rule=_RULE, message=message)
    held = tuple(action.model_copy(update={"outcome": Outcome.ASK_HUMAN}) for action in decision.actions)
    changes = {"outcome": Outcome.ASK_HUMAN, "actions": held, "reasons": (reason, *decision.reasons)}
    return sealed(decision.model_copy(update=changes), before={"digest": decision.digest})


def code_reply() -> str:
    """While the customer is asked to prove who they are."""
    return (
        "To protect your account, we have to be sure that it is you who asks. We have sent a code to the e-mail address"
        " you confirmed with us. Please answer with it within ten minutes."
    )
