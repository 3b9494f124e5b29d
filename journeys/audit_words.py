"""What the trail can say about journeys."""

from approvals import words


def register() -> None:
    words.register(
        {
            "execution.claimed": "{actor} started {subject}",
            "execution.finished": "{subject} was carried out",
            "execution.recorded": "{subject} was recorded; nothing was sent",
            "execution.with_owner": "{subject} was handed to the account's owner",
            "execution.refused": "{subject} did not go out; it is tried again",
            "execution.failed": "{subject} failed for good",
            "execution.unknown": "{subject}: it is not known whether it went out",
            "execution.ended": "{actor} ended {subject}: {after}",
            "switch.changed": "{actor} set execution ({subject}) from {before} to {after}",
            "policy.activated": "{subject} came into force",
            "outcome.recorded": "{actor} recorded an outcome of {subject}: {after}",
            "customer.hold": "{actor} changed when {subject} may be contacted",
            "signal.linked": "{actor} linked {subject}, received for {before}, to {after}",
            "finding.closed": "{actor} closed the finding on {subject}: {after}",
            "task.done": "{actor} marked the task {subject} as {after}",
            "run.finished": "{subject} ended: {after}",
            "retention.forgotten": "{actor} deleted what was past its time: {subject}",
            "portfolio.seeded": "{actor} made demonstration data: {subject}",
            "portfolio.imported": "{actor} imported {subject}",
        }
    )
