"""What can be done with a request beside deciding it: each act is one call of a service."""

from django import forms
from django.contrib.auth import get_user_model
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from approvals import queue, services
from approvals.admin.deciding import NOTE_LENGTH, change_fields, changes_in, refusal_of_own
from approvals.desk import Act, DeskForm, NoteForm, who
from approvals.models import ApprovalRequest, Decision, user_key
from approvals.rules import Refusal, Status, Verdict
from approvals.services.people import Deciders


class SeenForm(DeskForm):
    """`fingerprint` is of what the page showed."""

    fingerprint = forms.CharField(widget=forms.HiddenInput)


class ReasonForm(DeskForm):
    reason = forms.CharField(max_length=NOTE_LENGTH, widget=forms.Textarea(attrs={"rows": 2}))


def _pending(row: ApprovalRequest) -> bool:
    return row.status == Status.PENDING and row.expires_at > timezone.now()


def may_decide(request, row: ApprovalRequest) -> bool:
    return _pending(row) and not refusal_of_own(row, request.user)


def _is_mine(request, row: ApprovalRequest) -> bool:
    return row.is_claimed(timezone.now()) and row.claimed_by_key == user_key(request.user)


def _is_anothers(request, row: ApprovalRequest) -> bool:
    return row.is_claimed(timezone.now()) and row.claimed_by_key != user_key(request.user)


# -- answering, where changes were asked for


def _revise_fields(request, row: ApprovalRequest) -> dict[str, forms.Field]:
    note = forms.CharField(max_length=NOTE_LENGTH, widget=forms.Textarea(attrs={"rows": 2}))
    return change_fields(row) | {"note": note}


def _may_revise(request, row: ApprovalRequest) -> bool:
    return _pending(row) and row.returned_at is not None and services.may_revise(row, request.user)


def _revise(request, row: ApprovalRequest, data: dict) -> str:
    services.revise(
        request_id=row.pk,
        fingerprint=data["fingerprint"],
        changes=changes_in(request, row, data),
        note=data["note"],
        **who(request),
    )
    return f"Answered; it waits for a decision again: {row.title}."


# -- reviewing


def _claim(request, row: ApprovalRequest, data: dict) -> str:
    services.claim(request_id=row.pk, **who(request))
    return "You are reviewing this for 15 minutes; others see it."


def _release(request, row: ApprovalRequest, data: dict) -> str:
    services.release(request_id=row.pk, **who(request))
    return "You are not reviewing this any more."


def _colleagues(request, row: ApprovalRequest) -> dict[str, forms.Field]:
    others = [user for user in Deciders().of(row) if user.pk != request.user.pk]
    names = [(user.get_username(), user.get_full_name() or user.get_username()) for user in others]
    return {"to": forms.ChoiceField(label="To", choices=[("", "–"), *names])}


def _hand_on(request, row: ApprovalRequest, data: dict) -> str:
    to = get_user_model().objects.get_by_natural_key(data["to"])
    services.hand_on(request_id=row.pk, to=to, **who(request))
    return f"{data['to']} is reviewing this now."


def _take_over(request, row: ApprovalRequest, data: dict) -> str:
    services.take_over(request_id=row.pk, note=data["note"], **who(request))
    return "You are reviewing this now."


# -- taking an approval back


def _may_revoke(request, row: ApprovalRequest) -> bool:
    return row.status == Status.APPROVED and row.used_at is None and services.may_revoke(row, request.user)


def _revoke(request, row: ApprovalRequest, data: dict) -> str:
    services.revoke(request_id=row.pk, reason=data["reason"], **who(request))
    return f"Revoked: {row.title}."


def _seen(request, row: ApprovalRequest) -> dict:
    return {"fingerprint": row.fingerprint}


ACTS = (
    Act(
        name="revise",
        title="Changes were asked for",
        button="Answer",
        explanation="Change it, or say why it should stay as it is.",
        form=SeenForm,
        fields=_revise_fields,
        initial=_seen,
        perform=_revise,
        offered=_may_revise,
    ),
    Act(
        name="claim",
        title="Review it",
        button="I am reviewing this",
        explanation="Others see it for 15 minutes. It keeps nobody from deciding.",
        form=DeskForm,
        perform=_claim,
        offered=lambda request, row: (
            may_decide(request, row) and not _is_mine(request, row) and not _is_anothers(request, row)
        ),
        folded=True,
    ),
    Act(
        name="release",
        title="You are reviewing this",
        button="Stop reviewing",
        form=DeskForm,
        perform=_release,
        offered=lambda request, row: _pending(row) and _is_mine(request, row),
        folded=True,
    ),
    Act(
        name="hand-on",
        title="Hand it on",
        button="Hand on",
        form=DeskForm,
        fields=_colleagues,
        perform=_hand_on,
        offered=lambda request, row: _pending(row) and _is_mine(request, row),
        folded=True,
    ),
    Act(
        name="take-over",
        title="Take it over",
        button="Take over",
        form=NoteForm,
        perform=_take_over,
        offered=lambda request, row: (
            may_decide(request, row)
            and _is_anothers(request, row)
            and request.user.has_perm("approvals.take_over_approvalrequest")
        ),
        folded=True,
    ),
    Act(
        name="revoke",
        title="Take the approval back",
        button="Revoke",
        explanation="Possible until carrying it out has begun.",
        form=ReasonForm,
        perform=_revoke,
        offered=_may_revoke,
    ),
)

# -- many at once

SEVERAL = "decide-several"


class SeveralForm(DeskForm):
    category = forms.ChoiceField(
        label="What is wrong",
        required=False,
        choices=[("", "–"), *Decision._meta.get_field("category").choices],
        help_text="For a rejection only.",
    )
    reason = forms.CharField(required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2}))


def checkbox(row: ApprovalRequest) -> str:
    """Belongs to the form of deciding several, and names what was seen."""
    if row.status != Status.PENDING:
        return ""
    return format_html(
        '<input type="checkbox" name="selected" value="{}:{}" form="{}" aria-label="Select {}">',
        row.pk,
        row.fingerprint,
        SEVERAL,
        row.title,
    )


def _several_fields(request, row: None) -> dict[str, forms.Field]:
    """Approving is offered only where the policy lets something be approved with others."""
    verdicts = [(Verdict.REJECTED.value, "Reject")]
    if ApprovalRequest.objects.filter(queue.WAITING, bulk_allowed=True).exists():
        verdicts.append((Verdict.APPROVED.value, "Approve"))
    return {"verdict": forms.ChoiceField(label="What", choices=[("", "–"), *verdicts])}


def _decide_several(request, row: None, data: dict) -> str:
    seen = []
    for value in request.POST.getlist("selected"):
        number, _, fingerprint = value.partition(":")
        if not number.isdecimal():
            raise Refusal("What was selected is not in the list any more: select again.")
        seen.append((int(number), fingerprint))
    if not seen:
        raise Refusal("Select the requests in the list first.")
    arguments = {"reason": data["reason"], **who(request)}
    if data["verdict"] == Verdict.APPROVED:
        answers = services.approve_many(seen, **arguments)
    else:
        answers = services.reject_many(seen, category=data["category"], **arguments)
    done = sum(answer.result == "done" for answer in answers)
    others = [f"#{answer.request_id}: {answer.message}" for answer in answers if answer.result != "done"]
    return " ".join([f"{data['verdict'].capitalize()} {done} of {len(answers)}.", *others])


DECIDE_SEVERAL = Act(
    name=SEVERAL,
    title="Decide several",
    button="Decide the selected",
    explanation="Select them in the list, at most 50: one reason for all. Each is decided on its own, and "
    "answers for itself.",
    form=SeveralForm,
    fields=_several_fields,
    perform=_decide_several,
    offered=lambda request, row: request.user.has_perm("approvals.decide_approvalrequest"),
    afterwards=lambda request, row: reverse("admin:approvals_approvalrequest_changelist"),
    folded=True,
)
