"""What speaks against an intervention, in sentences."""

from datetime import date, timedelta

import pytest

from journeys.domain.against import Contact, Result, Standpoint, against
from journeys.domain.policy import PUBLISHED
from journeys.domain.signals import SignalFact

TODAY = date(2025, 1, 15)
DROP = SignalFact("S1", "usage_drop", 0.6, TODAY - timedelta(days=3))
RECOVERY = SignalFact("S2", "usage_recovery", 0.55, TODAY + timedelta(days=1))


def said(**facts) -> tuple[str, ...]:
    standpoint = Standpoint(**{"channel": "email", "recipient": "a@b.example"} | facts)
    return against(standpoint, as_of=TODAY, policy=PUBLISHED)


def test_where_nothing_is_known_to_speak_against_it_nothing_is_said():
    assert said(signals=[DROP]) == ()


def test_why_it_would_not_be_carried_out_comes_first():
    sentences = said(signals=[DROP, RECOVERY], objection="The customer is on hold.")
    assert sentences[0] == "As things stand it would not be carried out: The customer is on hold."
    assert len(sentences) == 2


def test_a_recovery_is_told_with_what_counting_it_added():
    assert said(signals=[DROP, RECOVERY]) == (
        "Usage recovery (0.55 on 16 Jan 2025) speaks for the customer, 4 days after the latest bad news "
        "(usage drop): it may have mended itself. Counted as a signal all the same, this added 0.04 to the "
        "risk and 0.10 to the confidence.",
    )


def test_good_news_before_the_bad_is_no_recovery():
    early = RECOVERY._replace(detected_on=TODAY - timedelta(days=9))
    (sentence,) = said(signals=[DROP, early])
    assert "mended itself" not in sentence


def test_beyond_the_full_count_a_signal_adds_nothing_to_the_risk():
    bad = [DROP._replace(signal_id=f"B{number}") for number in range(7)]
    (sentence,) = said(signals=[*bad, RECOVERY])
    assert "added" not in sentence


def contacted(days_ago: int, action="engagement_checkin", **more) -> Contact:
    return Contact(TODAY - timedelta(days=days_ago), action, **more)


def test_a_recent_contact_is_told_and_an_old_one_is_not():
    assert said(contacts=[contacted(1)]) == (
        "The customer was contacted 1 day ago: engagement check-in on 14 Jan 2025.",
    )
    assert said(contacts=[contacted(0)])[0].startswith("The customer was contacted today:")
    assert said(contacts=[contacted(31)]) == ()
    assert said(contacts=[contacted(0)], channel="none") == ()


def test_repeated_contact_is_counted():
    (sentence,) = said(contacts=[contacted(9), contacted(2), contacted(20), contacted(45)])
    assert sentence.startswith("The customer was contacted 2 days ago")
    assert sentence.endswith("That makes 3 contacts in 30 days.")


def test_a_contact_with_the_same_address_for_another_customer_is_told_beside_the_customers_own():
    own, others = said(contacts=[contacted(5), contacted(3, of="Alpine Foods (C002)")])
    assert own.startswith("The customer was contacted 5 days ago")
    assert others == (
        "The same address was written to 3 days ago, for Alpine Foods (C002): "
        "engagement check-in on 12 Jan 2025."
    )


def test_a_contact_that_only_the_imported_history_knows_says_so():
    (sentence,) = said(contacts=[contacted(4, ours=False)])
    assert sentence.endswith("on 11 Jan 2025, by the imported history.")


def test_what_is_on_its_way_to_the_same_address_is_told():
    assert said(on_the_way=[("retention_checkin", "Alpine Foods (C002)")]) == (
        "Something else is on its way to the same address: retention check-in for Alpine Foods (C002).",
    )


def test_a_renewal_close_by_is_told_unless_it_is_renewed():
    near = TODAY + timedelta(days=60)
    assert said(renewal_date=near) == ("The renewal is close: 16 Mar 2025, in 60 days.",)
    assert said(renewal_date=near, renewed_on=near) == ()
    assert said(renewal_date=near + timedelta(days=1)) == ()
    assert said(renewal_date=TODAY - timedelta(days=1)) == ()
    assert said(renewal_date=TODAY) == ("The renewal is close: 15 Jan 2025, today.",)


def test_who_has_just_renewed_is_told_to_have():
    assert said(renewed_on=TODAY - timedelta(days=4)) == (
        "The customer renewed a short while ago, on 11 Jan 2025.",
    )
    assert said(renewed_on=TODAY - timedelta(days=40)) == ()


def test_nobody_to_send_it_to_is_told():
    (sentence,) = said(channel="task", recipient="")
    assert "nobody to send it to" in sentence


def test_an_earlier_rejection_is_told_with_its_reason():
    assert said(rejections=[(date(2025, 1, 2), "They asked for peace.")]) == (
        "The same was rejected on 2 Jan 2025: “They asked for peace.”",
    )


def test_a_text_that_names_another_customer_is_told_before_all_but_the_objection():
    sentences = said(
        signals=[DROP, RECOVERY],
        objection="The customer is on hold.",
        churned_on=TODAY,
        named=["Alpine Foods (C002)", "Northwind (C009)"],
    )
    assert sentences[1] == "The text names another customer: Alpine Foods (C002) and Northwind (C009)."


def test_a_text_without_the_name_that_its_template_has_is_told():
    (sentence,) = said(without_name=True, name="Alpine Foods")
    assert sentence == "The text does not name Alpine Foods, as its template does: is it theirs?"
    assert said(without_name=True, name="") == ()


def test_what_was_asked_for_another_customer_is_told():
    assert said(meant_for="C009") == ("It was asked for the customer C009, not for this one.",)


NORTHWIND = ("Northwind Traders", "Northwind Traders (C009)")


@pytest.mark.parametrize(
    ("name", "recipient", "of_domain", "told"),
    [
        ("Alpine Foods", "ops@northwind.example", [NORTHWIND], True),
        ("Alpine Foods", "ops@alpine.example", [NORTHWIND], False),
        ("Northwind Energy", "ops@northwind.example", [NORTHWIND], False),
        # Many have their address at a provider's, which is named after none of them.
        ("Alpine Foods", "alpine@mail.example", [NORTHWIND], False),
        ("Alpine Foods", "ops@northwind.example", [], False),
    ],
)
def test_an_address_at_another_customers_domain_is_told(name, recipient, of_domain, told):
    sentences = said(name=name, recipient=recipient, of_domain=of_domain)
    domain = (
        "The address is at northwind.example, which is that of another customer: Northwind Traders (C009)."
    )
    assert sentences == ((domain,) if told else ())
    assert said(name=name, recipient=recipient, of_domain=of_domain, channel="task") == ()


TICKETS = SignalFact("S3", "support_ticket_spike", 0.7, TODAY - timedelta(days=5))


def test_open_tickets_are_told_unless_they_are_what_it_is_for():
    (sentence,) = said(signals=[DROP, TICKETS], stage="engagement", action="usage_review_checkin")
    assert sentence == (
        "Tickets may still be open: support ticket spike (0.70 on 10 Jan 2025). "
        "Support may be talking with the customer."
    )
    assert said(signals=[DROP, TICKETS], stage="support", action="support_followup") == ()
    assert said(signals=[DROP, TICKETS], stage="onboarding", action="proactive_outreach") == ()
    old = TICKETS._replace(detected_on=TODAY - timedelta(days=31))
    assert said(signals=[DROP, old], stage="engagement", action="usage_review_checkin") == ()


def result(outcome: str, *, begun=20, measured=3, action="usage_review_checkin") -> Result:
    return Result(TODAY - timedelta(days=begun), action, outcome, TODAY - timedelta(days=measured))


def test_a_success_that_no_bad_news_followed_is_told():
    (sentence,) = said(signals=[DROP], results=[result("resolved", measured=2)])
    assert sentence == (
        "It may be done already: what came of usage review check-in of 26 Dec 2024 was recorded as "
        "“resolved” on 13 Jan 2025, and no bad news since."
    )
    assert said(signals=[DROP], results=[result("resolved", measured=4)]) == ()
    assert said(results=[result("resolved", begun=60, measured=31)]) == ()
    assert said(results=[result("partial_improvement")]) == ()


def test_that_the_same_had_no_response_the_last_time_is_told():
    results = [result("no_response", begun=40), result("resolved", begun=60, measured=50)]
    assert said(action="usage_review_checkin", results=results) == (
        "The same had no response the last time, on 6 Dec 2024.",
    )
    assert said(action="engagement_checkin", results=results) == ()


def test_what_was_noted_about_contact_is_told():
    assert said(contact_note="They move house.") == ("Noted about contact: “They move house.”",)
