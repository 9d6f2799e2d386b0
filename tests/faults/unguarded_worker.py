"""The negative control: a worker whose tools are called as an engine without a ledger calls them, at least once and
under a new key each time. It exists here only: nothing in the product can be switched to this."""

import asyncio
import dataclasses
import secrets
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from activities.failures import durable
from activities.tools import ToolActivities
from domain.errors import ToolFailure, ToolRefused
from domain.interaction import CallInput, EffectOutcome, EffectState
from domain.tools.tool import ToolCall
from domain.values import Json
from schema.effects import Effect, EffectRepository
from schema.session import Database
from settings import Settings, temporal_config
from tests.faults import rig_worker
from worker import Parts, build_worker
from workflows.runtime import connect


class UnguardedToolActivities(ToolActivities):
    """Calls first and writes down afterwards."""

    @activity.defn(name="tools.call")
    @durable
    async def call(self, request: CallInput) -> EffectOutcome:
        async with self._db.transaction(request.interaction.organisation) as session:
            effect = (await EffectRepository(session).get(request.effect.effect_id)).effect
        tool, call = self._tools[request.effect.tool], self._with_a_new_key(effect)
        result: Json = {}
        state, error_code = EffectState.CONFIRMED, None
        try:
            if tool.atomic:
                async with self._db.transaction(request.interaction.organisation) as session:
                    result = await tool.run(tool.parse(effect.arguments), call, self._ports(session))
            else:
                async with asyncio.timeout(tool.timeout.total_seconds()):
                    result = await tool.run(tool.parse(effect.arguments), call, self._outside_ports())
        except ToolRefused as refusal:
            state, error_code = EffectState.FAILED, refusal.code
        except (ToolFailure, TimeoutError) as failure:
            raise ApplicationError("again", type="again") from failure
        async with self._db.transaction(request.interaction.organisation) as session:
            settled = await EffectRepository(session).settle_atomic(
                effect.id, state, result=result, error_code=error_code, at=self._now()
            )
        return EffectOutcome(effect_id=effect.id, state=settled.state)

    def _with_a_new_key(self, effect: Effect) -> ToolCall:
        return dataclasses.replace(self._tool_call(effect), key=f"attempt_{secrets.token_hex(8)}")


async def unguarded(settings: Settings, client: Client, db: Database, parts: Parts) -> Worker:
    """The product's worker with that one activity replaced."""
    config: Any = build_worker(settings, await connect(temporal_config(settings)), db, parts).config()
    calls = UnguardedToolActivities(
        db, tools=parts.tools, mail=parts.mail, extra=parts.extra, now=parts.now, failpoints=parts.failpoints
    )
    others = [a for a in config["activities"] if activity._Definition.must_from_callable(a).name != "tools.call"]
    return Worker(**{**config, "client": client, "activities": [*others, calls.call]})


if __name__ == "__main__":
    rig_worker.serve(unguarded)
