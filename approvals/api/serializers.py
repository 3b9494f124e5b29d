"""What the serializers share: what comes in is taken at its word, what goes out can be cut down.

A value of another type is refused and not converted: "5" is no number, 1 is no yes.
"""

import datetime as dt
import re
from collections.abc import Mapping

from rest_framework import serializers

from approvals.api.problems import BadQuery

EARLIEST, LATEST = dt.date(1970, 1, 1), dt.date(2199, 12, 31)
# Whatever is not text: control characters (but tab and line ends), and halves of surrogate pairs.
NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Text(serializers.CharField):
    """A string, without white space around it. `lines`: of several lines."""

    default_error_messages = {
        "invalid": "This must be a string.",
        "not_text": "This has a character that cannot be shown: U+{code:04X}.",
    }

    def __init__(self, *, lines: bool = False, **kwargs):
        self.lines = lines
        super().__init__(**kwargs)

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("invalid")
        if found := NOT_TEXT.search(data) or (not self.lines and re.search("[\t\r\n]", data)):
            self.fail("not_text", code=ord(found.group()))
        return super().to_internal_value(data)


class Word(serializers.ChoiceField):
    """One of a few words."""

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    def to_internal_value(self, data):
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Whole(serializers.IntegerField):
    def to_internal_value(self, data):
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class Number(serializers.FloatField):
    def to_internal_value(self, data):
        if not isinstance(data, int | float) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class Day(serializers.DateField):
    """An ISO date, from 1970 to 2199."""

    default_error_messages = {"far": f"This must lie between {EARLIEST} and {LATEST}."}

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("invalid", format="YYYY-MM-DD")
        day = super().to_internal_value(data)
        if not EARLIEST <= day <= LATEST:
            self.fail("far")
        return day


class Moment(serializers.DateTimeField):
    """An ISO time with a zone; without one it is UTC. From 1970 to 2199."""

    default_error_messages = {"far": f"This must lie between {EARLIEST} and {LATEST}."}

    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("invalid", format="YYYY-MM-DDThh:mm:ssZ")
        if not EARLIEST.isoformat() <= data[:10] <= LATEST.isoformat():
            self.fail("far")
        return super().to_internal_value(data)


class Taken(serializers.Serializer):
    """What a body may hold: a name that is not known is refused, and so is one that is only told."""

    def to_internal_value(self, data):
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}
            if unknown := [name for name in data if name not in known]:
                raise serializers.ValidationError(
                    {name: ["There is no such field here."] for name in unknown}
                )
        return super().to_internal_value(data)


class Nothing(Taken):
    """For what takes no body, or an empty object."""


class Cut(serializers.Serializer):
    """What goes out: with `fields` in the context, only those of the row itself."""

    def get_fields(self):
        fields = super().get_fields()
        wanted = self.context.get("fields")
        is_row = self.parent is None or (
            isinstance(self.parent, serializers.ListSerializer) and self.parent.parent is None
        )
        if not wanted or not is_row:
            return fields
        return {name: field for name, field in fields.items() if name in wanted}


class Shown(Cut, serializers.ModelSerializer):
    """Rows as they go out."""


class AsItCame(serializers.CharField):
    """A word of a set that was received, and is kept as it came: another system may know others."""

    def __init__(self, choices):
        words = ", ".join(str(word) for word, _ in choices if word)
        super().__init__(read_only=True, help_text=f"{words}; or another word, as it came.")


def fields_wanted(request, serializer_class) -> frozenset[str] | None:
    """What `?fields=` names, with commas between them or one by one, as some clients send lists. Raises
    BadQuery for a field that there is not."""
    given = request.query_params.getlist("fields")
    if not given:
        return None
    names = frozenset(name for part in given for name in part.split(","))
    if unknown := names - serializer_class().fields.keys():
        raise BadQuery("fields", f"there is no field {sorted(unknown)[0]}")
    return names
