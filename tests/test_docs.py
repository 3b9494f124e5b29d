"""The documentation tells of everything that is there, and of nothing that is not."""

import re
from pathlib import Path

import pytest
from django.core.management import find_commands, get_commands, load_command_class
from django.core.management.base import BaseCommand

from cjo_site.settings import env
from journeys import records
from journeys.domain.policy_table import field_rows
from tests import pages

ROOT = Path(__file__).resolve().parent.parent
OUR_APPS = ("approvals", "journeys", "cjo_site")
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
README = (ROOT / "README.md").read_text()

LINK = re.compile(r"\]\(([^)\s]+)\)")
IN_CODE = re.compile(r"`([^`\n]+)`")
OPTION = re.compile(r"--[a-z][a-z-]*")
A_FILE = re.compile(r"[\w.-]+(/[\w.-]+)*\.(py|md|txt|in|toml|json|png)|[\w.-]+(/[\w.-]+)*/|\.ci/run")
# Named, and made only where the product is installed and run.
MADE_LATER = {"var/mail"}


def section(title: str) -> str:
    """What stands below a heading of the README, up to the next one."""
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def table(text: str) -> list[list[str]]:
    """The cells of each row, without the head."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def our_commands() -> dict[str, str]:
    """App by name of the command."""
    commands = {}
    for app in OUR_APPS:
        folder = ROOT / app / "management"
        commands |= dict.fromkeys(find_commands(str(folder)), app)
    return commands


def own_options(name: str, app: str) -> set[str]:
    def options(command) -> set[str]:
        actions = command.create_parser("manage.py", name)._actions
        return {option for action in actions for option in action.option_strings if option.startswith("--")}

    return options(load_command_class(app, name)) - options(BaseCommand())


def test_every_setting_is_documented_and_no_other():
    documented = [IN_CODE.fullmatch(row[0]).group(1) for row in table(section("Settings"))]
    assert sorted(documented) == sorted(set(env.names))


def test_every_command_is_documented_with_each_of_its_options_and_no_other():
    documented = {}
    for row in table(section("Commands")):
        documented[row[0].strip("`")] = set(OPTION.findall(row[1]))
    assert documented == {name: own_options(name, app) for name, app in our_commands().items()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_is_named_that_is_not_there(page):
    named = set(re.findall(r"manage\.py ([a-z_]+)", page.read_text()))
    assert named <= {*get_commands(), *our_commands()}


def test_every_field_of_the_policy_is_documented_and_no_other():
    written = pages.POLICY_PAGE.read_text()
    documented = {
        row[0].strip("`") for row in table_rows(written) if row[0].startswith("`") and "." in row[0]
    }
    fields = {path for path, _, _ in field_rows()}
    assert documented == {path for path in fields if "." in path}
    assert written == pages.policy_page(), "To write it anew: .venv/bin/python -m tests.pages"


def table_rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def test_the_fields_of_the_policy_that_the_readme_tells_of_are_right():
    values = {path: value for path, value, _ in field_rows()}
    for fields, published, _ in table(section("The policy")):
        told = [float(number.replace(",", "")) for number in re.findall(r"[\d.,]*\d", published)]
        found = " ".join(values[field] for field in IN_CODE.findall(fields))
        assert told == [float(number) for number in re.findall(r"[\d.]*\d", found)], fields


def test_the_groups_are_documented_as_they_are():
    told, marked, matrix = pages.ROLES_PAGE.read_text().partition(pages.MATRIX_BEGINS)
    assert marked
    assert matrix == pages.role_matrix(), "To write it anew: .venv/bin/python -m tests.pages"


def test_every_field_that_can_be_imported_is_documented_and_no_other():
    documented = {row[0].strip("`"): row[1] for row in table(section("Your own data"))}
    assert documented == {
        kind.FILE: ", ".join(
            f"**{column.name}**" if column.required else column.name for column in records.columns(kind)
        )
        for kind in records.KINDS
    }


def test_the_walk_names_functions_that_are_there():
    for file, functions, _ in table(section("One signal through the files")):
        code = (ROOT / file.strip("`")).read_text()
        for function in IN_CODE.findall(functions):
            assert f"def {function.removesuffix(')')}" in code, f"{file} has no {function}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_file_that_is_named_exists(page):
    text = page.read_text()
    links = {link.partition("#")[0] for link in LINK.findall(text) if "://" not in link}
    missing = {link for link in links if link and not (page.parent / link).exists()}
    named = {name for name in IN_CODE.findall(text) if A_FILE.fullmatch(name)} - MADE_LATER
    missing |= {name for name in named if not (ROOT / name).exists() and not (page.parent / name).exists()}
    assert missing == set()
