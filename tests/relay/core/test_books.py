"""The books: every notice has one fate."""

from __future__ import annotations

import pytest

from relay.core.books import ACCOUNTS, Account, Books, Imbalance


def test_the_fates_are_those_of_the_promise() -> None:
    """I4: accepted = woken + merged + cancelled + expired + undeliverable + pending."""
    assert ACCOUNTS == ("accepted", "woken", "merged", "cancelled", "expired", "undeliverable")


@pytest.mark.parametrize("fate", ACCOUNTS[1:])
def test_each_fate_makes_one_pending_less(fate: str) -> None:
    assert Account(**{"accepted": 5, fate: 2}).pending == 3


def test_an_account_adds_every_counter() -> None:
    account = Account(1, 2, 3, 4, 5, 6)
    account.add(Account(10, 20, 30, 40, 50, 60))
    assert account == Account(11, 22, 33, 44, 55, 66)


def test_balanced_books_say_nothing() -> None:
    books = Books({("city", "message"): Account(accepted=5, woken=2, merged=1)})
    assert books.balance({("city", "message"): 2}) == []


def test_an_imbalance_names_the_account_and_both_figures() -> None:
    books = Books({("city", "message"): Account(accepted=5), ("city", "alarm"): Account(accepted=1, woken=1)})
    assert books.balance({("city", "message"): 4, ("county", "message"): 1}) == [
        Imbalance(("city", "message"), 5, 4),
        Imbalance(("county", "message"), 0, 1),
    ]


def test_an_account_nobody_has_used_is_empty_and_stays_the_same_object() -> None:
    books = Books()
    books.of(("city", "message")).accepted += 1
    assert books.of(("city", "message")) == Account(accepted=1)
    assert books.of(("city", "roster")) == Account()
