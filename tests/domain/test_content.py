"""What the actions say, to whom, and that nothing in the facts can break or bend it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.domain.content import render
from journeys.domain.policy import PUBLISHED, load
from journeys.domain.texts import PLACEHOLDERS
from journeys.domain.vocabulary import Action, Channel

FACTS = {
    "customer_id": "C004",
    "customer_name": "Northwind",
    "owner_name": "Dana Reyes",
    "stage": "engagement",
    "days_in_state": 95,
}
EMAILS = [action for action in Action if PUBLISHED.actions[action].channel == Channel.EMAIL]


@pytest.mark.parametrize("action", list(Action))
def test_every_action_renders_on_its_own_channel_and_as_a_task(action):
    for channel in (PUBLISHED.actions[action].channel, Channel.TASK, Channel.WEBHOOK):
        content = render(action=action, channel=channel, facts=FACTS, policy=PUBLISHED)
        assert "$" not in content.subject + content.body
        assert content.subject.isprintable()
        assert content.template_version == 1


@pytest.mark.parametrize("action", EMAILS)
def test_an_email_is_for_the_customer_and_a_task_for_the_owner(action):
    mail = render(action=action, channel="email", facts=FACTS, policy=PUBLISHED)
    task = render(action=action, channel="task", facts=FACTS, policy=PUBLISHED)
    assert mail.body.startswith("Hello,\n\n")
    assert mail.body.endswith("Best regards,\nDana Reyes")
    assert "C004" not in mail.subject + mail.body
    assert task.body.startswith("Customer: Northwind (C004)\nStage: engagement\nDays in this stage: 95\n\n")
    assert "Northwind" in task.subject


@pytest.mark.parametrize("action", EMAILS)
def test_an_email_is_short_and_speaks_of_no_score(action):
    mail = render(action=action, channel="email", facts=FACTS, policy=PUBLISHED)
    text = f"{mail.subject} {mail.body}"
    assert not re.search(r"\b(risk|churn|score|signal|tier|priority|confidence)", text, re.IGNORECASE)
    assert len(text.split()) < 110


def test_a_webhook_carries_the_customers_text_where_there_is_one():
    def body(action, channel):
        return render(action=action, channel=channel, facts=FACTS, policy=PUBLISHED).body

    assert body("general_checkin", "webhook") == body("general_checkin", "email")
    assert body("support_manager_followup", "webhook") == body("support_manager_followup", "task")


def test_an_action_for_the_owner_is_never_sent_to_a_customer():
    with pytest.raises(ValueError, match="escalated_support_review has no text for customers"):
        render(action="escalated_support_review", channel="email", facts=FACTS, policy=PUBLISHED)


def test_what_is_not_known_gets_a_neutral_word():
    mail = render(
        action="usage_review_checkin", channel="email", facts={"customer_name": " "}, policy=PUBLISHED
    )
    assert "We noticed that your company has used the product less" in mail.body
    assert mail.body.endswith("Your customer success team")
    task = render(action="usage_review_checkin", channel="task", facts={}, policy=PUBLISHED)
    assert task.subject == "Go through the usage with the customer"
    assert task.body.startswith("Customer: the customer (not known)\nStage: not known\n")


def test_a_name_cannot_forge_a_header_a_paragraph_or_a_placeholder():
    name = "Evil\r\nBcc: all@victims.example\n\n${owner_name} $ \x00\u202e"
    content = render(
        action="proactive_outreach",
        channel="email",
        facts=FACTS | {"customer_name": name},
        policy=PUBLISHED,
    )
    assert content.subject == (
        "Can we make getting started easier for Evil Bcc: all@victims.example ${owner_name} $?"
    )


@given(
    st.dictionaries(st.sampled_from(sorted(PLACEHOLDERS)), st.text() | st.integers() | st.none()),
    st.sampled_from(list(Action)),
    st.sampled_from([Channel.TASK, Channel.WEBHOOK, Channel.NONE]),
)
def test_rendering_never_fails_whatever_the_facts(facts, action, channel):
    content = render(action=action, channel=channel, facts=facts, policy=PUBLISHED)
    assert content.subject.isprintable()
    assert "\x00" not in content.body


def test_another_policy_says_it_in_its_own_words_and_counts_its_version():
    action = PUBLISHED.model_dump(mode="json")["actions"]
    action["general_checkin"]["template"] = {
        "version": 7,
        "to_customer": {"subject": "A word", "body": "${customer_name} pays 5 $$."},
        "to_owner": {"subject": "A task", "body": "See ${customer_id}."},
    }
    policy = load({"actions": action})
    content = render(action="general_checkin", channel="email", facts=FACTS, policy=policy)
    assert content == ("A word", "Northwind pays 5 $.", 7)
