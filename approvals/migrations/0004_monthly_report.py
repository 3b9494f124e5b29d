from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0003_requests_by_kind"),
    ]

    operations = [
        migrations.AddField(
            model_name="preferences",
            name="monthly_report",
            field=models.BooleanField(
                null=True, verbose_name="the monthly report by mail; empty: as their role has it"
            ),
        ),
        migrations.AlterField(
            model_name="notice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("new", "New"),
                    ("reminder", "Reminder"),
                    ("escalated", "Escalated"),
                    ("unroutable", "Unroutable"),
                    ("many", "Many"),
                    ("digest", "Digest"),
                    ("outcome", "Outcome"),
                    ("report", "Report"),
                ],
                max_length=12,
            ),
        ),
    ]
