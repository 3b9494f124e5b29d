"""Merging what was received into what is there: only what is new, or other than before, is written."""

from collections import defaultdict
from enum import StrEnum

from django.db import models

from approvals.rows import insert_all

_BATCH = 500


class Taken(StrEnum):
    NEW = "new"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


class Writes:
    """Collects what is new and what has changed of one model, and writes it in few statements. Of a row that
    is there only the columns that changed are written: somebody may be changing the others."""

    def __init__(self, model: type[models.Model]):
        self.model = model
        self.new: list[models.Model] = []
        self._changed: dict[models.Model, set[str]] = {}

    def merge(self, row: models.Model | None, values: dict, only_when_new: dict | None = None) -> Taken:
        if row is None:
            self.new.append(self.model(**values, **(only_when_new or {})))
            return Taken.NEW
        different = differences(row, values)
        for name in different:
            setattr(row, name, values[name])
        if not different:
            return Taken.UNCHANGED
        if not row._state.adding:
            self._changed.setdefault(row, set()).update(different)
        return Taken.UPDATED

    def flush(self) -> None:
        """Changes first: a state must be closed before the next one opens. In the order of keys, so that two
        at once wait for each other instead of blocking each other."""
        by_columns: dict[tuple[str, ...], list[models.Model]] = defaultdict(list)
        for row in sorted(self._changed, key=lambda row: row.pk):
            by_columns[tuple(sorted(self._changed[row]))].append(row)
        for names, rows in by_columns.items():
            self.model.objects.bulk_update(rows, names, batch_size=_BATCH)
        if self.model._meta.pk.name != "id":
            self.new.sort(key=lambda row: row.pk)
        insert_all(self.model, self.new)


def differences(row: models.Model, values: dict) -> list[str]:
    return [name for name, value in values.items() if getattr(row, name) != value]
