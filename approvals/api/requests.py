"""Approval requests: reading them, with their evidence, and deciding them.

Whoever decides says what they saw: by `fingerprint` in the body, or by If-Match with the ETag of the request,
which begins with the fingerprint. The rules, and who may, are the gate's; this is a door.
"""

from functools import wraps

import django_filters
from django.contrib.auth import get_user_model
from django.db.models import Prefetch, Q
from django.utils import timezone
from django.utils.http import parse_etags
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from approvals import queue, rules, services
from approvals.api.auth import Need, who
from approvals.api.filters import Is, OneOf, Only
from approvals.api.paging import Order
from approvals.api.problems import Problem
from approvals.api.serializers import Shown, Taken, Text, Word
from approvals.api.trail import DecisionOut
from approvals.api.views import NumberedRows
from approvals.models import LATEST, MOST_PRESSING, ApiToken, ApprovalRequest, AuditEvent, Decision
from approvals.rules import Refusal, Verdict
from approvals.services.viewing import VIEWED

READ = Need(scope="approvals:read", permissions=("approvals.view_approvalrequest",))
DECIDE = Need(scope="approvals:decide", permissions=("approvals.view_approvalrequest",), person=True)
ACTS = (
    "approve", "reject", "approve_with_changes", "ask_for_changes", "revise", "claim", "release", "hand_on",
    "take_over", "revoke",
)  # fmt: skip

# -- what goes out

_SUMMARY = (
    "id", "kind", "subject_key", "concerning", "title", "summary", "status", "fingerprint", "revision",
    "value_at_stake", "currency", "segment", "action", "risk_tier", "urgency", "risk_score", "confidence",
    "priority_score", "person_reasons", "policy", "people_needed", "approvals_given", "heightened",
    "unroutable", "level", "routed_to", "moved", "returned_at", "returned_note", "claimed_by_name",
    "claimed_until", "proposer", "proposed_by_key", "proposed_by_name", "requested_at", "decision_due_at",
    "expires_at", "decided_at", "execute_by", "used_at",
)  # fmt: skip


class ApprovalRequestSummary(Shown):
    person_reasons = serializers.ListField(child=serializers.CharField())
    moved = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = ApprovalRequest
        fields = _SUMMARY


class ApprovalRequestOut(ApprovalRequestSummary):
    payload = serializers.DictField(
        help_text="What would be done, frozen: of this the fingerprint is the digest."
    )
    evidence = serializers.DictField(help_text="On what it rests, as it was when it was asked.")
    decisions = DecisionOut(many=True, help_text="What was said so far; of one `ends` is true once it ended.")

    class Meta(ApprovalRequestSummary.Meta):
        fields = (*_SUMMARY, "payload", "evidence", "decisions")


# -- what comes in


class Seen(Taken):
    fingerprint = serializers.RegexField(
        r"^[0-9a-f]{64}$",
        required=False,
        help_text="Of the request as it was seen; without it, If-Match has to say so.",
    )


class Decided(Seen):
    reason = Text(required=False, allow_blank=True, default="", max_length=2000, lines=True)
    password = Text(
        required=False,
        trim_whitespace=False,
        max_length=4096,
        style={"input_type": "password"},
        help_text="One's own, where the request is `heightened`.",
    )
    on_behalf_of = Text(
        required=False, max_length=150, help_text="The user name of somebody whom one stands in for."
    )


class Rejected(Decided):
    reason = Text(max_length=2000, lines=True)
    category = Word(choices=Decision._meta.get_field("category").choices, help_text="What was wrong.")


class Noted(Seen):
    note = Text(max_length=400, lines=True)


class SentBack(Noted):
    on_behalf_of = Decided._declared_fields["on_behalf_of"]


class ChangedWith(Seen):
    changes = serializers.DictField(
        child=Text(allow_blank=True, max_length=20_000, lines=True),
        help_text="What of the payload becomes something else; everything else stays.",
    )
    note = Text(required=False, allow_blank=True, default="", max_length=400, lines=True)
    on_behalf_of = Decided._declared_fields["on_behalf_of"]


class Revised(Noted):
    changes = serializers.DictField(
        child=Text(allow_blank=True, max_length=20_000, lines=True), required=False, default=dict
    )


class HandedOn(Seen):
    to = Text(max_length=150, help_text="The user name of somebody who could decide it.")


class Revoked(Seen):
    reason = Text(max_length=400, lines=True)


# -- the view


class RequestFilters(django_filters.FilterSet):
    # The index over both begins with the kind.
    goes_with = {"subject_key": "kind"}

    status = OneOf(choices=ApprovalRequest._meta.get_field("status").choices, method="of_status")
    concerning = Is(help_text="Whom it is about: a customer's id.")
    kind = Is(method="of_kind")
    subject_key = Is(help_text="What it is about, such as an intervention's id. Goes with `kind`.")
    unroutable = Only(method="only_unroutable", help_text="Only what waits and nobody can decide.")
    decidable = Only(method="only_decidable", help_text="Only what the caller could decide.")

    def of_status(self, rows, name, value):
        return rows.filter(self._waiting() if value == rules.Status.PENDING else Q(status=value))

    def of_kind(self, rows, name, value):
        queued = self._by_priority and self.data.get("status") == rules.Status.PENDING
        alone = queued and "subject_key" not in self.data
        return rows.filter(queue.waiting_of_kind(value) if alone else Q(kind=value))

    def only_unroutable(self, rows, name, value):
        return rows.filter(self._waiting(), unroutable=True)

    def _waiting(self) -> Q:
        # An index has what waits alone, in the order of the queue; in another it is found by its status.
        return queue.WAITING if self._by_priority else Q(status=rules.Status.PENDING)

    @property
    def _by_priority(self) -> bool:
        return self.data.get("ordering", "priority") == "priority"

    def only_decidable(self, rows, name, value):
        return rows.filter(queue.decidable(self.request.user, timezone.now()))


def act(name: str, takes: type[Taken], *errors: int):
    """A POST below a request, which names what was seen. A refusal also tells what happened to the request
    last, by whom and when."""

    def decorate(perform):
        @wraps(perform)
        def handler(self, request, *args, **kwargs):
            body = takes(data=request.data, context={"request": request})
            body.is_valid(raise_exception=True)
            data, request_id = dict(body.validated_data), int(kwargs["pk"])
            try:
                fingerprint = seen(request, data.pop("fingerprint", None))
                perform(self, data, who(request) | {"request_id": request_id, "fingerprint": fingerprint})
            except Refusal as refusal:
                refusal.facts.update(last_event(request_id))
                raise
            except Problem as problem:
                problem.members.update(last_event(request_id))
                raise
            return Response(self.get_serializer(self.get_object()).data)

        handler.headers = {"If-Match": "The ETag of the request as it was seen, instead of `fingerprint`."}
        handler.errors = {404: "not-found", 409: "already-decided", 412: "stale", 428: "precondition-needed"}
        route = action(detail=True, methods=["post"], url_path=name, filter_backends=())
        return extend_schema(request=takes, responses=ApprovalRequestOut)(route(handler))

    return decorate


def seen(request, fingerprint: str | None) -> str:
    """The fingerprint that was seen. Raises Problem where neither body nor If-Match says, or both and not the
    same."""
    given = parse_etags(request.headers.get("If-Match", ""))
    tags = {tag.removeprefix("W/").strip('"').partition(".")[0] for tag in given}
    if fingerprint:
        tags.add(fingerprint)
    if not tags or tags == {"*"}:
        raise Problem(
            "precondition-needed",
            "Say what you have seen: `fingerprint` in the body, or If-Match with the request's ETag.",
        )
    if len(tags) > 1:
        raise Problem("bad-request", "If-Match and `fingerprint` name more than one thing that was seen.")
    return tags.pop()


def last_event(request_id: int) -> dict:
    events = AuditEvent.objects.filter(request_id=request_id).exclude(word=VIEWED).select_related("detail")
    event = events.first()
    if event is None:
        return {}
    return {
        "last_event": {
            "word": event.word,
            "sentence": event.sentence,
            "by": event.actor_name,
            "at": event.at,
        }
    }


def principal(user, data: dict):
    """Whom they say that they stand in for, or None. Raises NotAuthorised where they do not."""
    name = data.pop("on_behalf_of", None)
    if name is None:
        return None
    for other in services.principals_of(user):
        if other.get_username() == name:
            return other
    raise rules.NotAuthorised(f"You do not stand in for {name} at this time.")


class ApprovalRequests(NumberedRows):
    """Approval requests, the latest first; where only those that wait are asked for (`status=pending`,
    `decidable`, `unroutable`) the most pressing first."""

    noun = "approval request"
    needs = {"list": READ, "retrieve": READ} | dict.fromkeys(ACTS, DECIDE)
    queryset = ApprovalRequest.objects.all()
    serializer_class = ApprovalRequestOut
    list_serializer_class = ApprovalRequestSummary
    filterset_class = RequestFilters
    orders = (
        Order("priority", MOST_PRESSING, given=("status=pending", "decidable", "unroutable")),
        Order("-requested_at", LATEST, given=("status", "kind")),
        Order("-id", ("-id",)),
        Order("id", ("id",)),
    )

    def get_queryset(self):
        rows = super().get_queryset()
        if self.action == "list":
            return rows.defer("payload", "evidence")
        decisions = Decision.objects.select_related("event__detail").order_by("pk")
        return rows.prefetch_related(Prefetch("decisions", decisions))

    def etag_of(self, response):
        told = super().etag_of(response)
        fingerprint = (response.data or {}).get("fingerprint")
        return f"{fingerprint}.{told}" if fingerprint else told

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        if response.status_code == 200 and self.action in ACTS:
            response.render()
            response["ETag"] = f'"{self.etag_of(response)}"'
        return response

    def retrieve(self, request, *args, **kwargs):
        """One request with its evidence. That a person who could decide it has seen it goes on record."""
        row = self.get_object()
        shown = self.get_serializer(row)
        is_program = isinstance(request.auth, ApiToken) and not request.auth.is_personal
        is_shown = request.method == "GET" and {"payload", "evidence"} <= shown.fields.keys()
        if (
            row.status == rules.Status.PENDING
            and is_shown
            and not is_program
            and _may_decide(row, request.user)
        ):
            services.note_viewed(row, **who(request))
        return Response(shown.data)

    @act("approve", Decided)
    def approve(self, data: dict, arguments: dict):
        """Approve exactly what was seen. Where it takes more people, it stays pending until they have."""
        on_behalf_of = principal(arguments["user"], data)
        services.decide(verdict=Verdict.APPROVED, on_behalf_of=on_behalf_of, **data, **arguments)

    @act("reject", Rejected)
    def reject(self, data: dict, arguments: dict):
        """Reject it, with what is wrong and why."""
        on_behalf_of = principal(arguments["user"], data)
        services.decide(verdict=Verdict.REJECTED, on_behalf_of=on_behalf_of, **data, **arguments)

    @act("approve-with-changes", ChangedWith)
    def approve_with_changes(self, data: dict, arguments: dict):
        """Change what is asked for. Somebody else has to decide the new wording, always."""
        on_behalf_of, reason = principal(arguments["user"], data), data.pop("note")
        services.change(reason=reason, on_behalf_of=on_behalf_of, **data, **arguments)

    @act("ask-for-changes", SentBack)
    def ask_for_changes(self, data: dict, arguments: dict):
        """Send it back to its proposer."""
        services.ask_for_changes(on_behalf_of=principal(arguments["user"], data), **data, **arguments)

    @act("revise", Revised)
    def revise(self, data: dict, arguments: dict):
        """The proposer's answer, once changes were asked for."""
        services.revise(**data, **arguments)

    @act("claim", Seen)
    def claim(self, data: dict, arguments: dict):
        """Say that one is reviewing it, for 15 minutes. It keeps nobody from deciding."""
        services.claim(**arguments)

    @act("release", Seen)
    def release(self, data: dict, arguments: dict):
        """Stop reviewing it."""
        services.release(**arguments)

    @act("hand-on", HandedOn)
    def hand_on(self, data: dict, arguments: dict):
        """Hand one's own review on to somebody who could decide it."""
        to = get_user_model().objects.filter(username=data["to"], is_active=True).first()
        if to is None:
            raise serializers.ValidationError({"to": ["There is no such person."]})
        services.hand_on(to=to, **arguments)

    @act("take-over", Noted)
    def take_over(self, data: dict, arguments: dict):
        """Review what somebody else is reviewing, with the permission and a note."""
        services.take_over(**data, **arguments)

    @act("revoke", Revoked)
    def revoke(self, data: dict, arguments: dict):
        """Take an approval back, until carrying it out has begun."""
        services.revoke(**data, **arguments)


def _may_decide(row: ApprovalRequest, user) -> bool:
    try:
        services.check_may_decide(row, user)
    except Refusal:
        return False
    return row.expires_at > timezone.now()
