"""Filters that the lists share."""

from approvals.admin.filters import Given


class ByRun(Given):
    title, parameter_name, numeric = "run", "run", True
