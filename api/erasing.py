"""A customer is to be forgotten: put on record, then done by a workflow, and safe to ask for again."""

from datetime import timedelta

from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from api.auth import Caller
from api.deps import Services
from domain.erasure import ErasureRef, Tombstone, hashed
from domain.errors import DependencyDown, RequestIdReused
from domain.retention import LegalHold
from domain.values import CustomerId, OrganisationId, RequestId
from schema.audit import AuditEvent, AuditRepository
from schema.base import new_id
from schema.customers import CustomerRepository
from schema.erasures import Erasure, ErasureRepository
from schema.legal_holds import LegalHoldRepository
from workflows import ids
from workflows.erasure import ErasureWorkflow
from workflows.options import TASK_TIMEOUT

START_WITHIN = timedelta(seconds=5)
UNFINISHED_FOR = timedelta(minutes=5)
"""An erasure takes two minutes."""


async def ask_to_erase(services: Services, caller: Caller, customer_id: CustomerId, key: RequestId) -> Erasure:
    """On record and under way when this returns. Raises `CustomerNotFound`, `RequestIdReused`, `DependencyDown`; and
    `LegalHold`: then it is on record that it was asked for and refused."""
    try:
        erasure = await _on_record(services, caller, customer_id, key)
    except LegalHold as held:
        await _refused(services, caller, customer_id, held)
        raise
    if erasure.finished_at is None:
        await _work_on(services, caller.organisation, erasure.id)
    return erasure


async def resume_erasures(services: Services) -> None:
    """One round, over all organisations: what was asked for and whose workflow never came to be, or is lost, begins
    again. Raises `DependencyDown`."""
    for lost in await services.db.unfinished_erasures(services.now() - UNFINISHED_FOR):
        await _work_on(services, lost.organisation, lost.erasure_id)


async def _on_record(services: Services, caller: Caller, customer_id: CustomerId, key: RequestId) -> Erasure:
    at, organisation = services.now(), caller.organisation
    # Both are the caller's words: what outlives the erasure must not bring them back.
    subject, request = (hashed(organisation, words, services.id_key) for words in (customer_id, f"request\0{key}"))
    stone = Tombstone(id=new_id("ers"), organisation=organisation, subject=subject, by=caller.name, at=at)
    async with services.db.transaction(organisation) as session:
        erasures = ErasureRepository(session)
        found = await erasures.find(request)
        if found is None:
            await CustomerRepository(session).get(customer_id)
            await LegalHoldRepository(session).need_none(customer_id, at)
            found = await erasures.request(stone, customer_id, request)
            event = AuditEvent(at, caller.name, "customer.erasure_requested", found.id)
            await AuditRepository(session).append(event)
    if found.subject != subject:
        raise RequestIdReused("this request id was used for another customer", fields=["customerId"])
    return found


async def _refused(services: Services, caller: Caller, customer_id: CustomerId, held: LegalHold) -> None:
    subject = ids.opaque(customer_id, services.id_key)
    event = AuditEvent(services.now(), caller.name, "customer.erasure_refused", subject, {"hold": held.details["hold"]})
    async with services.db.transaction(caller.organisation) as session:
        await AuditRepository(session).append(event)


async def _work_on(services: Services, organisation: OrganisationId, erasure_id: str) -> None:
    """What runs already is left alone, what was lost with Temporal's state begins again."""
    try:
        await services.temporal.start_workflow(
            ErasureWorkflow.run,
            ErasureRef(organisation=organisation, erasure_id=erasure_id),
            id=ids.erasure(organisation, erasure_id),
            task_queue=services.task_queue,
            task_timeout=TASK_TIMEOUT,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            rpc_timeout=START_WITHIN,
        )
    except WorkflowAlreadyStartedError:
        return
    except (RPCError, RuntimeError) as error:
        raise DependencyDown("the request is stored; repeat it", dependency="temporal") from error
