from django.db import migrations

from journeys.domain.policy import PUBLISHED


def install(apps, schema_editor):
    apps.get_model("journeys", "Policy").objects.get_or_create(
        name="published",
        version=1,
        defaults={
            "document": PUBLISHED.model_dump(mode="json"),
            "active": True,
            "created_by": "installation",
        },
    )


class Migration(migrations.Migration):
    dependencies = [("journeys", "0001_initial")]

    operations = [migrations.RunPython(install, migrations.RunPython.noop)]
