"""What people and workers do, for tests."""

import threading
from collections.abc import Callable
from multiprocessing import Value
from queue import Queue

from django.db import connections
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import OrmQ
from django_q.monitor import monitor
from django_q.signing import SignedPackage
from django_q.worker import worker

from approvals import services
from approvals.models import ApprovalRequest, AuditEvent, Decision
from approvals.rules import RejectionCategory, Status, Verdict
from journeys.domain.vocabulary import InterventionStatus
from journeys.models import Intervention

PASSWORD = "a-long-password"


def decide(
    request: ApprovalRequest, user, verdict: Verdict = Verdict.APPROVED, reason: str = "", **told
) -> Decision:
    """On the request as it was read, so that a stale one is refused. A rejection has a category, "other"
    unless it is told."""
    if verdict == Verdict.REJECTED:
        told = {"category": RejectionCategory.OTHER} | told
    return services.decide(
        request_id=request.pk,
        verdict=verdict,
        fingerprint=request.fingerprint,
        user=user,
        door="test",
        reason=reason,
        **told,
    )


def approve(customer_id: str, user) -> Intervention:
    """Approve what waits for this customer, and let the grace pass."""
    decide(waiting(customer_id), user)
    let_the_grace_pass()
    return Intervention.objects.get(customer_id=customer_id)


def waiting(customer_id: str) -> ApprovalRequest:
    """What waits for a decision on this customer, as it stands now."""
    return ApprovalRequest.objects.pending().get(kind="intervention", concerning=customer_id)


def forget(request: ApprovalRequest) -> None:
    """As if it had expired, so that the same can be asked again at once."""
    ApprovalRequest.objects.filter(pk=request.pk).update(status=Status.EXPIRED, decided_at=timezone.now())
    Intervention.objects.filter(pk=request.subject_key).update(status=InterventionStatus.EXPIRED)


def let_the_grace_pass() -> None:
    """What goes to a customer waits some minutes after its approval, which no test has the time for."""
    Intervention.objects.update(not_before=None)


def words_about(intervention: Intervention) -> list[str]:
    """The trail of an intervention, oldest first."""
    events = AuditEvent.objects.filter(kind="intervention", subject_key=intervention.pk)
    return list(events.order_by("sequence").values_list("word", flat=True))


def drain() -> None:
    """Take all that is in the queue's rows through the queue's own worker and monitor, in this process.
    What fails stays in the queue, as it does in a cluster."""
    broker = get_broker()
    tasks, results = Queue(), Queue()
    while OrmQ.objects.filter(lock__lt=timezone.now()).exists():
        for ack_id, package in broker.dequeue() or []:
            tasks.put(SignedPackage.loads(package) | {"ack_id": ack_id})
    tasks.put("STOP")
    worker(tasks, results, Value("f", -1), timeout=-1)
    results.put("STOP")
    monitor(results, broker)


def together(*functions: Callable[[], object]) -> list:
    """Call them at the same moment, on a thread each; returns what each returned, or the exception."""
    barrier = threading.Barrier(len(functions))
    answers: list = [None] * len(functions)

    def call(place: int) -> None:
        barrier.wait()
        try:
            answers[place] = functions[place]()
        except Exception as error:
            answers[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=call, args=[place]) for place in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
