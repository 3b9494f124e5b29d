from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("journeys", "0008_current_assessments_by_tier"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="intervention", name="journeys_intervention_window"),
        migrations.AddIndex(
            model_name="intervention",
            index=models.Index(
                fields=["as_of", "status", "origin", "customer", "intervention_id"],
                name="journeys_intervention_window",
            ),
        ),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(fields=["intervention", "mode", "status"], name="journeys_execution_mode"),
        ),
        migrations.AddIndex(
            model_name="outcome",
            index=models.Index(
                fields=["intervention", "measured_at", "recorded_at", "outcome_id"],
                name="journeys_outcome_counts",
            ),
        ),
    ]
