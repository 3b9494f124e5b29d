"""Automatic approval, for testing: never where it could reach somebody."""

from django.conf import settings


def testing_refusal() -> str | None:
    """Why automatic approval for testing is refused here, or None: never where it could reach somebody."""
    if not settings.DEBUG:
        return "Automatic approval is for testing only: it is refused where DEBUG is off."
    if settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        return "Automatic approval is refused while mail goes to a server: it could reach a customer."
    if settings.WEBHOOK_URL:
        return "Automatic approval is refused while WEBHOOK_URL is set: it could reach outside."
    return None
