"""Money as people read it."""

import pytest

from domain.values import Money


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        (4_900, "EUR", "EUR 49.00"),
        (5, "USD", "USD 0.05"),
        (4_900, "JPY", "JPY 4900"),
        (4_900, "KWD", "KWD 4.900"),
        (0, "GBP", "GBP 0.00"),
    ],
)
def test_an_amount_is_said_in_the_minor_units_of_its_currency(amount: int, currency: str, said: str) -> None:
    assert str(Money(amount=amount, currency=currency)) == said
