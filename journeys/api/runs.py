"""Runs, what did not fit, and reports."""

import django_filters
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import serializers

from approvals.api.auth import Need
from approvals.api.filters import Id, Is, OneOf
from approvals.api.paging import Order
from approvals.api.serializers import Shown
from approvals.api.views import NumberedRows
from journeys.api.starting import STARTS, RunIn, StartsRuns
from journeys.models import Finding, PipelineRun

READ = dict.fromkeys(
    ("list", "retrieve"), Need(scope="runs:read", permissions=("journeys.view_pipelinerun",))
)
NEWEST_FIRST = (Order("-id", ("-id",)), Order("id", ("id",)))


class RunOut(Shown):
    customer_id = serializers.CharField(allow_null=True)
    policy = serializers.CharField(source="policy.__str__", help_text="Name and version.")
    steps = serializers.ListField(
        child=serializers.DictField(), help_text="The plan, with what became of it."
    )
    counts = serializers.DictField(help_text="What it found and did, as far as it got.")

    class Meta:
        model = PipelineRun
        fields = (
            "id", "status", "scope", "customer_id", "as_of", "policy", "goal", "steps", "counts",
            "auto_approve_for_testing", "dry_run", "changed_only", "requested_by_name", "door", "queued_at",
            "started_at", "heartbeat_at", "finished_at", "cancelled_at", "cancelled_by", "error",
        )  # fmt: skip


class RunFilters(django_filters.FilterSet):
    status = OneOf(choices=PipelineRun._meta.get_field("status").choices)
    scope = OneOf(choices=PipelineRun._meta.get_field("scope").choices)
    customer_id = Is()


@extend_schema_view(
    create=extend_schema(
        request=RunIn,
        responses={202: OpenApiResponse(RunOut, "Queued: `Location` says where it can be followed.")},
    )
)
class Runs(StartsRuns, NumberedRows):
    """Runs of the pipeline, the newest first. While one goes on, `steps` and `counts` say how far it is."""

    noun = "run"
    needs = READ | STARTS
    queryset = PipelineRun.objects.select_related("policy").defer("report", "results", "policy__document")
    serializer_class = RunOut
    filterset_class = RunFilters
    orders = NEWEST_FIRST


class ReportSummary(Shown):
    run_id = serializers.IntegerField(source="pk")

    class Meta:
        model = PipelineRun
        fields = ("run_id", "as_of", "finished_at")


class ReportOut(ReportSummary):
    report = serializers.DictField(help_text="Each figure with its numerator, denominator and source.")

    class Meta(ReportSummary.Meta):
        fields = (*ReportSummary.Meta.fields, "report")


class Reports(NumberedRows):
    """The reports that runs stored, the newest first."""

    noun = "report"
    needs = READ
    queryset = PipelineRun.objects.filter(report__isnull=False)
    serializer_class = ReportOut
    list_serializer_class = ReportSummary
    orders = NEWEST_FIRST

    def get_queryset(self):
        rows = super().get_queryset()
        return rows.defer("report", "steps", "counts") if self.action == "list" else rows


class FindingOut(Shown):
    run_id = serializers.IntegerField(allow_null=True)
    record = serializers.JSONField(help_text="As it was received; null where it is about no record.")

    class Meta:
        model = Finding
        fields = (
            "id", "kind", "subject", "detail", "record", "status", "run_id", "found_at", "closed_at",
            "closed_by", "note",
        )  # fmt: skip


class FindingFilters(django_filters.FilterSet):
    kind = OneOf(choices=Finding._meta.get_field("kind").choices)
    status = OneOf(choices=Finding._meta.get_field("status").choices)
    run_id = Id()


class Findings(NumberedRows):
    """What was received and fits nowhere."""

    noun = "finding"
    needs = dict.fromkeys(
        ("list", "retrieve"), Need(scope="runs:read", permissions=("journeys.view_finding",))
    )
    queryset = Finding.objects.all()
    serializer_class = FindingOut
    filterset_class = FindingFilters
    orders = (
        Order("-found_at", ("-found_at", "-id"), given=("status",)),
        Order("-id", ("-id",)),
        Order("id", ("id",)),
    )
