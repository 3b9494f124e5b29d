"""Sixteen people decide one request at the same moment, by different doors: the gate hears one of them, and
tells each of the others why not."""

from functools import partial

import pytest
from django.test import Client
from django.urls import reverse

from approvals import chain, services
from approvals.invariants import broken
from approvals.models import ApprovalRequest, AuditHead
from approvals.rules import Refusal, RejectionCategory, Status, Verdict
from journeys.models import Intervention, Policy
from tests.acting import together
from tests.trials import portfolio
from tests.trials.rounds import rounds

pytestmark = [pytest.mark.trial, pytest.mark.django_db(transaction=True)]

DONE = "done"
REASON, CATEGORY = "It is as it should be.", RejectionCategory.BAD_TIMING.value
# What somebody is told who was not the first, by its code and by the words on the page.
TOLD = {
    "already_decided": "This request is already ",
    "stale": "This request has changed since you opened it.",
}


def by_admin(client: Client, request: ApprovalRequest, user, verdict: Verdict) -> str:
    """Through the page's form; a refusal is a page that says why, never an error of ours."""
    page = client.post(
        reverse("admin:approvals_approvalrequest_decide", args=[request.pk]),
        {
            "verdict": verdict.value,
            "reason": REASON,
            "category": CATEGORY,
            "password": portfolio.PASSWORD,
            "fingerprint": request.fingerprint,
        },
    )
    if page.status_code == 302:
        return DONE
    said = [code for code, words in TOLD.items() if words in page.content.decode()]
    return said[0] if said else f"http {page.status_code}, without a reason"


def by_service(client: Client, request: ApprovalRequest, user, verdict: Verdict) -> str:
    try:
        services.decide(
            request_id=request.pk,
            verdict=verdict,
            fingerprint=request.fingerprint,
            user=user,
            door="api",
            reason=REASON,
            category=CATEGORY if verdict == Verdict.REJECTED else "",
            password=portfolio.PASSWORD,
        )
    except Refusal as refusal:
        return refusal.code if str(refusal) else "a refusal without a word"
    return DONE


def in_bulk(client: Client, request: ApprovalRequest, user, verdict: Verdict) -> str:
    seen = [(request.pk, request.fingerprint)]
    [answer] = services.reject_many(seen, category=CATEGORY, reason=REASON, user=user, door="admin")
    assert answer.message
    return answer.result


DOORS = [by_admin] * 6 + [by_service] * 5 + [in_bulk] * 5


@pytest.fixture
def crowd(people) -> list:
    """Sixteen people without limit, each logged in."""
    users = portfolio.crowd(len(DOORS))
    clients = [Client() for _ in users]
    for client, user in zip(clients, users, strict=True):
        client.force_login(user)
    return list(zip(clients, users, strict=True))


def all_at_once(request: ApprovalRequest, crowd: list, verdicts: list[Verdict], doors=DOORS) -> list[str]:
    calls = [
        partial(door, client, request, user, verdict)
        for (client, user), door, verdict in zip(crowd, doors, verdicts, strict=True)
    ]
    answers = together(*calls)
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    return answers


def chain_is_intact(start: int) -> int:
    """Of the events since `start`; returns where the next look begins."""
    assert chain.verify(start=start).problems == []
    return AuditHead.objects.get(pk=1).sequence + 1


def test_sixteen_deciders_of_one_request_make_one_decision_and_fifteen_clear_refusals(crowd, no_grace, tell):
    verdicts = [Verdict.APPROVED, Verdict.REJECTED] * (len(crowd) // 2)
    start, winners, times = 1, set(), rounds(200)
    for request in portfolio.waiting(times):
        answers = all_at_once(request, crowd, verdicts)
        assert answers.count(DONE) == 1
        assert {answer for answer in answers if answer != DONE} <= TOLD.keys()
        [decision] = request.decisions.all()
        request.refresh_from_db()
        winner = answers.index(DONE)
        winners.add(DOORS[winner])
        assert decision.ends
        assert decision.actor_name == crowd[winner][1].get_username()
        assert request.status == decision.verdict
        assert Intervention.objects.get(pk=request.subject_key).status == request.status
        start = chain_is_intact(start)
        # Another is first in the next round.
        crowd, verdicts = crowd[1:] + crowd[:1], verdicts[1:] + verdicts[:1]
    assert broken() == []
    assert chain.verify().problems == []
    assert len(winners) > 1
    tell(times, f"{times} decisions, {times * 15} clear refusals; the chain is intact")


def looking_again(door, *arguments) -> str:
    """Whoever is told that it has changed looks again and says it once more."""
    while (answer := door(*arguments)) == "stale":
        pass
    return answer


def test_of_sixteen_deciders_two_count_where_two_are_needed_and_the_second_ends_it(crowd, no_grace, tell):
    document = no_grace.document
    actions = document["actions"]
    sensitive = {"usage_review_checkin": actions["usage_review_checkin"] | {"sensitive": True}}
    Policy.objects.filter(pk=no_grace.pk).update(document=document | {"actions": actions | sensitive})
    doors = [by_admin, *[partial(looking_again, by_service)] * 15]
    start, times = 1, rounds(200)
    for request in portfolio.waiting(times):
        assert request.people_needed == 2
        answers = all_at_once(request, crowd, [Verdict.APPROVED] * len(crowd), doors)
        assert answers.count(DONE) == 2
        assert {answer for answer in answers if answer != DONE} <= TOLD.keys()
        request.refresh_from_db()
        first, second = request.standing_approvals()
        assert (first.ends, second.ends) == (False, True)
        assert first.actor_key != second.actor_key
        assert (request.status, request.approvals_given) == (Status.APPROVED, 2)
        assert request.decisions.count() == 2
        start = chain_is_intact(start)
    assert broken() == []
    assert chain.verify().problems == []
    tell(times, f"{times * 2} approvals, {times * 14} clear refusals; the chain is intact")
