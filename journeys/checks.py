"""System checks: what must not be set together."""

from django.conf import settings
from django.core.checks import Error, register

from journeys.services.proposals import testing_refusal


@register()
def automatic_approval_is_for_testing(app_configs, **kwargs):
    """Automatic approval is refused where DEBUG is off, and where anything could go out."""
    if settings.AUTO_APPROVE_FOR_TESTING and (refusal := testing_refusal()):
        return [
            Error(refusal, hint="Unset AUTO_APPROVE_FOR_TESTING.", id="journeys.E001"),
        ]
    return []
