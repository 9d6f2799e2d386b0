"""Invoices and amounts that a message names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.understanding.entities import find_amount, find_invoice, is_amount_unclear
from domain.values import MAX_MINOR_UNITS

any_text = st.text(alphabet=st.characters(codec=None), max_size=300)


@pytest.mark.parametrize(
    ("text", "invoice"),
    [
        ("refund inv_1001 please", "inv_1001"),
        ("INV-1001", "INV-1001"),
        ("(Inv_1001).", "Inv_1001"),
        ("INV-2024-001, please", "INV-2024-001"),
        ("inv1001", "inv1001"),
        ("inv_9 and inv_8", "inv_9"),
        ("INV-1001's amount", "INV-1001"),
        ("inv_unknown", "inv_unknown"),
        ("my_inv_1001", None),
        ("invoice", None),
        ("an invalid invitation", None),
        ("inv_" + "a" * 70, None),
        ("", None),
    ],
)
def test_the_first_invoice_token_is_found_as_written(text: str, invoice: str | None) -> None:
    assert find_invoice(text) == invoice


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("EUR 20", (2000, "EUR")),
        ("20 euros", (2000, "EUR")),
        ("$19.99", (1999, "USD")),
        ("19,99 €", (1999, "EUR")),
        ("1.234,50 EUR", (123450, "EUR")),
        ("1,234.50 USD", (123450, "USD")),
        ("1'234.50 CHF", (123450, "CHF")),
        ("€1.234", (123400, "EUR")),
        ("€5.5", (550, "EUR")),
        ("20,- EUR", (2000, "EUR")),
        ("20EUR", (2000, "EUR")),
        ("£5", (500, "GBP")),
        ("$20 CAD", (2000, "CAD")),
        ("CAD $20", (2000, "CAD")),
        ("50 cents", (50, None)),
        ("€２０", (2000, "EUR")),
        ("20 € as I said, EUR 20.00", (2000, "EUR")),
        ("refund EUR 20 of inv_1001", (2000, "EUR")),
        ("$10000000000", (MAX_MINOR_UNITS, "USD")),
    ],
)
def test_an_amount_with_a_currency_is_read_in_minor_units(text: str, amount: tuple[int, str | None]) -> None:
    assert find_amount(text) == amount
    assert not is_amount_unclear(text)


@pytest.mark.parametrize(
    "text",
    [
        "-20 EUR",
        "EUR -20",
        "-$20",
        "−20 €",
        "$0",
        "$10000000000.01",
        "$99999999999999999999",
        "20 € or 30 €",
        "5 dollars and 50 cents",
        "20-30 EUR",
        "between 20 and 30 EUR",
        "20 or EUR 30",
        "everything except 20 EUR",
        "all but EUR 20",
        "inv_1001 without EUR 20",
        "1e2 EUR",
        "$20 EUR",
        "$5k",
        "EUR 1,2345",
        "$1,00,000",
        "1 234,50 €",
        "$1 234",
        "¥2000",
        "twenty euros",
        "refund 20",
        "refund half of it",
        "refund 50%",
        "refund 2 items",
        "refund order 1234",
    ],
)
def test_an_amount_that_cannot_be_read_for_sure_is_none_and_says_so(text: str) -> None:
    assert find_amount(text) is None
    assert is_amount_unclear(text)


@pytest.mark.parametrize(
    "text",
    [
        "refund please",
        "refund inv_1001",
        "paid 5 days ago",
        "on May 12",
        "on 12/05/2024",
        "for the 3rd time",
        "in 2024",
        "24/7",
    ],
)
def test_ids_times_and_ranks_are_no_amounts(text: str) -> None:
    assert find_amount(text) is None
    assert not is_amount_unclear(text)


@given(any_text)
def test_reading_never_fails_and_never_leaves_the_range_of_money(text: str) -> None:
    invoice, amount = find_invoice(text), find_amount(text)
    is_amount_unclear(text)
    assert invoice is None or len(invoice) <= 64
    assert amount is None or (type(amount[0]) is int and 0 < amount[0] <= MAX_MINOR_UNITS)


@given(
    st.integers(1, MAX_MINOR_UNITS),
    st.sampled_from(["EUR", "USD", "GBP", "CHF"]),
    st.sampled_from(["us", "de", "plain"]),
)
def test_every_written_amount_comes_back_to_the_cent(minor: int, currency: str, style: str) -> None:
    whole, cents = divmod(minor, 100)
    written = {"plain": f"{whole}.{cents:02d}", "us": f"{whole:,}.{cents:02d}"}
    written["de"] = written["us"].translate(str.maketrans(",.", ".,"))
    assert find_amount(f"I paid {written[style]} {currency} for it") == (minor, currency)
    assert find_amount(f"I paid {currency} {written[style]}.") == (minor, currency)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_two_different_amounts_are_none(one: int, two: int) -> None:
    found = find_amount(f"EUR {one} or EUR {two}")
    assert found == ((one * 100, "EUR") if one == two else None)
