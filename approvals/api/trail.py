"""Decisions, and the trail."""

import django_filters
from rest_framework import serializers

from approvals.api.auth import Need
from approvals.api.filters import Id, Is, OneOf
from approvals.api.paging import Order
from approvals.api.serializers import Shown
from approvals.api.views import NumberedRows
from approvals.models import AuditEvent, Decision, user_key

TRAIL_PERMISSION = "approvals.view_auditevent"


class DecisionOut(Shown):
    request_id = serializers.IntegerField()
    decided_by = serializers.CharField(source="actor_name")
    reason = serializers.CharField(help_text="Empty once it was erased.")

    class Meta:
        model = Decision
        fields = (
            "id", "request_id", "verdict", "category", "authority", "decided_by", "actor_key",
            "on_behalf_of_key", "reason", "fingerprint", "ends", "decided_at",
        )  # fmt: skip


class DecisionFilters(django_filters.FilterSet):
    request_id = Id(field_name="request_id")
    verdict = OneOf(choices=Decision._meta.get_field("verdict").choices)
    authority = OneOf(choices=Decision._meta.get_field("authority").choices)


class Decisions(NumberedRows):
    """Decisions, the newest first."""

    noun = "decision"
    needs = dict.fromkeys(
        ("list", "retrieve"), Need(scope="approvals:read", permissions=("approvals.view_decision",))
    )
    queryset = Decision.objects.select_related("event__detail")
    serializer_class = DecisionOut
    filterset_class = DecisionFilters
    orders = (
        Order("-decided_at", ("-decided_at", "-id"), given=("authority",)),
        Order("-id", ("-id",)),
        Order("id", ("id",)),
    )


class AuditEventOut(Shown):
    sentence = serializers.CharField(help_text="What happened, for a person.")
    actor = serializers.CharField(source="actor_name")
    reason = serializers.CharField(help_text="Empty once it was erased.")

    class Meta:
        model = AuditEvent
        fields = (
            "sequence", "at", "word", "sentence", "actor", "actor_key", "on_behalf_of_key", "door", "kind",
            "subject_key", "concerning", "request_id", "before", "after", "fingerprint", "policy", "reason",
            "previous_hash", "hash",
        )  # fmt: skip


class AuditEventFilters(django_filters.FilterSet):
    actor_key = Is()
    concerning = Is()
    request_id = Id()


class AuditEvents(NumberedRows):
    """The trail, the newest first; without the permission for all of it, one's own."""

    noun = "audit event"
    needs = dict.fromkeys(("list", "retrieve"), Need(scope="audit:read"))
    queryset = AuditEvent.objects.select_related("detail")
    serializer_class = AuditEventOut
    filterset_class = AuditEventFilters
    lookup_field = "sequence"
    orders = (Order("-sequence", ("-sequence",)), Order("sequence", ("sequence",)))

    def get_queryset(self):
        events = super().get_queryset()
        if self.request.user.has_perm(TRAIL_PERMISSION):
            return events
        return events.filter(actor_key=user_key(self.request.user))
