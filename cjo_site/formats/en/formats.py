"""As `approvals.shown` writes them: "Tue 24 Nov 2026, 14:00 UTC"."""

DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i T"
DATETIME_FORMAT = "D j M Y, H:i T"
