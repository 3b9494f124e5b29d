"""The document of a run: what it proposed, suppressed and found, as JSON or as a few lines to read.

The rows are kept in files while the run goes on, so that a large portfolio does not fill the memory.
"""

import heapq
import json
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TextIO

from journeys.cases import Case, NewFinding
from journeys.domain.vocabulary import Disposition, label
from journeys.models import Finding, Intervention, PipelineRun
from journeys.pipeline.changes import disposition_of

# A file of rows stays in memory up to this size (bytes).
_IN_MEMORY = 1 << 20


class RunDocument:
    """Collects the rows as the run goes; `on_case` and `on_finding` are its callbacks."""

    def __init__(self, *, full: bool):
        self._full = full
        self._rows = {name: _RowFile() for name in ("interventions", "suppressed", "assessments", "findings")}

    def on_case(self, case: Case, intervention: Intervention | None) -> None:
        if intervention is not None:
            self._rows["interventions"].add(_intervention_row(intervention))
        disposition, reason, detail = disposition_of(case)
        if disposition == Disposition.SUPPRESSED:
            self._rows["suppressed"].add(
                {
                    "customer_id": case.customer.customer_id,
                    "recommended_action": case.plan.action,
                    "reason": reason,
                    "detail": detail,
                }
            )
        if self._full:
            self._rows["assessments"].add(_assessment_row(case))

    def on_finding(self, finding: NewFinding) -> None:
        """A finding of a dry run, which stands nowhere else."""
        self._rows["findings"].add(_finding_row(finding))

    def write_json(self, run: PipelineRun, out: TextIO) -> None:
        """One JSON document, written row by row."""
        head = {
            "run_id": run.pk,
            "status": "succeeded" if run.status != PipelineRun.Status.FAILED else "failed",
            "scope": run.scope_text,
            "changed_only": run.changed_only,
            "as_of": run.as_of.isoformat(),
            "policy": {"name": run.policy.name, "version": run.policy.version},
            "customers": run.counts.get("customers"),
            "signals": run.counts.get("signals"),
            "at_risk": run.counts.get("at_risk"),
        }
        if run.error:
            head["error"] = run.error
        out.write("{" + ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()))
        _write_array(out, "interventions", self._rows["interventions"])
        _write_array(out, "suppressed", self._rows["suppressed"])
        _write_array(out, "findings", self._findings())
        out.write(f', "pending_approvals": {json.dumps(run.counts.get("pending_approvals"))}')
        steps = (
            {name: step[name] for name in ("name", "status", "seconds", "in", "out")} for step in run.steps
        )
        _write_array(out, "steps", steps)
        if self._full:
            _write_array(out, "assessments", self._rows["assessments"])
        out.write("}\n")

    def write_text(self, run: PipelineRun, out: TextIO) -> None:
        """The summary for people."""
        counts = run.counts
        signals = counts["signals"]
        title = f"Run {run.pk} {run.status}" if run.pk else "Dry run, nothing was written"
        only = f" changed or due, {counts['not_looked_at']} others not looked at" if run.changed_only else ""
        orphaned = "" if signals["orphaned"] is None else f", {signals['orphaned']} orphaned"
        out.write(
            f"{title}: as of {run.as_of}, policy {run.policy}, {run.scope_text}\n"
            f"  {counts['customers']} customers{only}, {counts['at_risk']} at medium risk or above; "
            f"{signals['received']} signals, {signals['matched']} matched{orphaned}\n"
            f"  {counts['unchanged']} unchanged since an earlier run\n"
            f"  {counts['proposed']} proposed ({counts['by_policy']} on the policy's own authority), "
            f"{counts['suppressed']} suppressed; {counts['pending_approvals']} wait for a decision\n"
        )
        if counts["auto_approved"]:
            out.write(f"  WARNING: {counts['auto_approved']} approved automatically, for testing\n")
        for row in heapq.nlargest(20, self._rows["interventions"], key=lambda row: row["priority_score"]):
            why = ", ".join(label(reason).lower() for reason in row["person_reasons"]) or "by policy"
            out.write(
                f"  {row['priority_score']:5.1f}  {row['customer_id']:10} {label(row['recommended_action'])} "
                f"[{row['status']}: {why}]\n"
            )
        for row in islice(self._rows["suppressed"], 10):
            out.write(f"     -   {row['customer_id']:10} {row['detail']}\n")
        open_findings = Finding.objects.filter(status=Finding.Status.OPEN).count()
        out.write(f"  {open_findings} open findings\n")

    def _findings(self) -> Iterator[dict]:
        """All that are open, whichever run made them, and those of a dry run."""
        rows = Finding.objects.filter(status=Finding.Status.OPEN).order_by("pk")
        seen = set()
        for row in rows.only("kind", "subject", "detail").iterator():
            found = _finding_row(row)
            seen.add(tuple(found.values()))
            yield found
        for found in self._rows["findings"]:
            if tuple(found.values()) not in seen:
                seen.add(tuple(found.values()))
                yield found


class _RowFile:
    """Rows in a temporary file, one JSON line each; read again from the start by each iteration."""

    def __init__(self):
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - lives as long as the document
            max_size=_IN_MEMORY, mode="w+", encoding="utf-8"
        )

    def add(self, row: dict) -> None:
        self._file.write(json.dumps(row) + "\n")

    def __iter__(self) -> Iterator[dict]:
        self._file.seek(0)
        return map(json.loads, self._file)


def _write_array(out: TextIO, name: str, rows: Iterable[dict]) -> None:
    out.write(f", {json.dumps(name)}: [")
    for place, row in enumerate(rows):
        out.write((", " if place else "") + json.dumps(row))
    out.write("]")


def _intervention_row(row: Intervention) -> dict:
    """A dry run's rows are not kept, so they have no id."""
    return {
        "intervention_id": None if row._state.adding else row.pk,
        "customer_id": row.customer_id,
        "agent_name": row.agent_name,
        "journey_stage": row.journey_stage,
        "recommended_action": row.recommended_action,
        "channel": row.channel,
        "confidence": row.confidence,
        "risk_score": row.risk_score,
        "priority_score": row.priority_score,
        "requires_human_approval": row.requires_human_approval,
        "person_reasons": row.person_reasons,
        "reasons": row.reasons,
        "triggered_by_signals": row.triggered_by_signals,
        "status": row.status,
    }


def _assessment_row(case: Case) -> dict:
    return {
        "customer_id": case.customer.customer_id,
        "journey_stage": case.stage.journey_stage,
        "days_in_state": case.state.days,
        "signal_risk": case.summary.signal_risk,
        "overall_risk_score": case.risk.overall,
        "churn_risk_score": case.risk.churn,
        "friction_score": case.risk.friction_score,
        "risk_tier": case.risk.tier,
        "urgency": case.risk.urgency,
        "stage_health": case.state.health,
        "contributions": case.risk.contributions._asdict(),
        "risk_factors": list(case.reasons),
    }


def _finding_row(finding: Finding | NewFinding) -> dict:
    return {"kind": finding.kind, "subject": finding.subject, "detail": finding.detail}
