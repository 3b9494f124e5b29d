"""Your settings: what a person sets for themselves, and nobody for them."""

from django import forms
from django.contrib import admin

from approvals import services, shown, zones
from approvals.desk import Act, DeskAdmin, DeskForm
from approvals.models import Preferences


class TimeZoneForm(DeskForm):
    """The list is made with the form: reading it takes a moment, which a start need not wait for."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["time_zone"] = forms.ChoiceField(
            label="Time zone",
            required=False,
            choices=[
                ("", "That of your browser"),
                *((name, name.replace("_", " ")) for name in zones.places()),
            ],
            help_text="Pages and mail to you tell times in it, and what you type is read in it. A mail knows "
            "no browser: without a choice it tells times in UTC.",
        )


class MonthlyReportForm(DeskForm):
    monthly_report = forms.ChoiceField(
        label="The report of each month by mail",
        required=False,
        choices=[("", "As my role has it"), ("yes", "Yes"), ("no", "No")],
        help_text="On the 1st: what the month was worth, in short, with a link to the whole report.",
    )


def _choose_report(request, row: None, data: dict) -> str:
    wanted = {"yes": True, "no": False}.get(data["monthly_report"])
    services.choose_monthly_report(user=request.user, wanted=wanted)
    return {
        None: "You get the report of each month by mail if your role has it so.",
        True: "You get the report of each month by mail.",
        False: "You get no report of the month by mail any more.",
    }[wanted]


def _report_chosen(user) -> str:
    row = Preferences.objects.filter(user=user).first()
    return {True: "yes", False: "no"}.get(row and row.monthly_report, "")


def _choose(request, row: None, data: dict) -> str:
    services.choose_time_zone(user=request.user, name=data["time_zone"])
    if not data["time_zone"]:
        return "Times are told in your browser's time zone from now on."
    return f"Times are told in {data['time_zone'].replace('_', ' ')} from now on."


@admin.register(Preferences)
class PreferencesAdmin(DeskAdmin):
    """One page, everybody's own: there is no list and no page of anybody else."""

    change_list_template = "admin/approvals/preferences/page.html"
    list_acts = (
        Act(
            name="choose-time-zone",
            title="Your time zone",
            button="Use it",
            form=TimeZoneForm,
            initial=lambda request, row: {"time_zone": zones.chosen_by(request.user)},
            perform=_choose,
        ),
        Act(
            name="choose-monthly-report",
            title="The monthly report",
            button="Keep it so",
            form=MonthlyReportForm,
            initial=lambda request, row: {"monthly_report": _report_chosen(request.user)},
            perform=_choose_report,
        ),
    )

    def get_urls(self):
        return [address for address in super().get_urls() if not address.name.endswith("_change")]

    def has_view_permission(self, request, obj=None):
        return request.user.is_active and request.user.is_staff

    def has_module_permission(self, request):
        """It is reached from the menu of one's account."""
        return False

    def get_queryset(self, request):
        return super().get_queryset(request).filter(user=request.user)

    def list_page(self, request, refused=None, **extra):
        extra |= {
            "heading": "Your settings",
            "groups": list(request.user.groups.order_by("name").values_list("name", flat=True)),
            "zone": shown.zone_name(),
        }
        return super().list_page(request, refused, **extra)
