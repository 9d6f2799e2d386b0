"""Who asks, where that must be certain: a code is sent to a verified address, and what came of it is looked at."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from temporalio import activity

from activities.failures import durable
from activities.judging import Judging
from activities.record import Record, read_record
from domain.correction import correction_in, stage_of_proof
from domain.decision import Outcome
from domain.handoff import HandoffDecision
from domain.identity import code_reply, wanted_actions
from domain.interaction import InteractionRef, InteractionStatus, Verdict
from domain.step_up import (
    MOST_A_DAY,
    NONCE_BYTES,
    VALID_FOR,
    AskedForProof,
    AskForProofInput,
    CodeState,
    ProofInput,
    address_hash,
)
from domain.tools.tool import AnyTool
from schema.audit import AuditEvent, AuditRepository
from schema.channels import Channel, ChannelRepository
from schema.code_deliveries import send_code
from schema.codes import CodeRepository, SentCode
from schema.deliveries import DeliveryRepository, DeliveryStatus, NewDelivery
from schema.handoffs import HandoffRepository
from schema.interactions import InteractionRepository
from schema.records import Recorded, load_recorded
from schema.session import Database, Session


class ProofActivities:
    def __init__(
        self,
        db: Database,
        *,
        judging: Judging,
        tools: Mapping[str, AnyTool],
        id_key: bytes,
        now: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._judging = judging
        self._tools = tools
        self._key = id_key
        self._now = now

    @activity.defn(name="proofs.ask")
    @durable
    async def ask(self, request: AskForProofInput) -> AskedForProof:
        """Send a code and tell the customer so: one transaction. A repeat finds the first one.

        Without a verified address, after the code has ended, or after too many, there is nothing to wait for."""
        ref = request.interaction
        async with self._db.transaction(ref.organisation) as session:
            record = await read_record(session, ref, self._now())
            found = await CodeRepository(session).find(ref.interaction_id)
            code = found or await self._new(session, record)
            if code is None or code.state in {CodeState.USED_UP, CodeState.EXPIRED}:
                return AskedForProof()
            starts = () if found else (await send_code(session, code, 1, self._now()),)
            if found is None:
                await self._tell(session, record)
        left = code.expires_at - self._now() if code.state is CodeState.OPEN else timedelta(0)
        return AskedForProof(wait=max(timedelta(0), left), starts=starts)

    @activity.defn(name="proofs.look")
    @durable
    async def look(self, request: ProofInput) -> Verdict:
        """What came of it: judged again for a customer who proved who they are; as it stands while the code is good;
        for a person once it is over."""
        ref = request.interaction
        async with self._db.transaction(ref.organisation) as session:
            recorded = await load_recorded(session, ref.interaction_id, None)
            code = await CodeRepository(session).find(ref.interaction_id)
            if recorded.interaction.finished_at is None and code is not None and code.state is CodeState.PROVEN:
                return await self._judge_again(session, request, recorded, code)
            standing = self._judging.verdict(recorded.decision, ()) if recorded.decision else Verdict()
            if recorded.interaction.finished_at is not None:  # somebody ended it, as an erasure does
                return standing.model_copy(update={"asks_for_proof": False, "passed_on": True})
            if code is not None and code.state is CodeState.OPEN and request.at < code.expires_at:
                return standing
            why = await self._over(session, ref, code)
        return standing.model_copy(update={"asks_for_proof": False, "reasons": (why, *standing.reasons)})

    async def _new(self, session: Session, record: Record) -> SentCode | None:
        interaction, now = record.interaction, self._now()
        channel = await self._verified(session, record)
        if channel is None or record.decision is None:
            return None
        codes = CodeRepository(session)
        if await codes.unproven_since(interaction.customer_id, now - timedelta(days=1)) >= MOST_A_DAY:
            await self._audit(session, interaction.id, "code.not_sent", reason="too_many")
            return None
        bound = wanted_actions(record.decision)
        nonce = secrets.token_bytes(NONCE_BYTES)
        code = await codes.ask(
            interaction.customer_id, channel.id, interaction.id,
            bound=bound, nonce=nonce, at=now, expires_at=now + VALID_FOR,
        )  # fmt: skip
        await self._audit(session, interaction.id, "code.sent", channel=channel.id, bound=bound)
        return code

    async def _verified(self, session: Session, record: Record) -> Channel | None:
        """Where a code may go: the address of the account, if the customer proved to read it."""
        if not record.facts.account.email:
            return None
        wanted = address_hash(self._key, session.organisation, "email", record.facts.account.email)
        channels = await ChannelRepository(session).list(record.interaction.customer_id)
        return next((c for c in channels if c.address_hash == wanted and c.verified_at is not None), None)

    async def _tell(self, session: Session, record: Record) -> None:
        interactions, interaction, now = InteractionRepository(session), record.interaction, self._now()
        status, reply = InteractionStatus.WAITING_FOR_CUSTOMER, code_reply()
        answer = record.answer(self._tools, status=status, reply=reply)
        answered = await interactions.answer(
            interaction.id,
            status=status,
            intent=answer.intent,
            confidence=answer.confidence,
            outcome=Outcome.ASK_HUMAN,
            reply=reply,
            answer=answer.model_dump(mode="json"),
            at=now,
        )
        if not answered.first:
            await interactions.wait(interaction.id, status, reply)
        message = NewDelivery(
            interaction_id=interaction.id,
            customer_id=interaction.customer_id,
            purpose="answer" if answered.first else "code_wanted",
            channel=interaction.channel.value,
            body=reply,
            at=now,
            status=DeliveryStatus.DELIVERED,
        )
        await DeliveryRepository(session).add(message)

    async def _judge_again(self, session: Session, request: ProofInput, recorded: Recorded, code: SentCode) -> Verdict:
        """Under the same rules, on the facts of now; only what the code was asked for."""
        ref, stage = request.interaction, stage_of_proof(request.corrections)
        judged = await load_recorded(session, ref.interaction_id, stage)
        if judged.decision is not None:
            return self._judging.verdict(judged.decision, await self._judging.standing(session, ref))
        correction = None
        if request.handoff_id is not None:
            handoff = await HandoffRepository(session).get(request.handoff_id)
            correction = correction_in(handoff.resolution) if handoff.decision is HandoffDecision.RESOLVED else None
        return await self._judging.decide(session, ref, recorded.interaction, stage, correction, code.bound)

    async def _over(self, session: Session, ref: InteractionRef, code: SentCode | None) -> str:
        """Why a person is asked now. Without a record the address was removed meanwhile."""
        if code is None:
            return "code_withdrawn"
        if code.state is CodeState.OPEN and await CodeRepository(session).end(code, CodeState.EXPIRED, self._now()):
            await self._audit(session, ref.interaction_id, "code.expired")
            return "code_expired"
        return f"code_{code.state.value}"

    async def _audit(self, session: Session, subject: str, action: str, **details: object) -> None:
        await AuditRepository(session).append(AuditEvent(self._now(), "agent", action, subject, details))
