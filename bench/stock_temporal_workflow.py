"""Temporal as most begin with it: what is pure stands in the workflow, every write is an activity."""

from datetime import timedelta

from temporalio import workflow

from bench.floor_activities import FloorActivities
from bench.steps import (
    Answer,
    Asked,
    DeliveryInput,
    ReplyInput,
    StoreInput,
    TicketInput,
    answer,
    classify,
    compose,
    decide,
    verify,
)

LIMIT = timedelta(seconds=5)


@workflow.defn(name="stock")
class StockTemporalWorkflow:
    @workflow.run
    async def run(self, asked: Asked) -> Answer:
        call = workflow.execute_activity_method
        understood = classify(asked.message)
        decided = decide(understood)
        wanted = TicketInput(asked, understood.intent, decided.priority)
        ticket = await call(FloorActivities.create_ticket, wanted, start_to_close_timeout=LIMIT)
        reply = compose(ticket)
        done = answer(understood, decided, ticket, reply, verify(ReplyInput(reply, [ticket])))
        await call(FloorActivities.deliver, DeliveryInput(asked, reply), start_to_close_timeout=LIMIT)
        await call(FloorActivities.store, StoreInput(asked, done), start_to_close_timeout=LIMIT)
        return done
