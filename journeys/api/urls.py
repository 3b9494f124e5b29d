"""The domain's part of the API's addresses, without slashes at their ends."""

from rest_framework.routers import SimpleRouter

from journeys.api.customers import Customers, JourneyStates

router = SimpleRouter(trailing_slash=False)
router.register("customers", Customers, "customer")
router.register("journey-states", JourneyStates, "journey-state")
urlpatterns = router.urls
