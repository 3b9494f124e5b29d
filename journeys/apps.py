from django.apps import AppConfig


class JourneysConfig(AppConfig):
    name = "journeys"
    verbose_name = "Customer journeys"

    def ready(self):
        from approvals import subjects
        from journeys import audit_words
        from journeys.subjects import SUBJECTS

        audit_words.register()
        for subject in SUBJECTS:
            subjects.register(subject)
