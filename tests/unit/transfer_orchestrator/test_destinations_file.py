"""A wrong destinations file is refused with file, line, field and mend; the one we ship is right."""

from pathlib import Path

import pytest

from transfer_orchestrator.adapters.destinations_file import load_destinations
from transfer_orchestrator.errors import BadDestinations

GOOD = """\
destinations:
  billing-desk:
    name: Billing desk
    human_name: Maria Weber
    targets:
      - name: billing-phone
        number: "7001"
        ring_seconds: 20
      - name: second
        number: "+15550100"
        human_name: Peter
"""


def load(tmp_path: Path, text: str) -> object:
    path = tmp_path / "destinations.yaml"
    path.write_text(text, encoding="utf-8")
    return load_destinations(path)


def test_the_file_becomes_a_ladder_in_order(tmp_path: Path) -> None:
    path = tmp_path / "destinations.yaml"
    path.write_text(GOOD, encoding="utf-8")
    desk = load_destinations(path)["billing-desk"]
    assert [(t.name, t.number, t.ring_seconds, t.human_name) for t in desk.targets] == [
        ("billing-phone", "7001", 20, "Maria Weber"),
        ("second", "+15550100", 20, "Peter"),
    ]


@pytest.mark.parametrize("number", ["7001", "+15550100", "*97", "anna.berg", "#1", "a-b_c", "+" + "7" * 64])
def test_a_number_or_a_user_at_the_trunk_can_be_dialled(tmp_path: Path, number: str) -> None:
    load(tmp_path, GOOD.replace('"7001"', f'"{number}"'))


def test_the_file_we_ship_has_the_four_desks() -> None:
    shipped = Path(__file__).parents[3] / "profiles" / "contact-centre" / "destinations.yaml"
    destinations = load_destinations(shipped)
    assert set(destinations) == {"billing-desk", "sales-desk", "support-desk", "front-desk"}
    assert destinations["billing-desk"].targets[0].human_name == "Maria Weber"


@pytest.mark.parametrize(
    ("change", "line", "field", "mend"),
    [
        (('"7001"', "7001"), 7, "destinations.billing-desk.targets.0.number", "in quotes"),
        (('"7001"', '"sip:7001@pbx"'), 7, "number", "without host"),
        (('"7001"', '"---"'), 7, "number", "write a number or SIP user"),
        (('"7001"', '"+"'), 7, "number", "write a number or SIP user"),
        (('"7001"', f'"{"7" * 66}"'), 7, "number", "write a number or SIP user"),
        (("ring_seconds: 20", "ring_seconds: 300"), 8, "ring_seconds", "1 to 60"),
        (("ring_seconds: 20", "ring_secs: 20"), 8, "ring_secs", "spelling"),
        (("    human_name: Maria Weber\n", ""), 2, "human_name is missing", "who answers"),
        (("name: second", "name: billing-phone"), 9, "targets.1.name", "give each its own"),
        (("  billing-desk:", "  Billing Desk:"), 2, "Billing Desk", "lower-case"),
        (("    name: Billing desk\n", "    name: A\n    name: B\n"), 4, "name", "twice"),
        (("name: Billing desk", "name: [Billing"), 4, "no valid YAML", "quotes"),
        (("destinations:", "places:"), 1, "destinations", "write 'destinations:'"),
        (("    targets:\n", "    targets: &all\n      - *all\n"), 6, "an alias (*) is not taken here", "write out"),
        (("destinations:", "destinations: &all\n  again: *all"), 2, "an alias (*) is not taken here", "write out"),
        (("    name: Billing desk\n", "    <<: {name: A}\n    name: B\n"), 3, "a merge (<<)", "write out"),
        (('"7001"', "2026-13-45"), 7, "this is no timestamp", "in quotes"),
        (('"7001"', "[" * 2000), 7, "this is nested too deep", "quotes"),
        (('"7001"', '"\x01"'), 7, "a character that no text has", "quotes"),
    ],
)
def test_a_fault_names_line_field_and_mend(
    tmp_path: Path, change: tuple[str, str], line: int, field: str, mend: str
) -> None:
    with pytest.raises(BadDestinations) as raised:
        load(tmp_path, GOOD.replace(*change, 1))
    text = str(raised.value)
    assert "destinations.yaml" in text
    assert mend in text
    assert "\n" not in text
    for part in field.split(" is "):
        assert part in text
    assert f"line {line}" in text


@pytest.mark.parametrize("text", ["", "[]", "destinations: {}", "destinations:\n  a-desk:\n    targets: []\n"])
def test_a_file_without_destinations_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadDestinations, match=r"destinations\.yaml"):
        load(tmp_path, text)


def test_a_file_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadDestinations, match=r"nowhere\.yaml cannot be read \(No such file"):
        load_destinations(tmp_path / "nowhere.yaml")


def ladder(*ring_seconds: int) -> str:
    phones = [f'      - {{name: phone-{n}, number: "70{n}", ring_seconds: {s}}}\n' for n, s in enumerate(ring_seconds)]
    return "destinations:\n  a-desk:\n    name: A\n    human_name: B\n    targets:\n" + "".join(phones)


def test_a_ladder_may_ring_as_long_as_the_bridge_holds_messages(tmp_path: Path) -> None:
    load(tmp_path, ladder(60, 40))
    with pytest.raises(BadDestinations) as raised:
        load(tmp_path, ladder(60, 30, 11, 5))
    assert str(raised.value).endswith(
        "destinations.yaml, line 8, destinations.a-desk.targets.2.ring_seconds: up to here the phones of a-desk ring "
        "101 s one after the other, and at most 100 s are allowed; shorten ring_seconds or remove a target"
    )


def test_a_ring_time_that_is_not_written_counts_too(tmp_path: Path) -> None:
    phones = "".join(f'      - {{name: phone-{n}, number: "70{n}"}}\n' for n in range(6))
    with pytest.raises(BadDestinations, match=r"line 11, destinations\.a-desk\.targets\.5.*ring 120 s"):
        load(tmp_path, ladder() + phones)
