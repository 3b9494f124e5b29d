from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("journeys", "0004_current_assessments"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="intervention",
            index=models.Index(
                fields=["as_of", "status", "customer", "intervention_id"], name="journeys_intervention_window"
            ),
        ),
    ]
