"""What a reply may rely on: the facts, what was really done, and what was decided."""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from domain.decision import Decision, Outcome, Reason
from domain.facts import Facts, Invoice
from domain.handoff import HandoffKind
from domain.interaction import EffectState
from domain.values import MAX_MINOR_UNITS, Json, Mode, Money, Value


class DoneAction(Value):
    """One action of the decision with what became of it. Unreadable means unknown."""

    tool: str
    arguments: Json = {}
    effect_state: EffectState = EffectState.UNKNOWN
    result: Json = {}
    """What the tool returned, or its preview; empty unless it ran."""

    @property
    def invoice_id(self) -> str | None:
        """The invoice it concerns, whichever spelling the arguments were stored in."""
        found = self.arguments.get("invoiceId", self.arguments.get("invoice_id"))
        return found if isinstance(found, str) else None

    @property
    def money(self) -> Money | None:
        """The amount the tool says it moved; nothing if its result does not say so exactly."""
        try:
            return Money.model_validate(self.result.get("amount"))
        except ValidationError:
            return None


class Evidence(Value):
    """Everything a claim can be backed by. The defaults back nothing."""

    facts: Facts
    done: tuple[DoneAction, ...] = ()
    handoff: HandoffKind | None = None
    """The kind of the handoff that is open for this interaction, if one is."""
    outcome: Outcome = Outcome.ASK_HUMAN
    reasons: tuple[Reason, ...] = ()
    """Why it was decided so; the facts the rules looked at (a window in days, say) back a reply that names them."""
    mode: Mode = Mode.LIVE
    """In shadow a preview stands for the effect, so that shadow replies are those of live. Live accepts no preview."""
    link_hosts: tuple[str, ...] = ()
    """Host names a reply may link to over https. Without any, every link is blocked."""

    @classmethod
    def of(
        cls,
        decision: Decision,
        facts: Facts,
        done: Sequence[DoneAction] = (),
        *,
        handoff: HandoffKind | None = None,
        mode: Mode = Mode.LIVE,
        link_hosts: tuple[str, ...] = (),
    ) -> "Evidence":
        """The evidence for a reply to this decision."""
        return cls(
            facts=facts,
            done=tuple(done),
            handoff=handoff,
            outcome=decision.outcome,
            reasons=decision.reasons,
            mode=mode,
            link_hosts=link_hosts,
        )

    @property
    def reason_codes(self) -> frozenset[str]:
        return frozenset(reason.code for reason in self.reasons)

    @property
    def confirmed(self) -> tuple[DoneAction, ...]:
        """What certainly happened (in shadow: would have)."""
        backing = {EffectState.CONFIRMED} | ({EffectState.PREVIEW} if self.mode is Mode.SHADOW else set())
        return tuple(action for action in self.done if action.effect_state in backing)

    def confirmed_refunds(self, invoice_id: str | None = None) -> tuple[DoneAction, ...]:
        """Refunds that certainly happened, of one invoice or of any."""
        return tuple(
            action
            for action in self.confirmed
            if action.tool == "issue_refund" and (invoice_id is None or action.invoice_id == invoice_id)
        )

    def refunded(self, invoice: Invoice) -> int:
        """Minor units given back on an invoice: before, and by this interaction."""
        moved = (action.money for action in self.confirmed_refunds(invoice.id))
        return invoice.refunded + sum(money.amount for money in moved if money)

    def amounts_of(self, invoice: Invoice) -> frozenset[Money]:
        """Every amount that may be said about one invoice."""
        before = (invoice.total.amount, invoice.refunded, invoice.in_flight, invoice.refundable.amount)
        now = self.refunded(invoice)
        left = max(0, invoice.refundable.amount - (now - invoice.refunded))
        moved = (action.money for action in self.confirmed_refunds(invoice.id))
        sayable = {amount for amount in (*before, now, left) if amount <= MAX_MINOR_UNITS}
        return frozenset(
            {Money(amount=amount, currency=invoice.total.currency) for amount in sayable}
            | {money for money in moved if money}
        )

    @property
    def amounts(self) -> frozenset[Money]:
        """Every amount that may be said at all."""
        known = {money for invoice in self.facts.invoices for money in self.amounts_of(invoice)}
        return frozenset(known | {action.money for action in self.confirmed if action.money})

    @property
    def known_ids(self) -> frozenset[str]:
        """Identifiers that are this customer's own: invoices, the account, and what confirmed tools returned."""
        returned = {text for action in self.confirmed for text in _strings(action.result) if _is_id(text)}
        own = {invoice.id for invoice in self.facts.invoices} | {str(self.facts.account.customer_id)}
        return frozenset(own | returned)


def _is_id(text: str) -> bool:
    """One word of letters and digits. A currency code, a sentence or a bare number vouches for nothing."""
    return (
        len(text) <= 100
        and any(map(str.isdigit, text))
        and any(map(str.isalpha, text))
        and not set(text) & set(" \t\n")
    )


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
