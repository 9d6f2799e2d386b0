"""Named timeouts and retries. A step names the kind of work it is; nobody writes a number inline."""

import hashlib
from datetime import timedelta
from typing import TypedDict

from temporalio.common import Priority, RetryPolicy

from domain.values import OrganisationId

TASK_TIMEOUT = timedelta(seconds=5)
"""How long a worker that died goes unnoticed in the middle of a step. Steps take milliseconds."""
_LONGEST_KEY = 64
"""In bytes; Temporal refuses what is longer."""


def fair_share(organisation: OrganisationId) -> Priority:
    """How an organisation's work queues: where there is a backlog, each organisation in it gets an equal share of the
    workers, however much of the backlog is whose. Children and activities inherit it."""
    key = organisation if len(organisation.encode()) <= _LONGEST_KEY else _hashed(organisation)
    return Priority(fairness_key=key)


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


class LocalOptions(TypedDict):
    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    local_retry_threshold: timedelta
    retry_policy: RetryPolicy


class RegularOptions(TypedDict):
    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy


STEP = LocalOptions(
    start_to_close_timeout=timedelta(seconds=4),
    schedule_to_close_timeout=timedelta(days=7),
    local_retry_threshold=timedelta(seconds=3),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(milliseconds=100), backoff_coefficient=2, maximum_interval=timedelta(seconds=15)
    ),
)
"""Short work against our own database: shares the workflow task. It waits out a database that is down; an
unexpected error gives up by itself after a few attempts (`activities.failures`)."""

OUTSIDE = RegularOptions(
    start_to_close_timeout=timedelta(seconds=30),
    schedule_to_close_timeout=timedelta(minutes=30),
    heartbeat_timeout=timedelta(seconds=5),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=1),
        backoff_coefficient=3,
        maximum_interval=timedelta(minutes=5),
        maximum_attempts=6,
    ),
)
"""Leaves our database: other people's systems. Attempts are few, the ledger settles what stays open. What failed for
now says itself when to try again (`activities.retrying`); these intervals are for a worker that died."""

SWEEP = RegularOptions(
    start_to_close_timeout=timedelta(minutes=30),
    schedule_to_close_timeout=timedelta(hours=1),
    heartbeat_timeout=timedelta(seconds=60),
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(minutes=1)
    ),
)
"""Goes through every organisation, as a schedule asks. The next run does what this one could not."""
