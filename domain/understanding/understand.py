"""From a message to an `Understanding`, without a key and without keeping a word of it."""

import math
from collections.abc import Mapping
from typing import TypeGuard

from domain.errors import ModelUnavailable
from domain.ports import IntentModel
from domain.proposal import Source, Understanding
from domain.understanding.entities import find_amount, find_invoice, is_amount_unclear
from domain.understanding.rules import Ruling, rule_on
from domain.understanding.screen import screen, trusted
from domain.values import Intent

STRONG = 0.6
"""From here on a model's answer counts as an opinion of its own."""
DOUBTFUL = 0.5
"""What two wishes in one message, or a refund of an amount that cannot be read, are worth at most."""
VETOED = 0.3
"""What an intent is worth at most whose words are there but are denied or asked about."""
UNKNOWN = 0.4
"""What `other` is worth at most: being sure that a text is none of our business is no ground for acting on it."""

Answer = tuple[Intent, float, Source]


def understand(text: str, model: IntentModel) -> Understanding:
    """What the message seems to say. The steps, in order:

    1. The screen reads all of it. A wish for a person is the answer, with certainty, and no model is asked.
    2. Rules and model read the part before the first attempt to give us orders (`screen.trusted`), nothing behind it.
    3. One rule fires: its intent and confidence stand, unless the model is strongly (0.6) for another intent; then the
       rule's confidence is multiplied by what the model leaves open, `rule * (1 - model)`.
    4. Several rules fire for different intents: the surest of them, at most 0.5. Two wishes are a person's to sort.
    5. No rule fires: the model's answer as it is, however low; `other` at most 0.4, a vetoed intent at most 0.3.
    6. A refund of an amount or thing that is named but unreadable: at most 0.5, since *all of it* would be a guess.

    A model that is unavailable, or answers with anything but probabilities, has said nothing: the rules remain.
    The confidence is always a number from 0 to 1.
    """
    screened = screen(text)
    plain = trusted(text)
    intent, confidence, source = _answer(plain, model, wants_human=screened.wants_human)
    amount, currency = find_amount(plain) or (None, None)
    if intent is Intent.REFUND_REQUEST and is_amount_unclear(plain):
        confidence = min(confidence, DOUBTFUL)
    return Understanding(
        intent=intent,
        confidence=confidence,
        source=source,
        invoice_id=find_invoice(plain),
        amount=amount,
        currency=currency,
        wants_human=screened.wants_human,
        opts_out=screened.opts_out,
        suspicious=screened.suspicious,
    )


def understood_somehow(text: str, model: IntentModel) -> Understanding:
    """The same, where a person says what was meant: what cannot be understood at all stands in nobody's way."""
    try:
        return understand(text, model)
    except Exception:  # whatever is wrong with the model or the text
        return Understanding()


def _answer(plain: str, model: IntentModel, *, wants_human: bool) -> Answer:
    if wants_human:
        return Intent.HUMAN_REQUEST, 1.0, Source.RULES
    if not plain:
        return Intent.OTHER, 0.0, Source.RULES
    ruling = rule_on(plain)
    scores = _opinion(plain, model)
    return _by_rule(ruling, scores) if ruling.settled else _by_model(ruling, scores)


def _by_rule(ruling: Ruling, scores: Mapping[Intent, float]) -> Answer:
    rule = max(ruling.settled, key=lambda settled: settled.confidence)
    confidence = rule.confidence
    favourite = max(scores, key=lambda intent: scores[intent], default=rule.intent)
    if favourite is not rule.intent and scores[favourite] >= STRONG:
        confidence *= 1.0 - scores[favourite]
    if len(ruling.settled) > 1:
        confidence = min(confidence, DOUBTFUL)
    return rule.intent, confidence, Source.RULES


def _by_model(ruling: Ruling, scores: Mapping[Intent, float]) -> Answer:
    ceilings = {Intent.OTHER: UNKNOWN} | dict.fromkeys(ruling.vetoed, VETOED)
    intent = max(scores, key=lambda i: scores[i], default=Intent.OTHER)
    return intent, min(scores.get(intent, 0.0), ceilings.get(intent, 1.0)), Source.EMBEDDED


def _opinion(plain: str, model: IntentModel) -> Mapping[Intent, float]:
    """The model's probabilities, or nothing if they are not probabilities: an invalid answer buys no confidence."""
    try:
        scores: Mapping[Intent, object] = model.classify(plain).scores
    except ModelUnavailable:
        return {}
    valid = {intent: score for intent, score in scores.items() if _is_probability(score)}
    return valid if len(valid) == len(scores) and math.fsum(valid.values()) <= 1.0 + 1e-6 else {}


def _is_probability(score: object) -> TypeGuard[float]:
    return isinstance(score, float) and 0.0 <= score <= 1.0
