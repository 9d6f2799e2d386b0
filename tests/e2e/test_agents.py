"""A worker is given its agent: what that one proposes is what is judged."""

from dataclasses import replace
from pathlib import Path

from adapters.llm.embedded import EmbeddedIntentModel
from domain.agents.support import SUPPORT
from domain.facts import Facts
from domain.proposal import Proposal, ProposedAction, Understanding
from tests.house import open_house
from tests.temporal import DevServer


def ticket_for_everything(understanding: Understanding, facts: Facts) -> Proposal:
    arguments = {"topic": understanding.intent.value, "priority": "low"}
    return Proposal(
        intent=understanding.intent,
        confidence=understanding.confidence,
        actions=(ProposedAction(tool="create_ticket", arguments=arguments),),
    )


async def test_what_the_given_agent_proposes_is_judged_and_done(
    database_url_of_test: str, temporal: DevServer, tmp_path: Path, intents: EmbeddedIntentModel
) -> None:
    agent = replace(SUPPORT, propose=ticket_for_everything)
    async with open_house(database_url_of_test, temporal.address, tmp_path, intents=intents, agent=agent) as house:
        await house.customer()
        answer = (await house.chat("the app crashes whenever I log in")).json()
        assert [a["arguments"]["priority"] for a in answer["actions"]] == ["low"]
