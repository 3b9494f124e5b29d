from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class JourneysConfig(AppConfig):
    name = "journeys"
    verbose_name = "Customer journeys"

    def ready(self):
        from approvals import scopes, subjects
        from journeys import audit_words, checks, event_types, invariants  # noqa: F401 - the checks register themselves
        from journeys.scopes import SCOPES
        from journeys.subjects import SUBJECTS

        audit_words.register()
        event_types.register_all()
        scopes.register(SCOPES)
        invariants.install()
        for subject in SUBJECTS:
            subjects.register(subject)
        post_migrate.connect(_install_schedules, sender=self)
        connection_created.connect(_interpret_queries)


def _interpret_queries(*, connection, **kwargs) -> None:
    """PostgreSQL compiles a query that it thinks long, which takes some 200 ms here: longer than it saves.
    Each connection says so for itself, as a pooler between refuses it among the options of a connection."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET jit = off")


def _install_schedules(*, using: str, **kwargs) -> None:
    """After each migration, and not by a migration of its own: so they are put right with every deployment,
    and are there again after a flush."""
    from django_q.models import Schedule

    from journeys.tasks import install_schedules

    tables = connections[using].introspection.table_names()
    # `migrate` of one app alone may come by before the queue's tables are there.
    if using == DEFAULT_DB_ALIAS and Schedule._meta.db_table in tables:
        install_schedules()
