"""Where things are in the admin."""

from urllib.parse import urlencode

from django.urls import reverse


def trail_url(*, actor: str = "", concerning: str = "", request_id: int | None = None) -> str:
    """The page with the trail of one actor, of whom it concerned, or of one request."""
    asked = {"actor_key": actor, "concerning": concerning, "request_id": request_id}
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{reverse('admin:approvals_auditevent_changelist')}?{query}"


def request_url(request_id: int | None) -> str:
    """The page of a request; empty for none."""
    return reverse("admin:approvals_approvalrequest_change", args=[request_id]) if request_id else ""
