"""Starting a run, and cancelling one."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.reverse import reverse

from approvals.api.auth import DOOR, Need
from approvals.api.problems import Kind, Problem, register
from approvals.api.serializers import Day, Flag, Nothing, Taken, Text, Word
from approvals.services import actor_of
from journeys import pipeline
from journeys.models import PipelineRun
from journeys.services import policies

START = Need(scope="runs:write", permissions=("journeys.run_pipeline",))
STARTS = {"create": START, "cancel": START}
register(
    {
        pipeline.BadScope: Kind(422, "There is nothing to run on"),
        pipeline.RunUnderWay: Kind(409, "A run over the portfolio is under way"),
        pipeline.NotRunning: Kind(409, "The run has ended"),
        pipeline.NotInForce: Kind(422, "The policy is not in force"),
    }
)


class RunIn(Taken):
    """What to run on. Nothing need be said: then it is the portfolio, as of today, under the policy in
    force."""

    scope = Word(choices=["portfolio", "customer"], default="portfolio")
    customer_id = Text(max_length=64, required=False, help_text="Goes with the scope `customer`.")
    as_of = Day(required=False, help_text="The day to judge by; not ahead of today (UTC).")
    policy = Text(
        max_length=80, required=False, help_text="`name` or `name version`, where it is tried only."
    )
    dry_run = Flag(default=False, help_text="Write nothing but the run's own counts.")
    changed_only = Flag(
        default=False,
        help_text="Look only at customers about whom something was received, or who are due; everybody, "
        "where nothing less will do (the run's `changed_only` is then false).",
    )

    def validate(self, data):
        if data["changed_only"] and data["scope"] == "customer":
            raise serializers.ValidationError({"changed_only": ["This goes with the scope portfolio."]})
        if (data["scope"] == "customer") != ("customer_id" in data):
            raise serializers.ValidationError({"customer_id": ["This goes with the scope customer."]})
        return data


class StartsRuns:
    """For the view of runs."""

    def get_queryset(self):
        rows = super().get_queryset()
        if self.action == "list":
            return rows
        # Whoever asked for a dry run sees what came of it; no list does.
        return PipelineRun.with_dry_runs.select_related("policy").defer("report")

    def create(self, request):
        """Hand a run to the worker."""
        body = RunIn(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = body.validated_data
        try:
            policy = policies.find(wanted["policy"]) if wanted.get("policy") else policies.in_force()
        except policies.NoSuchPolicy as unknown:
            told = [{"pointer": "/policy", "detail": str(unknown)}]
            raise Problem("validation-failed", str(unknown), errors=told) from None
        planned = pipeline.plan_run(
            policy=policy,
            actor=actor_of(request.user, door=DOOR, address=request.META.get("REMOTE_ADDR", "")),
            as_of=wanted.get("as_of"),
            customer_id=wanted.get("customer_id", ""),
            dry_run=wanted["dry_run"],
            changed_only=wanted["changed_only"],
        )
        run = pipeline.queue(planned)
        response = Response(self.get_serializer(run).data, status=202)
        response["Location"] = reverse("run-detail", [run.pk], request=None)
        return response

    create.errors = {409: "run-under-way"}

    @extend_schema(request=Nothing)
    @action(detail=True, methods=["post"], url_path="cancel")
    def cancel(self, request, pk):
        """Cancel a run: at once where it is queued, else after the range of customers that it is at. What was
        written so far stays, and `counts` says what that is."""
        Nothing(data=request.data).is_valid(raise_exception=True)
        actor = actor_of(request.user, door=DOOR, address=request.META.get("REMOTE_ADDR", ""))
        return Response(self.get_serializer(pipeline.cancel(int(pk), actor=actor)).data)

    cancel.errors = {404: "not-found", 409: "not-running"}
