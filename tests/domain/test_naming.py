"""Whom a text names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.domain.content import render
from journeys.domain.naming import LONGEST_NAME, could_be_names, resembles, strangers
from journeys.domain.policy import PUBLISHED

KNOWN = {"Northwind": "Northwind (C009)", "C009": "Northwind (C009)", "Alpine Foods": "Alpine Foods (C002)"}


def named(text: str, *own: str, known=KNOWN) -> tuple[str, ...]:
    return strangers(could_be_names(text), own=own, known=known)


@pytest.mark.parametrize(
    "text",
    [
        "How is Northwind getting on?",
        "Is there anything we can do for Northwind?",
        "Northwind's team",
        "Northwind’s team",
        "We write to (Northwind), as agreed.",
        "„Northwind“, „Other“",
        "Customer: Somebody (C009)",
        "Hello,\n\nNorthwind\nis a name.",
    ],
)
def test_another_customer_is_found_whatever_stands_around_the_name(text):
    assert named(text, "Alpine Foods", "C002") == ("Northwind (C009)",)


def test_nobody_is_found_where_only_the_own_name_stands():
    assert named("Shall Alpine Foods (C002) meet?", "Alpine Foods", "C002") == ()
    assert named("Northwinds of change blow.", "Alpine Foods") == ()
    assert named("northwind", "Alpine Foods") == ()


def test_a_name_within_the_own_name_is_nobody_else():
    known = {"Alpine": "Alpine (C7)"}
    assert named("Dear Alpine Foods,", "Alpine Foods", known=known) == ()
    assert named("Dear Alpine Foods, dear Alpine,", "Alpine Foods", known=known) == ("Alpine (C7)",)


def test_a_longer_name_around_the_own_name_is_somebody_else():
    assert named("Dear Alpine Foods,", "Alpine") == ("Alpine Foods (C002)",)


def test_a_name_that_ends_in_a_full_stop_is_found():
    assert named("We met Acme Inc. yesterday.", known={"Acme Inc.": "Acme Inc. (C3)"}) == ("Acme Inc. (C3)",)


def test_a_short_number_is_no_id():
    assert named("In 2026 we met 12 times.", known={"2026": "x", "12": "y"}) == ()
    assert named("Customer 10045 called.", known={"10045": "Acme (10045)"}) == ("Acme (10045)",)


@given(st.text(), st.text(alphabet="abcdefgh", min_size=3, max_size=10).map(str.capitalize), st.text())
def test_a_name_of_one_word_is_found_wherever_it_stands(before, name, after):
    text = f"{before} {name}, {after}"
    assert name in could_be_names(text)


@given(st.lists(st.sampled_from(["Alpine", "Foods", "of", "the", "Hello,", "North"]), max_size=30))
def test_no_run_is_longer_than_a_name_can_be_and_each_stands_where_it_says(words):
    for name, spans in could_be_names(" ".join(words)).items():
        for first, last in spans:
            assert 0 < last - first <= LONGEST_NAME
            assert name in " ".join(words[first:last])


@pytest.mark.parametrize("action", list(PUBLISHED.actions))
def test_no_published_text_names_anybody_but_its_own_customer(action):
    facts = {
        "customer_id": "C002",
        "customer_name": "Alpine Foods",
        "owner_name": "Ines Okafor",
        "stage": "engagement",
        "days_in_state": 12,
    }
    channel = PUBLISHED.actions[action].channel
    text = render(action=action, channel=channel, facts=facts, policy=PUBLISHED)
    assert named(f"{text.subject}\n{text.body}", "Alpine Foods", "C002") == ()


@pytest.mark.parametrize(
    ("name", "domain", "alike"),
    [
        ("Northwind Traders", "northwind.example", True),
        ("The Northwind Company", "northwind-company.example", True),
        ("Alpine Foods", "northwind-foods.example", False),
        ("International Business Machines", "ibm.example", True),
        ("Ab Initio", "table.example", False),
        ("3M", "3m.example", True),
        ("", "northwind.example", False),
        ("Northwind", "", False),
    ],
)
def test_a_domain_is_alike_where_the_name_begins_as_it_does(name, domain, alike):
    assert resembles(name, domain) is alike
