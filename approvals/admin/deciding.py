"""The form by which one request is decided: four ways, each a call of one service."""

from datetime import UTC, datetime
from enum import StrEnum

from django import forms
from django.urls import reverse
from django.utils import timezone

from approvals import queue, services, shown
from approvals.addresses import request_url
from approvals.desk import Act, DeskForm, MomentField, who
from approvals.models import ApprovalRequest, Decision
from approvals.rules import Refusal, Status, Verdict
from approvals.subjects import subject_of

# A note to the proposer stands beside the request, and a reason for a change beside the old wording.
NOTE_LENGTH = 400
_CHANGE, _DAY = "change_", "day_"


def refusal_for(row: ApprovalRequest, user) -> str:
    """Why this person cannot decide it now; empty where they can."""
    if row.status != Status.PENDING:
        return f"This request is {row.status}."
    if row.expires_at <= timezone.now():
        return f"The time to decide ran out: {shown.absolute(row.expires_at)}."
    own = refusal_of_own(row, user)
    for principal in services.principals_of(user) if own else ():
        try:
            services.check_may_decide(row, user, on_behalf_of=principal)
        except Refusal:
            continue
        return ""
    return own


def refusal_of_own(row: ApprovalRequest, user) -> str:
    """The same of a pending request, for themselves and nobody whom they stand in for. A page asks it for
    each of its acts, so the answer is kept with the row as it was read."""
    answers = row.__dict__.setdefault("_refusals_of_own", {})
    if user.pk not in answers:
        try:
            services.check_may_decide(row, user)
        except Refusal as refusal:
            answers[user.pk] = str(refusal)
        else:
            answers[user.pk] = ""
    return answers[user.pk]


class Way(StrEnum):
    APPROVE = "approved"
    CHANGE = "with_changes"
    ASK = "ask_for_changes"
    REJECT = "rejected"


WAYS = {
    Way.APPROVE: "Approve",
    Way.CHANGE: "With changes",
    Way.ASK: "Ask for changes",
    Way.REJECT: "Reject",
}


class DecisionForm(DeskForm):
    """Nothing is preselected and nothing filled in but what may be changed, which begins as it stands.
    `fingerprint` is of what the page showed."""

    category = forms.ChoiceField(
        label="What is wrong",
        required=False,
        choices=[("", "–"), *Decision._meta.get_field("category").choices],
    )
    reason = forms.CharField(required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2}))
    fingerprint = forms.CharField(widget=forms.HiddenInput)

    def changes(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(_CHANGE)]

    def days(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(_DAY)]

    def typed(self) -> list[tuple[str, str]]:
        """The texts that were typed, with their labels, for a page on which the form is no longer offered."""
        fields = [self["reason"], *self.changes()]
        texts = [
            (field.label, _plain(field.value()), _plain(field.initial or ""))
            for field in fields
            if isinstance(field.value(), str) and not isinstance(field.field, MomentField)
        ]
        return [(label, text) for label, text, before in texts if text != before]


def change_fields(row: ApprovalRequest, prefix: str = "", **attributes: str) -> dict[str, forms.Field]:
    """What the subject lets be changed, each beginning as it stands in the payload."""
    fields = {}
    for part in subject_of(row.kind).changeable(row):
        common = {
            "label": part.label,
            "required": False,
            "initial": row.payload.get(part.name, ""),
            "help_text": part.hint,
        }
        if part.choices:
            field = forms.ChoiceField(choices=part.choices, **common)
        elif part.moment:
            field = MomentField(**common | {"initial": _moment(common["initial"])})
        elif part.long:
            field = forms.CharField(widget=forms.Textarea(attrs={"rows": 10}), **common)
        else:
            field = forms.CharField(**common)
        field.widget.attrs |= attributes
        fields[prefix + part.name] = field
    return fields


def changes_in(request, row: ApprovalRequest, data: dict, prefix: str = "") -> dict[str, str]:
    """What was typed, where it is something else than what stands there. What was not sent is not changed.
    Browsers send line ends as CR LF, and times to the minute."""
    changes = {}
    for part in subject_of(row.kind).changeable(row):
        if prefix + part.name not in request.POST:
            continue
        now, typed = row.payload.get(part.name, ""), data.get(prefix + part.name) or ""
        if part.moment:
            same = _moment(typed) == _moment(now)
            typed = typed.astimezone(UTC).isoformat() if typed else ""
        else:
            typed = _plain(typed)
            same = typed == _plain(now)
        if not same:
            changes[part.name] = typed
    return changes


def _moment(time: datetime | str) -> datetime | None:
    """To the minute; None for none."""
    moment = datetime.fromisoformat(time) if isinstance(time, str) and time else time
    return moment.replace(second=0, microsecond=0) if moment else None


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def _fields(request, row: ApprovalRequest) -> dict[str, forms.Field]:
    """The ways that there are, and what they take: the days and the changes of the subject, the password
    where the value asks for it, and for whom, where the person stands in for somebody."""
    changeable = change_fields(row, _CHANGE, form="decide")
    verdict = forms.ChoiceField(
        label="Your decision",
        choices=[(way.value, label) for way, label in WAYS.items() if changeable or way != Way.CHANGE],
        widget=forms.RadioSelect,
        error_messages={"required": "Choose what to decide."},
    )
    fields = {"verdict": verdict, **changeable}
    for day in subject_of(row.kind).days_asked(row):
        field = forms.DateField(
            label=day.label,
            required=False,
            help_text=day.hint,
            widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        )
        field.category = day.category
        fields[_DAY + day.name] = field
    if row.heightened:
        fields["password"] = forms.CharField(
            label="Your password, again",
            required=False,
            strip=False,
            widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        )
    if principals := services.principals_of(request.user):
        names = [(user.get_username(), f"On behalf of {user.get_username()}") for user in principals]
        fields["on_behalf_of"] = forms.ChoiceField(
            label="For whom", required=False, choices=[("", "For yourself"), *names]
        )
    return fields


def _decide(request, row: ApprovalRequest, data: dict) -> str:
    way, changes = Way(data["verdict"]), changes_in(request, row, data, _CHANGE)
    principals = {user.get_username(): user for user in services.principals_of(request.user)}
    common = {
        "request_id": row.pk,
        "fingerprint": data["fingerprint"],
        "on_behalf_of": principals.get(data.get("on_behalf_of", "")),
        **who(request),
    }
    if way in (Way.CHANGE, Way.ASK) and len(data["reason"]) > NOTE_LENGTH:
        raise Refusal(
            f"The reason has {len(data['reason'])} characters; with changes, {NOTE_LENGTH} is the most."
        )
    if way == Way.CHANGE:
        services.change(changes=changes, reason=data["reason"], **common)
        return f"Changed; somebody else has to decide it now: {row.title}."
    if way == Way.ASK:
        services.ask_for_changes(note=data["reason"], **common)
        return f"Sent back for changes: {row.title}."
    if way == Way.APPROVE and changes and not refusal_for(row, request.user):
        raise Refusal(
            f"You changed something, and an approval is of what stands there: choose “{WAYS[Way.CHANGE]}”, "
            "or put back what stood there."
        )
    services.decide(
        verdict=Verdict(way),
        reason=data["reason"],
        category=data["category"] if way == Way.REJECT else "",
        password=data.get("password") or None,
        days={name.removeprefix(_DAY): day for name, day in data.items() if name.startswith(_DAY) and day},
        **common,
    )
    row.refresh_from_db()
    if row.status == Status.PENDING:
        return f"Approved by you; it takes somebody else too: {row.title}."
    return f"{way.capitalize()}: {row.title}."


def _next_page(request, row: ApprovalRequest) -> str:
    following = queue.next_after(row, request.user)
    if following is None:
        return reverse("admin:approvals_approvalrequest_changelist")
    return request_url(following.pk)


DECIDE = Act(
    name="decide",
    title="Your decision",
    button="Decide",
    form=DecisionForm,
    fields=_fields,
    perform=_decide,
    offered=lambda request, row: not refusal_for(row, request.user),
    initial=lambda request, row: {"fingerprint": row.fingerprint},
    afterwards=_next_page,
)
