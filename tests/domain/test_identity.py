"""What how well somebody is known is enough for, and what becomes of a decision where it is not."""

from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.assurance import INTENTS, TOOLS, Assurance, needed_for
from domain.conversation import NoReply, left_unanswered, taken_over
from domain.decision import Decision, JudgedAction, Outcome, Reason
from domain.facts import Account, Facts, IdentityFacts
from domain.identity import UNPROVEN, actions_digest, asks_for_proof, held_back, only_as_asked, wanted_actions
from domain.policies.inputs import inputs_of
from domain.proposal import Proposal
from domain.step_up import address_hash, answer_hash, code_of, is_right, words
from domain.tools import TOOLS as ALL
from domain.values import CustomerId, Intent, InteractionId, OrganisationId

KEY, ORGANISATION = b"k" * 40, OrganisationId("demo")
REFUND = JudgedAction(tool="issue_refund", arguments={"amount": 4900}, outcome=Outcome.PROCEED, digest="d1")
SECRET = Reason(code="exceeds_refundable", rule="refund", facts={"left": 4900})


def decided(outcome: Outcome = Outcome.PROCEED, **changes: object) -> Decision:
    told = {"outcome": outcome, "intent": Intent.REFUND_REQUEST, "actions": (REFUND,), "reasons": (SECRET,), **changes}
    return Decision().model_copy(update=told)


def test_every_intent_and_every_tool_is_in_the_table() -> None:
    assert set(INTENTS) == set(Intent)
    assert set(TOOLS) == set(ALL)


def test_what_nobody_listed_needs_a_code() -> None:
    assert needed_for(Intent.GREETING, ["transfer_everything"]) is Assurance.CODE


def test_a_tool_needs_what_it_needs_whatever_it_was_asked_as() -> None:
    assert needed_for(Intent.OTHER, ["issue_refund"]) is Assurance.CODE
    assert needed_for(Intent.OTHER, ["create_ticket", "send_email"]) is Assurance.NONE


def test_a_token_and_a_voucher_are_enough_for_everything_and_nothing_is_for_little() -> None:
    for intent, tool in product(Intent, ALL):
        needs = needed_for(intent, [tool])
        assert Assurance.TOKEN.is_enough(needs)
        assert Assurance.VOUCHED.is_enough(needs)
        assert Assurance.NONE.is_enough(needs) == (needs is Assurance.NONE)


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("has", [Assurance.NONE, Assurance.CHANNEL])
def test_too_little_holds_everything_back_also_a_no_and_its_reasons(outcome: Outcome, has: Assurance) -> None:
    held = held_back(decided(outcome), has)
    assert (held.outcome, held.actions, held.issues) == (Outcome.ASK_HUMAN, (), ())
    assert [reason.code for reason in held.reasons] == [UNPROVEN]
    assert held.reasons[0].facts["has"] == has
    assert asks_for_proof(held)
    assert "4900" not in held.model_dump_json()
    assert held.digest != decided(outcome).digest


@pytest.mark.parametrize("has", [Assurance.CODE, Assurance.VOUCHED, Assurance.TOKEN])
def test_enough_changes_nothing(has: Assurance) -> None:
    assert held_back(decided(), has) == decided()


def test_a_wish_for_a_person_reaches_one_and_no_code_is_asked() -> None:
    wish = Reason(code="customer_asked_for_human", rule="invariants")
    held = held_back(decided(Outcome.ASK_HUMAN, reasons=(wish, SECRET)), Assurance.NONE)
    assert [reason.code for reason in held.reasons] == ["customer_asked_for_human", UNPROVEN]
    assert (asks_for_proof(held), held.actions) == (False, ())


def test_where_a_person_has_the_conversation_or_nothing_was_asked_it_stays_so() -> None:
    passed_on = taken_over(decided(), joined=True)
    courtesy = left_unanswered(decided(), NoReply.COURTESY)
    first_of_a_takeover = taken_over(decided(), joined=False)
    for still in (passed_on, first_of_a_takeover, courtesy):
        assert held_back(still, Assurance.NONE) == still


def test_a_code_is_good_for_exactly_what_it_was_asked_for() -> None:
    wanted = wanted_actions(held_back(decided(), Assurance.NONE))
    assert wanted == actions_digest(decided())
    assert only_as_asked(decided(), wanted) == decided()
    other = decided(actions=(REFUND.model_copy(update={"digest": "d2"}),))
    changed = only_as_asked(other, wanted)
    assert (changed.outcome, changed.actions[0].outcome) == (Outcome.ASK_HUMAN, Outcome.ASK_HUMAN)
    assert changed.reasons[0].code == "identity_for_other_actions"
    assert only_as_asked(decided(Outcome.REFUSE, actions=()), wanted).outcome is Outcome.REFUSE


def test_rules_see_how_well_the_customer_is_known() -> None:
    facts = Facts(now=datetime.now(UTC), account=Account(customer_id=CustomerId("c")))
    assert inputs_of(Proposal(), facts).variables["customer.identity"] == "none"
    known = facts.model_copy(update={"identity": IdentityFacts(kind=Assurance.TOKEN)})
    assert inputs_of(Proposal(), known).variables["customer.identity"] == "token"


def test_what_an_older_row_does_not_say_is_nothing() -> None:
    facts = Facts(now=datetime.now(UTC), account=Account(customer_id=CustomerId("c")))
    old = facts.model_dump(mode="json", by_alias=True, exclude={"identity"})
    assert Facts.model_validate(old).identity.kind is Assurance.NONE


@given(st.binary(min_size=16, max_size=16), st.text(max_size=20), st.text(max_size=20))
def test_a_code_has_six_digits_and_hangs_on_everything(nonce: bytes, code_id: str, bound: str) -> None:
    code = code_of(KEY, code_id, bound, nonce)
    assert len(code) == 6
    assert code.isascii()
    assert code.isdigit()
    assert is_right(code, code)
    assert not is_right(f"{(int(code) + 1) % 10**6:06}", code)
    assert code == code_of(KEY, code_id, bound, nonce)


def test_another_key_nonce_id_or_purpose_gives_another_code() -> None:
    def some(key: bytes = KEY, code_id: str = "cod_1", bound: str = "b", nonce: bytes = b"n" * 16) -> str:
        return "".join(code_of(key, f"{code_id}{n}", bound, nonce) for n in range(8))

    assert len({some(), some(key=b"x" * 40), some(code_id="cod_2"), some(bound="c"), some(nonce=b"m" * 16)}) == 5


def test_codes_are_spread_over_all_there_are() -> None:
    first = [code_of(KEY, f"cod_{n}", "b", b"n" * 16)[0] for n in range(2_000)]
    assert all(100 < first.count(digit) < 320 for digit in "0123456789")


def test_an_address_is_known_again_in_its_organisation_and_nowhere_else() -> None:
    def hashed(address: str, organisation: str = "demo", key: bytes = KEY) -> str:
        return address_hash(key, OrganisationId(organisation), "email", address)

    assert hashed("Ana@Example.com ") == hashed("ana@example.com")
    others = {hashed("ana@example.com"), hashed("ana@example.com", "other"), hashed("ana@example.com", key=b"x" * 40)}
    assert len(others) == 3
    assert "ana" not in hashed("ana@example.com")
    assert answer_hash(KEY, "cod_1", "123456") != answer_hash(KEY, "cod_2", "123456")


def test_the_message_says_what_it_is_for_and_has_one_place_for_the_code() -> None:
    assert words(InteractionId("int_1")).count("{code}") == words(None).count("{code}") == 1
    assert words(InteractionId("int_1")) != words(None)
