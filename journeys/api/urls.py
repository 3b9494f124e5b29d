"""The domain's part of the API's addresses, without slashes at their ends."""

from rest_framework.routers import SimpleRouter

from approvals.api.examples import EXAMPLES
from journeys.api import examples
from journeys.api.customers import Customers, JourneyStates
from journeys.api.interventions import Executions, Interventions, Outcomes
from journeys.api.runs import Findings, Reports, Runs
from journeys.api.signals import Assessments, Signals, Suppressed

EXAMPLES |= examples.EXAMPLES
router = SimpleRouter(trailing_slash=False)
router.register("customers", Customers, "customer")
router.register("journey-states", JourneyStates, "journey-state")
router.register("signals", Signals, "signal")
router.register("assessments", Assessments, "assessment")
router.register("suppressed", Suppressed, "suppressed")
router.register("interventions", Interventions, "intervention")
router.register("executions", Executions, "execution")
router.register("outcomes", Outcomes, "outcome")
router.register("runs", Runs, "run")
router.register("findings", Findings, "finding")
router.register("reports", Reports, "report")
urlpatterns = router.urls
