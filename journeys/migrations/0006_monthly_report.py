from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("journeys", "0005_intervention_window"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="pipelinerun",
            options={
                "default_permissions": ("view",),
                "ordering": ["-pk"],
                "permissions": [
                    ("run_pipeline", "Can run the pipeline"),
                    ("receive_report", "Gets the report of each month by mail"),
                ],
            },
        ),
    ]
