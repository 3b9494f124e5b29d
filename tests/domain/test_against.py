"""What speaks against an intervention, in sentences."""

from datetime import date, timedelta

from journeys.domain.against import Standpoint, against
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


def test_a_recent_contact_is_told_and_an_old_one_is_not():
    assert said(last_contact_on=TODAY - timedelta(days=1)) == (
        "The customer was contacted 1 day ago, on 14 Jan 2025.",
    )
    assert said(last_contact_on=TODAY - timedelta(days=31)) == ()
    assert said(last_contact_on=TODAY, channel="none") == ()


def test_a_renewal_close_by_is_told_unless_it_is_renewed():
    near = TODAY + timedelta(days=60)
    assert said(renewal_date=near) == ("The renewal is close: 16 Mar 2025, in 60 days.",)
    assert said(renewal_date=near, renewed_on=near) == ()
    assert said(renewal_date=near + timedelta(days=1)) == ()
    assert said(renewal_date=TODAY - timedelta(days=1)) == ()


def test_nobody_to_send_it_to_is_told():
    (sentence,) = said(channel="task", recipient="")
    assert "nobody to send it to" in sentence


def test_an_earlier_rejection_is_told_with_its_reason():
    assert said(rejections=[(date(2025, 1, 2), "They asked for peace.")]) == (
        "The same was rejected on 2 Jan 2025: “They asked for peace.”",
    )
