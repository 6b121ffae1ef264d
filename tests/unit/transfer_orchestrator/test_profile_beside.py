"""A destination that only the profile knows is told at the start, not to a caller who asks for a person."""

from pathlib import Path

import pytest

from transfer_orchestrator.adapters.destinations_file import load_destinations
from transfer_orchestrator.adapters.profile_beside import check_profile_beside
from transfer_orchestrator.errors import BadDestinations
from voice_worker.adapters.profile_files import load_profile

PROFILES = Path(__file__).parents[3] / "profiles"
DESTINATIONS = """\
destinations:
  billing-desk:
    name: Billing desk
    human_name: Maria Weber
    targets: [{name: billing-phone, number: "7001"}]
  front-desk:
    name: Front desk
    human_name: Claire Martin
    targets: [{name: front-phone, number: "7000"}]
"""
PROFILE = """\
name: line
destinations:
  billing-desk: Invoices
fallback_destination: front-desk
"""


def check(directory: Path, profile: str | None) -> None:
    path = directory / "destinations.yaml"
    path.write_text(DESTINATIONS, encoding="utf-8")
    if profile is not None:
        (directory / "profile.yaml").write_text(profile, encoding="utf-8")
    check_profile_beside(path, load_destinations(path))


def test_the_profile_and_the_destinations_that_are_shipped_name_the_same() -> None:
    """Read by both services, as each reads its own."""
    path = PROFILES / "contact-centre" / "destinations.yaml"
    destinations = load_destinations(path)
    check_profile_beside(path, destinations)
    profile = load_profile(PROFILES, "contact-centre")
    assert {place.name for place in profile.destinations} == set(destinations)
    assert profile.fallback_destination in destinations


def test_a_profile_that_names_what_there_is_is_good(tmp_path: Path) -> None:
    check(tmp_path, PROFILE)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("billing-desk: Invoices", "biling-desk: Invoices", "line 3, destinations: agents may ask for 'biling-desk'"),
        ("front-desk", "frontdesk", "line 4, fallback_destination: agents may ask for 'frontdesk'"),
    ],
)
def test_a_name_that_only_the_profile_has_is_one_line_with_its_place(
    tmp_path: Path, old: str, new: str, place: str
) -> None:
    with pytest.raises(BadDestinations) as raised:
        check(tmp_path, PROFILE.replace(old, new))
    assert str(raised.value) == (
        f"{tmp_path}/profile.yaml, {place}, and {tmp_path}/destinations.yaml has no such destination; "
        "add it there or name one of: billing-desk, front-desk"
    )


@pytest.mark.parametrize(
    "profile", [None, "", "name: line\n", "destinations: [a]\nfallback_destination:\n", "[", "a: &x [*x]", "- a\n"]
)
def test_where_no_profile_can_be_read_there_is_nothing_to_compare(tmp_path: Path, profile: str | None) -> None:
    """The file may lie alone; and of a profile that is wrong in itself its worker tells."""
    check(tmp_path, profile)
