"""What customers agreed to, channel by channel: the last word counts."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path

from api.auth import CallerDep, Scope
from api.deps import ServicesDep
from api.fields import Body, Instant, Key, Note, Revision
from api.strict_json import StrictRoute
from domain.consent import Consent
from domain.values import CustomerId, Value
from schema.audit import AuditEvent, AuditRepository
from schema.consents import ConsentRepository, LastWord
from schema.customers import CustomerRepository
from workflows import ids

router = APIRouter(prefix="/customers", tags=["customers"], route_class=StrictRoute)


class ConsentChannel(StrEnum):
    """What a customer can say no to. A chat shows its answers where they were asked for: nothing is sent there."""

    EMAIL = "email"


CustomerPath = Annotated[Key, Path(alias="customerId")]
ChannelPath = Annotated[ConsentChannel, Path(alias="channel")]


class ConsentBody(Body):
    """What the customer says now."""

    status: Consent
    """`granted`: also our own ideas. `withdrawn`: answers only. `blocked`: nothing at all."""
    note: Note = ""
    """How we know."""
    expected_version: Revision | None = None
    """The version you saw, 0 if there was none; 409 if something else was said since."""


class ShownConsent(Value):
    channel: str
    status: Consent
    note: str = ""
    version: int
    """How often something was said about this channel."""
    said_at: Instant
    said_by: str
    """Who wrote it down."""

    @classmethod
    def of(cls, word: LastWord) -> "ShownConsent":
        return cls(
            channel=word.channel, status=word.state, note=word.note, version=word.version,
            said_at=word.at, said_by=word.actor,
        )  # fmt: skip


class ConsentList(Value):
    items: tuple[ShownConsent, ...]
    """Nothing was said about channels that are not here: answers may leave, our own ideas may not."""


@router.get("/{customerId}/consents", summary="What a customer agreed to, channel by channel")
async def list_consents(customer_id: CustomerPath, caller: CallerDep, services: ServicesDep) -> ConsentList:
    caller.need(Scope.BUILDER, Scope.OPERATOR, Scope.AUDITOR)
    async with services.db.transaction(caller.organisation) as session:
        await CustomerRepository(session).get(CustomerId(customer_id))
        words = await ConsentRepository(session).last_words(CustomerId(customer_id))
    return ConsentList(items=tuple(map(ShownConsent.of, words)))


@router.put("/{customerId}/consents/{channel}", summary="Write down what a customer agrees to", responses={409: {}})
async def put_consent(
    customer_id: CustomerPath, channel: ChannelPath, body: ConsentBody, caller: CallerDep, services: ServicesDep
) -> ShownConsent:
    """Holds for every message that has not left yet. The same again changes nothing."""
    caller.need(Scope.BUILDER, Scope.OPERATOR)
    async with services.db.transaction(caller.organisation) as session:
        word, is_new = await ConsentRepository(session).change(
            CustomerId(customer_id), channel, body.status, caller.name, services.now(),
            note=body.note, expected=body.expected_version,
        )  # fmt: skip
        if is_new:
            details = {"channel": channel.value, "status": word.state.value, "version": word.version}
            subject = ids.opaque(customer_id, services.id_key)
            event = AuditEvent(services.now(), caller.name, "consent.changed", subject, details)
            await AuditRepository(session).append(event)
    return ShownConsent.of(word)
