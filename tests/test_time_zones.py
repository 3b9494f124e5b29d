"""Times are told to people in their own time zone, and to programs in UTC."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from approvals import postbox, queue, services, shown, zones
from approvals.models import ApprovalRequest, AuditEvent, Delegation, Preferences
from approvals.services.preferences import NoSuchZone
from journeys.models import Outcome
from tests.acting import waiting
from tests.desk import QUEUE, check_html, client_of, on_record, page_of
from tests.test_notices import addresses, asked, letters, mailbox  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db

SETTINGS = "/admin/approvals/preferences/"
DELEGATE = "/admin/approvals/delegation/delegate/"
# The two are 25 hours apart: it is never the same day there.
EARLY, LATE = "Pacific/Kiritimati", "Pacific/Pago_Pago"
BERLIN = "Europe/Berlin"


def looking(user, browser: str | None = None) -> Client:
    client = client_of(user)
    if browser is not None:
        client.cookies[zones.COOKIE] = browser
    return client


def front_page(client: Client) -> str:
    answer = client.get("/admin/")
    assert answer.status_code == 200
    return answer.content.decode()


# ---- whose zone it is


def test_the_browsers_zone_holds_until_another_is_chosen(people):
    client = looking(people["approver"], BERLIN)
    assert "Times are in Europe/Berlin" in front_page(client)
    services.choose_time_zone(user=people["approver"], name="America/New_York")
    assert "Times are in America/New York" in front_page(client)
    services.choose_time_zone(user=people["approver"], name="")
    assert "Times are in Europe/Berlin" in front_page(client)


def test_without_a_zone_it_is_utc(people):
    assert "Times are in UTC" in front_page(looking(people["approver"]))


@pytest.mark.parametrize("name", ["Asia/Calcutta", "Asia/Saigon", "Europe/Kiev", "America/Buenos_Aires"])
def test_a_zone_is_known_by_the_older_name_that_browsers_use(people, name):
    assert f"Times are in {name.replace('_', ' ')}" in front_page(looking(people["approver"], name))


BAD_COOKIES = [
    "", "undefined", "America", "Factory", "localtime", "posixrules", "leapseconds", "tzdata.zi",
    "europe/berlin", "Europe/Berlin ", "Europe/Nowhere", "../../etc/passwd", "/etc/passwd",
    "Europe/../UTC", "Europe%2FBerlin",    "%00", "a" * 4000, "<script>alert(1)</script>", "é", "Ã©",
]  # fmt: skip


@pytest.mark.parametrize("browser", BAD_COOKIES)
def test_a_cookie_that_names_no_zone_is_passed_over(people, browser):
    html = front_page(looking(people["approver"], browser))
    assert "Times are in UTC" in html
    assert "alert(1)" not in html


@given(st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("latin-1"))))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_cookie_holds_a_zone_comes_of_it(people, browser):
    assert zones.zone_for(people["approver"], browser).utcoffset(datetime(2026, 1, 1)) is not None  # noqa: DTZ001 - a zone is asked with one


def test_a_chosen_zone_that_is_no_more_gives_way_to_the_browsers(people):
    Preferences.objects.create(user=people["approver"], time_zone="Europe/Atlantis")
    assert "Times are in Europe/Berlin" in front_page(looking(people["approver"], BERLIN))


def test_every_zone_on_offer_can_be_told_in_and_has_a_name():
    moment = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert {"UTC", BERLIN, EARLY, LATE} <= set(zones.places())
    for name in zones.places():
        with timezone.override(ZoneInfo(name)):
            assert shown.absolute(moment).split()[-1][0].isalpha(), name


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("UTC", "Tue 24 Nov 2026, 14:00 UTC"),
        (BERLIN, "Tue 24 Nov 2026, 15:00 CET"),
        ("Asia/Kathmandu", "Tue 24 Nov 2026, 19:45 UTC+05:45"),
        ("America/Sao_Paulo", "Tue 24 Nov 2026, 11:00 UTC-03:00"),
        (EARLY, "Wed 25 Nov 2026, 04:00 UTC+14:00"),
        (LATE, "Tue 24 Nov 2026, 03:00 SST"),
    ],
)
def test_a_moment_is_told_with_the_name_of_its_zone(zone, told):
    with timezone.override(ZoneInfo(zone)):
        assert shown.absolute(datetime(2026, 11, 24, 14, tzinfo=UTC)) == told


def test_the_hour_that_comes_twice_is_told_apart():
    with timezone.override(ZoneInfo(BERLIN)):
        first, second = (shown.absolute(datetime(2026, 10, 25, hour, 30, tzinfo=UTC)) for hour in (0, 1))
    assert (first, second) == ("Sun 25 Oct 2026, 02:30 CEST", "Sun 25 Oct 2026, 02:30 CET")


# ---- choosing


def test_everybody_chooses_for_themselves_and_for_nobody_else(people):
    client = looking(people["operator"])
    check_html(client.get(SETTINGS).content.decode())
    form = {"time_zone": BERLIN, "user": people["manager"].pk}
    html = client.post(f"{SETTINGS}choose-time-zone/", form, follow=True).content.decode()
    assert "Times are told in Europe/Berlin from now on." in html
    assert '<option value="Europe/Berlin" selected>' in html
    assert dict(Preferences.objects.values_list("user__username", "time_zone")) == {"operator": BERLIN}
    back = client.post(f"{SETTINGS}choose-time-zone/", {"time_zone": ""}, follow=True).content.decode()
    assert "Times are told in your browser" in back


def test_what_is_no_zone_is_refused_in_words(people):
    with pytest.raises(NoSuchZone, match="choose one from the list"):
        services.choose_time_zone(user=people["operator"], name="../../etc/passwd")
    html = looking(people["operator"]).post(f"{SETTINGS}choose-time-zone/", {"time_zone": "Mars"})
    assert "Select a valid choice" in html.content.decode()
    assert not Preferences.objects.exists()


def test_nothing_is_chosen_by_a_get(people):
    client = looking(people["operator"])
    assert client.get(f"{SETTINGS}choose-time-zone/", {"time_zone": BERLIN}).status_code == 405
    assert not Preferences.objects.exists()


# ---- what is due today


def due_at(request: ApprovalRequest, moment: datetime) -> None:
    ApprovalRequest.objects.filter(pk=request.pk).update(decision_due_at=moment)


def test_today_ends_at_midnight_where_the_person_is(waits):
    """Noon UTC of the 24th: in Kiritimati the 25th has begun, in Pago Pago the 24th has just."""
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    counts = {}
    for hours in (9, 11, 15, 24):
        due_at(waits, now + timedelta(hours=hours))
        for zone in (LATE, "UTC", EARLY):
            with timezone.override(ZoneInfo(zone)):
                found = queue.standing(ApprovalRequest.objects.filter(pk=waits.pk), now)
            counts[hours, zone] = found.due_today
    # The day ends after 23 hours in Pago Pago, after 12 in UTC, and after 22 in Kiritimati.
    assert [counts[hours, LATE] for hours in (9, 11, 15, 24)] == [1, 1, 1, 0]
    assert [counts[hours, "UTC"] for hours in (9, 11, 15, 24)] == [1, 1, 0, 0]
    assert [counts[hours, EARLY] for hours in (9, 11, 15, 24)] == [1, 1, 1, 0]


def test_the_view_of_what_is_due_today_is_ones_own_day(waits, people):
    """A minute before midnight there, something that is due two minutes later is due tomorrow."""
    now = timezone.now()
    for name in (EARLY, LATE, BERLIN):
        with timezone.override(ZoneInfo(name)):
            midnight = queue.midnight_after(now)
        for moment, listed in ((midnight - timedelta(seconds=1), 1), (midnight + timedelta(seconds=1), 0)):
            due_at(waits, moment)
            page = looking(people["approver"], name).get(QUEUE, {"view": "due"})
            assert [row.pk for row in page.context["cl"].result_list].count(waits.pk) == listed, name


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, (2026, 3, 29), 23),
        (BERLIN, (2026, 10, 25), 25),
        ("Australia/Lord_Howe", (2026, 10, 4), 23.5),
        ("Africa/Cairo", (2026, 4, 24), 23),  # the clocks skip midnight itself
        ("UTC", (2026, 3, 29), 24),
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(zone, day, hours):
    with timezone.override(ZoneInfo(zone)):
        noon = datetime(*day, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        assert queue.midnight_after(noon) - queue.midnight_before(noon) == timedelta(hours=hours)


@given(
    st.sampled_from(sorted(zones.places())),
    st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - takes its bounds without
)
def test_now_always_lies_within_today(zone, now):
    with timezone.override(ZoneInfo(zone)):
        begins, ends = queue.midnight_before(now), queue.midnight_after(now)
    assert begins <= now < ends
    assert timedelta(hours=20) <= ends - begins <= timedelta(hours=28)


# ---- what is typed


def delegation_form(starts: str, ends: str) -> dict:
    return {"to": "approver2", "starts_at": starts, "ends_at": ends, "reason": "Leave."}


def test_what_is_typed_is_read_in_the_zone_of_whoever_types(people):
    form = delegation_form("2099-07-01T09:00", "2099-07-02T18:00")
    html = looking(people["approver"], "America/New_York").post(DELEGATE, form, follow=True).content.decode()
    row = Delegation.objects.get()
    assert (row.starts_at, row.ends_at) == (
        datetime(2099, 7, 1, 13, tzinfo=UTC),
        datetime(2099, 7, 2, 22, tzinfo=UTC),
    )
    assert "stands in for you until Thu 2 Jul 2099, 18:00 EDT" in html
    # The trail is for everybody, so it tells the time in UTC.
    assert "until 02 Jul 2099 22:00 UTC" in AuditEvent.objects.get(word="delegation.given").sentence


def test_the_form_names_the_zone_in_which_it_is_read(people):
    html = looking(people["approver"], "America/New_York").get("/admin/approvals/delegation/")
    assert "Your time zone: America/New York." in html.content.decode()
    other = looking(people["approver"], BERLIN).get("/admin/approvals/delegation/").content.decode()
    assert "Your time zone: Europe/Berlin." in other


@pytest.mark.parametrize("hour", ["2027-03-28T02:30", "2026-10-25T02:30"])
def test_an_hour_that_the_clocks_skip_or_repeat_is_asked_for_again(people, hour):
    html = looking(people["approver"], BERLIN).post(DELEGATE, delegation_form(hour, "2099-01-01T10:00"))
    assert "this hour comes twice, or not at all" in html.content.decode()
    assert not Delegation.objects.exists()


def test_what_is_no_time_is_refused_in_words(people):
    html = looking(people["approver"], BERLIN).post(DELEGATE, delegation_form("noon", "2099-01-01T10:00"))
    assert "write it like 2025-01-31 09:00" in html.content.decode()


def change(user, request: ApprovalRequest, browser: str, **typed) -> str:
    address = page_of(request).replace("/change/", "/decide/")
    form = {"verdict": "with_changes", "fingerprint": request.fingerprint, "reason": "Later."}
    form |= {f"change_{name}": value for name, value in typed.items()}
    return looking(user, browser).post(address, form, follow=True).content.decode()


def test_a_time_to_wait_for_is_typed_locally_kept_in_utc_and_shown_locally_again(waits, people):
    zone = ZoneInfo("America/New_York")
    later = (timezone.now() + timedelta(hours=20)).replace(second=0, microsecond=0)
    change(
        people["approver"], waits, "America/New_York", not_before=f"{later.astimezone(zone):%Y-%m-%dT%H:%M}"
    )
    row = waiting("C004")
    assert row.payload["not_before"] == later.isoformat()
    assert row.payload["not_before"].endswith("+00:00")
    html = looking(people["approver2"], BERLIN).get(page_of(row)).content.decode()
    there = later.astimezone(ZoneInfo(BERLIN))
    assert f'value="{there:%Y-%m-%dT%H:%M}"' in html
    with timezone.override(ZoneInfo(BERLIN)):
        assert f"not before {shown.absolute(later)}" in html
    said = change(people["approver2"], row, BERLIN, not_before=f"{there:%Y-%m-%dT%H:%M}")
    assert "Nothing is different" in said
    assert waiting("C004").revision == row.revision


@pytest.mark.parametrize("zone", [EARLY, LATE, "UTC"])
def test_an_outcome_can_be_measured_today_wherever_that_is(sample, people, zone):
    call_command("loaddata", "sample_history", verbosity=0)
    client = looking(people["operator"], zone)
    address = "/admin/journeys/intervention/I005/outcome/"
    today = timezone.now().astimezone(ZoneInfo(zone)).date()
    tomorrow = client.post(
        address, {"outcome": "resolved", "measured_at": f"{today + timedelta(days=1)}"}, follow=True
    )
    assert "lies ahead" in tomorrow.content.decode()
    client.post(address, {"outcome": "resolved", "measured_at": f"{today}"})
    assert Outcome.objects.filter(intervention_id="I005", measured_at=today).count() == 1


# ---- what is told


def test_a_refusal_tells_a_person_the_time_in_their_zone_and_a_program_in_utc(waits, people):
    services.claim(request_id=waits.pk, user=people["approver"], door="test")
    until = ApprovalRequest.objects.get(pk=waits.pk).claimed_until
    with pytest.raises(services.claims.Claimed, match=f"until {until:%H:%M} UTC"):
        services.claim(request_id=waits.pk, user=people["approver2"], door="test")
    address = page_of(waits).replace("/change/", "/claim/")
    html = looking(people["approver2"], "Asia/Tokyo").post(address).content.decode()
    assert f"until {until.astimezone(ZoneInfo('Asia/Tokyo')):%H:%M} JST" in html


def test_mail_tells_times_in_the_zone_that_its_reader_chose(addresses, asked, mailbox):  # noqa: F811 - the fixtures
    request = asked()
    services.choose_time_zone(user=addresses["approver"], name="Asia/Tokyo")
    assert postbox.send_due() == 4
    texts = {letter["To"]: letter.get_content() for letter in letters(mailbox)}
    with timezone.override(ZoneInfo("Asia/Tokyo")):
        due = shown.absolute(request.decision_due_at)
    assert f"Decision due: {due}" in texts["approver@desk.example"]
    assert "Times are in Asia/Tokyo." in texts["approver@desk.example"]
    assert f"Decision due: {shown.absolute(request.decision_due_at)}" in texts["manager@desk.example"]
    assert "Times are in UTC." in texts["manager@desk.example"]


def test_the_digest_counts_as_due_today_what_is_due_on_its_readers_day(addresses, asked, mailbox):  # noqa: F811 - the fixtures
    now = timezone.now()
    with timezone.override(ZoneInfo(EARLY)):
        early = queue.midnight_after(now)
    with timezone.override(ZoneInfo(LATE)):
        late = queue.midnight_after(now)
    first, last = sorted((early, late))
    due_at(asked(urgency="low"), first + (last - first) / 2)
    for name, zone in (("approver", EARLY), ("approver2", LATE)):
        services.choose_time_zone(user=addresses[name], name=zone)
    postbox.write_digests_of(now.date())
    postbox.send_due()
    texts = {letter["To"]: letter.get_content() for letter in letters(mailbox)}
    counts = ["1 due today" in texts[f"{name}@desk.example"] for name in ("approver", "approver2")]
    assert counts == [early > late, late > early]


def test_the_export_of_the_trail_stays_in_utc(waits, people):
    address = "/admin/approvals/auditevent/export/"
    here = b"".join(looking(people["auditor"], "Asia/Tokyo").get(address).streaming_content)
    assert here == b"".join(looking(people["auditor"]).get(address).streaming_content)
    assert all(json.loads(line)["at"].endswith("+00:00") for line in here.splitlines())


def test_programs_are_answered_in_utc_whatever_zone_was_chosen(waits, people):
    services.choose_time_zone(user=people["approver"], name="Asia/Tokyo")
    answer = looking(people["approver"], "Asia/Tokyo").get(f"/api/v1/approval-requests/{waits.pk}")
    assert answer.status_code == 200
    told = datetime.fromisoformat(answer.json()["decision_due_at"])
    assert (told, told.utcoffset()) == (waits.decision_due_at, timedelta(0))


def test_the_zone_ends_with_the_page(people):
    front_page(looking(people["approver"], "Asia/Tokyo"))
    assert timezone.get_current_timezone_name() == "UTC"


def test_looking_changes_nothing(waits, people):
    before = on_record()
    for name in (EARLY, LATE, "nonsense"):
        looking(people["auditor"], name).get(page_of(waits))
    assert on_record() == before
