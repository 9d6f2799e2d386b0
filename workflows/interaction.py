"""What happens to one message, in order."""

import contextlib
from collections.abc import Awaitable

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, ChildWorkflowError, FailureError, is_cancelled_exception

from activities.decisions import DecisionActivities
from activities.handoffs import HandoffActivities
from activities.proofs import ProofActivities
from activities.replies import ReplyActivities
from activities.tools import ToolActivities
from domain.correction import CorrectInput
from domain.errors import ApprovalStale
from domain.handoff import HandoffDecision, HandoffInput, HandoffKind, Resolution
from domain.interaction import (
    AdmitInput,
    CallInput,
    CommitInput,
    Committed,
    EffectOutcome,
    EffectState,
    InteractionRef,
    InteractionResult,
    InteractionStatus,
    OpenedHandoff,
    OpenHandoffInput,
    PlannedEffect,
    Verdict,
)
from domain.step_up import AskedForProof, AskForProofInput, ProofInput
from domain.values import HandoffId, Mode
from workflows import ids, options
from workflows.attributes import INTENT, OUTCOME, PRIORITY, STATUS
from workflows.starting import start_deliveries


@workflow.defn(name="interaction")
class InteractionWorkflow:
    """One customer interaction: understand, judge, act or ask, reply, deliver.

    Ends as: *completed* (done, or answered by a person), *refused* (the rules say no, and the customer was told why),
    *failed* (with a visible reason, after a person could not be asked either). While a person is needed it waits.
    """

    @workflow.init
    def __init__(self, start: InteractionRef) -> None:
        self._start = start
        self._verdict = Verdict()
        self._answered: InteractionStatus | None = None
        self._corrected_by: list[HandoffId] = []
        self._is_stuck = False
        self._told = False

    @workflow.run
    async def run(self, start: InteractionRef) -> InteractionResult:
        try:
            status = await self._tell_the_story()
        except Exception:
            # Whoever waits for an answer hears at once that there is none; the request may be repeated.
            self._answered = self._answered or InteractionStatus.FAILED
            await workflow.wait_condition(workflow.all_handlers_finished)
            raise
        self._mark(status)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return InteractionResult(status=status, outcome=self._verdict.outcome, intent=self._verdict.intent)

    async def _tell_the_story(self) -> InteractionStatus:
        blocked_by = self._start.blocked_by
        committed = Committed(blocked_by=blocked_by) if blocked_by else await self._go_on(self._judge())
        while committed.blocked_by:
            committed = await self._let_a_person_finish(committed.blocked_by)
        self._answered = self._answered or committed.status
        await start_deliveries(self._start.organisation, committed.starts)
        return committed.status

    async def _go_on(self, judging: Awaitable[Verdict]) -> Committed:
        """From a verdict to an answer. What stands in the way of one is named."""
        try:
            self._verdict = await judging
            if self._verdict.asks_for_proof:
                await self._ask_for_proof()
            resolution = await self._ask_a_person_if_needed()
            if resolution is not None and resolution.continues:
                return await self._go_on(self._correct(resolution))
            if resolution is not None and resolution.leaves_open:
                return Committed(blocked_by=resolution.leaves_open)
            await self._act()
            return await self._commit_reply(resolution)
        except FailureError as failure:
            if is_cancelled_exception(failure):
                raise
            return Committed(blocked_by=_reason_of(failure))

    @workflow.update(name=ids.ANSWER_UPDATE, description="Waits for the first answer: final, or that a person looks.")
    async def answer(self) -> InteractionStatus:
        """Returns as soon as an answer is stored in Postgres, which is where its words are."""
        await workflow.wait_condition(lambda: self._answered is not None)
        return self._answered or InteractionStatus.FAILED

    @workflow.update(name=ids.PROVEN_UPDATE, description="Look whether the code was given back; waits for the answer.")
    async def proven(self) -> InteractionStatus:
        """Returns as soon as the answer that follows is stored. Being told for nothing costs a look."""
        self._told = True
        await workflow.wait_condition(lambda: self._answered not in {None, InteractionStatus.WAITING_FOR_CUSTOMER})
        return self._answered or InteractionStatus.FAILED

    async def _ask_for_proof(self) -> None:
        """Waits until the customer proved who they are, or the code is over. Then there is another verdict."""
        while self._verdict.asks_for_proof and self._start.mode is Mode.LIVE:
            asked = await self._send_code()
            await start_deliveries(self._start.organisation, asked.starts)
            if asked.wait is None:  # no way to ask: a person finds out
                return
            self._answered = InteractionStatus.WAITING_FOR_CUSTOMER
            self._mark(InteractionStatus.WAITING_FOR_CUSTOMER)
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._told, timeout=asked.wait, timeout_summary="for the code")
            self._told = False
            self._verdict = await self._look_for_proof()
        self._answered = None

    async def _ask_a_person_if_needed(self) -> Resolution | None:
        if not self._verdict.needs_a_person or self._start.mode is Mode.SHADOW:
            return None
        reason = self._verdict.reasons[0] if self._verdict.reasons else "needs_a_person"
        resolution = await self._ask_a_person(self._verdict.handoff_kind, reason)
        if resolution.decision is HandoffDecision.APPROVED:
            self._verdict = await self._admit(resolution)
        return resolution

    async def _let_a_person_finish(self, reason: str) -> Committed:
        """Something stands in the way of an answer: nothing may leave, so a person takes over."""
        if self._start.mode is Mode.SHADOW:
            return await self._fail(reason)
        resolution = await self._ask_a_person(HandoffKind.TAKEOVER, reason)
        if resolution.continues and self._is_stuck:  # it was followed, and led nowhere: there is no other answer
            return await self._fail("correction_impossible")
        if resolution.continues:
            return await self._go_on(self._correct(resolution))
        return await self._commit_reply(resolution)

    async def _ask_a_person(self, kind: HandoffKind, reason: str) -> Resolution:
        """Waits until somebody decided, for as long as it takes."""
        while True:
            opened = await self._open_handoff(kind, reason)
            await start_deliveries(self._start.organisation, opened.starts)
            self._answered = InteractionStatus.WAITING_FOR_HUMAN
            self._mark(InteractionStatus.WAITING_FOR_HUMAN)
            resolution = opened.resolution or await self._wait_for(opened, reason)
            if resolution is not None:
                return resolution

    async def _wait_for(self, opened: OpenedHandoff, reason: str) -> Resolution | None:
        """None if the handoff's workflow was ended by somebody else: its record says whether a decision was taken."""
        # By name: the sandbox defines every workflow class this module imports anew for each interaction, and one more
        # class costs a tenth of a worker.
        try:
            resolution: Resolution = await workflow.execute_child_workflow(
                ids.HANDOFF_WORKFLOW,
                HandoffInput(
                    organisation=self._start.organisation,
                    handoff_id=opened.handoff_id,
                    kind=opened.kind,
                    sla_due_at=opened.sla_due_at,
                    look_at=opened.look_at,
                    reopened=opened.reopened,
                ),
                id=ids.handoff(self._start.organisation, opened.handoff_id),
                result_type=Resolution,
                task_timeout=options.TASK_TIMEOUT,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                # One that an earlier run of this interaction left behind would tell its decision to nobody.
                id_reuse_policy=WorkflowIDReusePolicy.TERMINATE_IF_RUNNING,
                static_summary=f"{opened.kind.value}: {reason}",
            )
        except ChildWorkflowError as failure:
            if is_cancelled_exception(failure):
                raise
            return None
        return resolution

    async def _act(self) -> None:
        """Carries out what may run, in order; the first one that is not confirmed stops the rest."""
        for effect in self._verdict.effects:
            if not effect.outlet:
                outcome = await self._call(effect)
                if outcome.state is not EffectState.CONFIRMED:
                    return

    async def _judge(self) -> Verdict:
        return await workflow.execute_local_activity_method(DecisionActivities.judge, self._start, **options.STEP)

    async def _send_code(self) -> AskedForProof:
        return await workflow.execute_local_activity_method(
            ProofActivities.ask, AskForProofInput(interaction=self._start), summary="send a code", **options.STEP
        )

    async def _look_for_proof(self) -> Verdict:
        request = ProofInput(
            interaction=self._start,
            at=workflow.now(),
            corrections=len(self._corrected_by),
            handoff_id=self._corrected_by[-1] if self._corrected_by else None,
        )
        return await workflow.execute_local_activity_method(
            ProofActivities.look, request, summary="was the code given back?", **options.STEP
        )

    async def _correct(self, resolution: Resolution) -> Verdict:
        """A person said what was meant: judged again from there, under the same rules."""
        request = CorrectInput(
            interaction=self._start, handoff_id=resolution.handoff_id, round=len(self._corrected_by) + 1
        )
        try:
            verdict: Verdict = await workflow.execute_local_activity_method(
                DecisionActivities.correct, request, summary="judge what a person corrected", **options.STEP
            )
        except FailureError as failure:
            self._is_stuck = _reason_of(failure) != ApprovalStale.code  # nobody had said so: a person still can
            raise
        self._corrected_by.append(resolution.handoff_id)
        return verdict

    async def _admit(self, resolution: Resolution) -> Verdict:
        return await workflow.execute_local_activity_method(
            DecisionActivities.admit,
            AdmitInput(interaction=self._start, handoff_id=resolution.handoff_id),
            summary="reserve exactly what was approved",
            **options.STEP,
        )

    async def _open_handoff(self, kind: HandoffKind, reason: str) -> OpenedHandoff:
        return await workflow.execute_local_activity_method(
            HandoffActivities.open,
            OpenHandoffInput(interaction=self._start, kind=kind, reason=reason),
            summary=f"ask a person: {reason}",
            **options.STEP,
        )

    async def _call(self, effect: PlannedEffect) -> EffectOutcome:
        """One effect, settled in the end whatever happens: what nobody can carry out must not stay reserved."""
        request = CallInput(interaction=self._start, effect=effect)
        try:
            if effect.atomic:
                return await workflow.execute_local_activity_method(
                    ToolActivities.call, request, summary=effect.tool, **options.STEP
                )
            return await workflow.execute_activity_method(
                ToolActivities.call, request, summary=effect.tool, **options.OUTSIDE
            )
        except FailureError as failure:
            if is_cancelled_exception(failure):
                raise
            return await workflow.execute_local_activity_method(
                ToolActivities.give_up, request, summary=f"{effect.tool}: what is known?", **options.STEP
            )

    async def _commit_reply(self, resolution: Resolution | None) -> Committed:
        return await workflow.execute_local_activity_method(
            ReplyActivities.commit,
            CommitInput(interaction=self._start, resolution=resolution),
            **options.STEP,
        )

    async def _fail(self, reason: str) -> Committed:
        return await workflow.execute_local_activity_method(
            ReplyActivities.fail, self._start, summary=f"nobody can be asked: {reason}", **options.STEP
        )

    def _mark(self, status: InteractionStatus) -> None:
        verdict = self._verdict
        workflow.upsert_search_attributes(
            [
                STATUS.value_set(status.value),
                INTENT.value_set(verdict.intent.value),
                OUTCOME.value_set(verdict.outcome.value),
                PRIORITY.value_set(verdict.priority.rank),
            ]
        )
        workflow.set_current_details(
            f"**{status.value}** · {verdict.intent.value} ({verdict.confidence:.0%} sure) → {verdict.outcome.value}"
            f"\n\nbecause: {', '.join(verdict.reasons) or 'n/a'}"
        )


def _reason_of(failure: FailureError) -> str:
    """The code of what went wrong. A local activity's own error arrives bare, a regular one's is wrapped."""
    cause = failure if isinstance(failure, ApplicationError) else failure.cause
    return cause.type or "internal" if isinstance(cause, ApplicationError) else "internal"
