"""What a person has chosen for themselves."""

from django.conf import settings
from django.db import models


class Preferences(models.Model):
    """How a person wants to read pages and mail. Decides nothing; no row is the same as an empty one."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="preferences"
    )
    monthly_report = models.BooleanField("the monthly report by mail; empty: as their role has it", null=True)
    time_zone = models.CharField("IANA name; empty: the browser's", max_length=64, blank=True)

    class Meta:
        default_permissions = ()
        verbose_name_plural = "preferences"

    def __str__(self):
        return f"{self.user}: {self.time_zone or 'as the browser says'}"
