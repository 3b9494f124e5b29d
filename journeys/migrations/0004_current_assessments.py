from django.db import migrations, models

# Of each customer the latest, as every page has read it so far. All of them are due at the next run: they
# have no digest, so it writes them anew.
_LATEST_IS_CURRENT = """
UPDATE journeys_assessment SET is_current = TRUE, due_on = as_of WHERE id IN (
    SELECT id FROM (
        SELECT id, ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY as_of DESC, id DESC) AS place
        FROM journeys_assessment
    ) AS ordered
    WHERE place = 1
)
"""
_THE_NEXT_ENDED_IT = """
UPDATE journeys_assessment SET held_until_run = (
    SELECT later.run_id FROM journeys_assessment AS later
    WHERE later.customer_id = journeys_assessment.customer_id
        AND (later.as_of, later.id) > (journeys_assessment.as_of, journeys_assessment.id)
    ORDER BY later.as_of, later.id
    LIMIT 1
)
WHERE NOT is_current
"""


class Migration(migrations.Migration):
    dependencies = [("journeys", "0003_ranges_of_a_run")]

    operations = [
        migrations.AddField(
            "pipelinerun",
            "changed_only",
            models.BooleanField(default=False, verbose_name="only what changed"),
        ),
        migrations.AddField("assessment", "digest", models.BigIntegerField(editable=False, null=True)),
        migrations.AddField(
            "assessment",
            "due_on",
            models.DateField(editable=False, null=True, verbose_name="due again on"),
        ),
        migrations.AddField(
            "assessment",
            "is_current",
            models.BooleanField(default=False, editable=False, verbose_name="holds now"),
        ),
        migrations.AddField(
            "assessment", "held_until_run", models.BigIntegerField(editable=False, null=True)
        ),
        migrations.RunSQL(_LATEST_IS_CURRENT, migrations.RunSQL.noop),
        migrations.RunSQL(_THE_NEXT_ENDED_IT, migrations.RunSQL.noop),
        migrations.AddIndex(
            "assessment",
            models.Index(
                condition=models.Q(("is_current", True)),
                fields=["due_on", "customer"],
                name="journeys_assessment_due",
            ),
        ),
        migrations.AddConstraint(
            "assessment",
            models.UniqueConstraint(
                condition=models.Q(("is_current", True)),
                fields=("customer",),
                name="journeys_one_current_assessment",
            ),
        ),
    ]
