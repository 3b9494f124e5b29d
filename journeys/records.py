"""What the outside world may send: one class per kind of record, each field with the type it must have.

`parse` turns raw values (of CSV, of JSON, or typed ones) into a record, or raises InvalidRecord, which names
the field. What is read:

- Text is taken without the white space around it; an empty text, or null, is a missing value. A field that is
  not there at all stays as it was; a missing value clears it, where it may be cleared.
- Ids are kept as they came ("007" is not 7); a whole number of JSON is taken as its digits.
- Words (stage, segment, tier, kind, action, outcome, source) are kept as they came, known or not: what the
  policy does not know is for a run to find.
- Days and times are ISO 8601, between 1970 and ten years from today. A time without a zone is UTC, a day
  where a time is asked for is its midnight, UTC.
- Money is rounded to cents, half to even.
"""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import ClassVar, Final, NamedTuple, TypeVar, get_args, get_origin

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from approvals.rules import Refusal

EARLIEST = date(1970, 1, 1)
YEARS_AHEAD = 10
_SHOWN = 60


class InvalidRecord(Refusal):
    """`field` is the name of the field that is wrong, empty where it is the record as a whole."""

    code = "invalid_record"

    def __init__(self, field: str, message: str):
        self.field, self.message = shown(field), message
        super().__init__(f"{self.field}: {message}" if field else message)


class Unset(Enum):
    UNSET = "not given"


UNSET: Final = Unset.UNSET


def shown(value: object) -> str:
    """A value as an error shows it: on one line, and not for ever."""
    text = value if isinstance(value, str) else repr(value)
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


# ---- one value: each reader returns the typed value or raises ValueError, saying what it must be -----------


def _text(at_most: int) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(f"must be a text, not {shown(value)}")
        return _clean(value, at_most, allowed=("Cf", "Co", "Zs"))

    return read


def _identifier(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"must be a text or a whole number, not {shown(value)}")
    return _clean(value, 64, allowed=())


def _clean(text: str, at_most: int, *, allowed: tuple[str, ...]) -> str:
    if len(text) > at_most:
        raise ValueError(f"must have at most {at_most} characters, not {len(text)}")
    if not text.isprintable():
        for character in text:
            if "\ud800" <= character <= "\udfff":
                raise ValueError("is not UTF-8")
            if not character.isprintable() and unicodedata.category(character) not in allowed:
                raise ValueError(f"has a character that cannot be shown: U+{ord(character):04X}")
    return text


def _address(value: object) -> str:
    text = _text(254)(value)
    try:
        validate_email(text)
    except ValidationError:
        raise ValueError(f"is no e-mail address: {shown(text)}") from None
    return text


def _currency(value: object) -> str:
    text = _text(3)(value)
    if not re.fullmatch(r"[A-Za-z]{3}", text):
        raise ValueError(f"must be three letters such as USD, not {shown(value)}")
    return text.upper()


_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def _number(*, least: float, most: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        number = math.nan
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            number = float(value)
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            try:
                number = float(value)
            except (OverflowError, ValueError):
                pass
        if not least <= number <= most:
            raise ValueError(f"must be a number from {least:g} to {most:g}, not {shown(value)}")
        return number + 0.0  # -0.0 becomes 0.0

    return read


def _whole(value: object) -> int:
    number = _number(least=0, most=1_000_000)(value)
    if not number.is_integer():
        raise ValueError(f"must be a whole number, not {shown(value)}")
    return int(number)


def _money(value: object) -> Decimal:
    amount = None
    if isinstance(value, float):
        value = repr(value)  # so 0.1 is ten cents, not what a binary number makes of it
    number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    if number or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        amount = Decimal(value)
    if amount is None or not amount.is_finite() or not 0 <= amount <= Decimal("999999999999.99"):
        raise ValueError(f"must be an amount from 0 to 999999999999.99, not {shown(value)}")
    return abs(amount.quantize(Decimal("0.01")))


_TRUE_OR_FALSE = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _flag(value: object) -> bool:
    word = str(value).lower() if isinstance(value, bool | int | str) else ""
    if word not in _TRUE_OR_FALSE:
        raise ValueError(f"must be true or false (or yes, no, 1, 0), not {shown(value)}")
    return _TRUE_OR_FALSE[word]


_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)


def _moment(value: object) -> datetime:
    moment = None
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime.combine(value, time(0))
    elif isinstance(value, str) and _ISO.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            pass  # such as 30 February
    if moment is None:
        raise ValueError(
            f"must be a day or a time such as 2025-01-15 or 2025-01-15T08:30:00Z, not {shown(value)}"
        )
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"is too far away: {shown(value)}") from None


def _day(value: object) -> date:
    return _moment(value).date()


def _identifiers(value: object) -> tuple[str, ...]:
    """A list of ids; as one text, either as JSON or with a comma, semicolon or | between them."""
    items = value
    if isinstance(value, str):
        if value.startswith("["):
            try:
                items = json.loads(value)
            except (ValueError, RecursionError):
                raise ValueError(f"is no list of ids: {shown(value)}") from None
        else:
            items = [item for item in re.split(r"[,;|]", value) if item.strip()]
    if not isinstance(items, list | tuple):
        raise ValueError(f"must be a list of ids, not {shown(value)}")
    if len(items) > 1000:
        raise ValueError(f"must have at most 1000 ids, not {len(items)}")
    return tuple(_identifier(item.strip() if isinstance(item, str) else item) for item in items)


# ---- the records -------------------------------------------------------------------------------------------


def _required(read: Callable) -> object:
    return field(metadata={"read": read})


def _optional(read: Callable, *, empty: object = None) -> object:
    """`empty` is what a missing value means; with UNSET it leaves the field as it was."""
    return field(default=UNSET, metadata={"read": read, "empty": empty})


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRecord:
    """That somebody is not to be contacted is never taken back by a missing value."""

    FILE: ClassVar = "customers"
    KEY: ClassVar = ("customer_id",)

    customer_id: str = _required(_identifier)
    segment: str | Unset = _optional(_text(40), empty="")
    account_value: Decimal | None | Unset = _optional(_money)
    tenure_months: int | None | Unset = _optional(_whole)
    risk_tier: str | Unset = _optional(_text(10), empty="")
    name: str | Unset = _optional(_text(200), empty="")
    email: str | Unset = _optional(_address, empty="")
    owner: str | Unset = _optional(_text(150), empty="")
    do_not_contact: bool | Unset = _optional(_flag, empty=UNSET)
    currency: str | Unset = _optional(_currency, empty=UNSET)
    renewal_date: date | None | Unset = _optional(_day)
    renewed_on: date | None | Unset = _optional(_day)
    churned_on: date | None | Unset = _optional(_day)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRecord:
    """Without a previous stage, it is the one before it in the customer's log."""

    FILE: ClassVar = "journey_state_log"
    KEY: ClassVar = ("customer_id", "journey_stage", "state_entered_at")

    customer_id: str = _required(_identifier)
    journey_stage: str = _required(_text(40))
    state_entered_at: date = _required(_day)
    days_in_state: int | None | Unset = _optional(_whole)
    previous_stage: str | Unset = _optional(_text(40), empty=UNSET)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRecord:
    FILE: ClassVar = "signals"
    KEY: ClassVar = ("signal_id",)

    signal_id: str = _required(_identifier)
    customer_id: str = _required(_identifier)
    signal_type: str = _required(_text(60))
    signal_strength: float = _required(_number(least=0, most=1))
    detected_at: datetime = _required(_moment)
    journey_stage: str | Unset = _optional(_text(40), empty="")
    source: str | Unset = _optional(_text(20), empty=UNSET)


@dataclass(frozen=True, slots=True, kw_only=True)
class InterventionRecord:
    FILE: ClassVar = "interventions"
    KEY: ClassVar = ("intervention_id",)

    intervention_id: str = _required(_identifier)
    customer_id: str = _required(_identifier)
    journey_stage: str | Unset = _optional(_text(40), empty="")
    recommended_action: str = _required(_text(60))
    confidence: float | None | Unset = _optional(_number(least=0, most=1))
    requires_human_approval: bool | Unset = _optional(_flag, empty=UNSET)
    triggered_by_signals: tuple[str, ...] | Unset = _optional(_identifiers, empty=())
    evaluation_latency_ms: float | None | Unset = _optional(_number(least=0, most=1e9))
    generated_at: datetime = _required(_moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRecord:
    FILE: ClassVar = "outcomes"
    KEY: ClassVar = ("outcome_id",)

    outcome_id: str = _required(_identifier)
    intervention_id: str = _required(_identifier)
    customer_id: str | Unset = _optional(_identifier, empty=UNSET)
    outcome: str = _required(_text(30))
    resolution_time_days: float | None | Unset = _optional(_number(least=0, most=36_525))
    csat_delta: float | None | Unset = _optional(_number(least=-100, most=100))
    churn_risk_delta: float | None | Unset = _optional(_number(least=-1, most=1))
    estimated_revenue_saved: Decimal | None | Unset = _optional(_money)
    human_override: bool | None | Unset = _optional(_flag)
    measured_at: date = _required(_day)


Record = CustomerRecord | StateRecord | SignalRecord | InterventionRecord | OutcomeRecord
AnyRecord = TypeVar("AnyRecord", bound=Record)

# In the order in which they must be taken: each refers only to those before it.
KINDS: tuple[type[Record], ...] = (
    CustomerRecord,
    StateRecord,
    SignalRecord,
    InterventionRecord,
    OutcomeRecord,
)


class Column(NamedTuple):
    name: str
    required: bool
    read: Callable[[object], object]
    empty: object


@cache
def columns(kind: type[Record]) -> tuple[Column, ...]:
    return tuple(
        Column(item.name, item.default is MISSING, item.metadata["read"], item.metadata.get("empty"))
        for item in fields(kind)
    )


# What JSON must have for a field of this type, and how that is called. Money may be text, so that no digit is
# lost on the way.
_JSON_TYPES: dict[object, tuple[tuple[type, ...], str]] = {
    str: ((str,), "a string"),
    date: ((str,), "a string"),
    datetime: ((str,), "a string"),
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    Decimal: ((int, float, str), "a number, or a string with one"),
    tuple: ((list,), "a list of strings"),
}


@cache
def json_types(kind: type[Record]) -> dict[str, tuple[frozenset[type], str]]:
    """By field: what a value may be in JSON, and how that is called."""
    found = {}
    for item in fields(kind):
        parts = [part for part in get_args(item.type) or (item.type,) if part is not Unset]
        nullable = type(None) in parts or item.default is not MISSING
        types, told = _JSON_TYPES[next(get_origin(part) or part for part in parts if part is not type(None))]
        found[item.name] = (frozenset(types) | ({type(None)} if nullable else set()), told)
    return found


def check_json(kind: type[Record], raw: object) -> None:
    """Raises InvalidRecord where a value has another type in JSON than its field: a file knows only text, but
    what a program sends as "5" is no number."""
    if not isinstance(raw, dict):
        raise InvalidRecord("", "must be an object with named fields")
    types = json_types(kind)
    for name, value in raw.items():
        if name in types and type(value) not in types[name][0]:
            raise InvalidRecord(name, f"must be {types[name][1]}, not {shown(value)}")


@cache
def names(kind: type[Record]) -> frozenset[str]:
    return frozenset(column.name for column in columns(kind))


def parse(kind: type[AnyRecord], raw: object, *, today: date) -> AnyRecord:
    """The record that the raw fields describe. Raises InvalidRecord on the first that is wrong, missing or
    not known."""
    if not isinstance(raw, Mapping):
        raise InvalidRecord("", "is no object with named fields")
    known = names(kind)
    for name in raw:
        if name not in known:
            raise InvalidRecord(str(name), f"is not a field of {kind.FILE}")
    values = {}
    for column in columns(kind):
        value = _value(column, raw, today)
        if value is not UNSET:
            values[column.name] = value
    return kind(**values)


def key_of(record: Record) -> tuple:
    """What makes a record the same as another one."""
    return tuple(getattr(record, name) for name in record.KEY)


def key_in(kind: type[Record], raw: object, *, today: date) -> tuple | None:
    """The key that stands in a raw record, whatever else is wrong with it; None where it has none."""
    if not isinstance(raw, Mapping):
        return None
    try:
        return tuple(_value(column, raw, today) for column in columns(kind) if column.name in kind.KEY)
    except InvalidRecord:
        return None


def given(record: Record) -> dict[str, object]:
    """The fields that were given, key included."""
    values = {column.name: getattr(record, column.name) for column in columns(type(record))}
    return {name: value for name, value in values.items() if value is not UNSET}


def _value(column: Column, raw: Mapping, today: date) -> object:
    value = raw.get(column.name, UNSET)
    if isinstance(value, str):
        value = value.strip()
    if value is UNSET or value is None or value == "":
        if column.required:
            raise InvalidRecord(column.name, "is missing")
        return UNSET if value is UNSET else column.empty
    try:
        value = column.read(value)
    except ValueError as error:
        raise InvalidRecord(column.name, str(error)) from None
    if isinstance(value, date):
        _check_near(column.name, value, today)
    return value


def _check_near(name: str, value: date, today: date) -> None:
    day = value.date() if isinstance(value, datetime) else value
    if day < EARLIEST or day.year > today.year + YEARS_AHEAD:
        raise InvalidRecord(
            name, f"must be from {EARLIEST} to the end of {today.year + YEARS_AHEAD}, not {day}"
        )
