"""What is said where a form comes from a page of an earlier session: who logs in anew has another token."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from approvals.desk import page_behind


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403, with the way back to the page, which then has the token of this session."""
    context = admin.site.each_context(request)
    context |= {"title": "This page was out of date", "back": page_behind(request)}
    return TemplateResponse(request, "admin/page_out_of_date.html", context, status=403).render()
