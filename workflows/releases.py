"""Releases side by side: which build of the workers gets new work, which only finishes what it began.

A run is pinned to the build it began on. It ends there, or is moved on command, once its own history has been seen to
replay against the newer code.
"""

from dataclasses import dataclass
from enum import StrEnum

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.deployment.v1 import WorkerDeploymentVersion as Version
from temporalio.api.enums.v1 import WorkerDeploymentVersionStatus
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
    UpdateWorkflowExecutionOptionsRequest,
)
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Replayer, WorkerDeploymentConfig

from domain.errors import HoldfastError
from workflows.runtime import SANDBOX, WORKFLOWS

IDENTITY = "holdfast-release"
_PINNED = VersioningOverride.PINNED_OVERRIDE_BEHAVIOR_PINNED


class NoSuchRelease(HoldfastError):
    """No worker of this deployment, or of this build, has ever asked for work."""

    code = "no_such_release"


class ReleaseStatus(StrEnum):
    """What a build does."""

    CURRENT = "current"
    """Gets new work."""
    RAMPING = "ramping"
    """Gets a share of new work."""
    DRAINING = "draining"
    """Finishes what it began: its workers must stay."""
    DRAINED = "drained"
    """Nothing of it runs any more: its workers may go."""
    INACTIVE = "inactive"
    """Has workers, and never got work."""


_STATUS = {
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_CURRENT: ReleaseStatus.CURRENT,
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_RAMPING: ReleaseStatus.RAMPING,
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINING: ReleaseStatus.DRAINING,
    WorkerDeploymentVersionStatus.WORKER_DEPLOYMENT_VERSION_STATUS_DRAINED: ReleaseStatus.DRAINED,
}


@dataclass(frozen=True)
class Release:
    """One build of a deployment."""

    build_id: str
    status: ReleaseStatus

    @property
    def gets_new_work(self) -> bool:
        """Or a share of it."""
        return self.status in {ReleaseStatus.CURRENT, ReleaseStatus.RAMPING}


@dataclass(frozen=True)
class Moved:
    """What became of the runs of an old build: how many run on the new one now, and which could not replay there."""

    moved: int
    stayed: tuple[str, ...]


def deployment(name: str, build_id: str) -> WorkerDeploymentConfig | None:
    """How a worker says which release it is; None, and no versioning, without a name."""
    if not name:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(name, build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


async def releases(client: Client, name: str) -> list[Release]:
    """Every build of the deployment that Temporal knows, newest first. None if no worker ever asked for work."""
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=name)
    try:
        answer = await client.workflow_service.describe_worker_deployment(request)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return []
        raise
    known = sorted(answer.worker_deployment_info.version_summaries, key=lambda v: v.create_time.ToNanoseconds())
    return [
        Release(version.deployment_version.build_id, _STATUS.get(version.status, ReleaseStatus.INACTIVE))
        for version in reversed(known)
    ]


async def promote(client: Client, name: str, build_id: str, *, percent: float = 100) -> None:
    """Gives new work to a build: all of it, or `percent`. Runs that exist stay where they are. Raises
    `NoSuchRelease` if no worker of that build has asked for work yet."""
    try:
        if percent >= 100:
            await client.workflow_service.set_worker_deployment_current_version(
                SetWorkerDeploymentCurrentVersionRequest(
                    namespace=client.namespace, deployment_name=name, build_id=build_id, identity=IDENTITY
                )
            )
        else:
            await client.workflow_service.set_worker_deployment_ramping_version(
                SetWorkerDeploymentRampingVersionRequest(
                    namespace=client.namespace, deployment_name=name, build_id=build_id, percentage=percent,
                    identity=IDENTITY,
                )
            )  # fmt: skip
    except RPCError as error:
        if error.status in {RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION}:
            raise NoSuchRelease(f"no worker of {name} {build_id} asks for all that its predecessor did") from None
        raise


async def move(
    client: Client, name: str, *, source: str, target: str, workflows: tuple[type, ...] = WORKFLOWS
) -> Moved:
    """Moves the open runs of `source` to `target`, each after its history has been replayed against `workflows`, the
    code this process has, which must be that of `target`. A run that does not replay stays where it is."""
    replayer = Replayer(workflows=list(workflows), data_converter=client.data_converter, workflow_runner=SANDBOX)
    moved, stayed = 0, list[str]()
    query = f"TemporalWorkerDeploymentVersion = '{name}:{source}' AND ExecutionStatus = 'Running'"
    async for run in client.list_workflows(query):
        history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
        result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        if result.replay_failure is None:
            await _pin(client, run.id, run.run_id, Version(deployment_name=name, build_id=target))
            moved += 1
        else:
            stayed.append(run.id)
    return Moved(moved, tuple(stayed))


async def _pin(client: Client, workflow_id: str, run_id: str, version: Version) -> None:
    override = VersioningOverride(pinned=VersioningOverride.PinnedOverride(behavior=_PINNED, version=version))
    await client.workflow_service.update_workflow_execution_options(
        UpdateWorkflowExecutionOptionsRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            workflow_execution_options=WorkflowExecutionOptions(versioning_override=override),
            update_mask=FieldMask(paths=["versioning_override"]),
            identity=IDENTITY,
        )
    )
