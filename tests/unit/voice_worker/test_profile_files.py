"""Profiles are read strictly, and what is wrong is told with file, line, field and mend."""

import sys
from pathlib import Path

import pytest

from call_events.errors import BadSetting
from voice_worker.adapters.profile_files import load_profile
from voice_worker.errors import BadProfile

PROMPT = "You are the Generic agent. You answer the phone and find out what the call is about."
GOOD = """\
name: line
language: en-GB
voice: marin
first_agent: generic
greeting: Greet the caller.
introduction: Introduce yourself.
human_left: The human left.
agents:
  generic:
    class: GenericAgent
    name: Generic AI
    prompt: prompts/generic.md
    hands_over_to: [billing]
  billing:
    class: BillingAgent
    name: Billing AI
    prompt: prompts/billing.md
destinations:
  billing-desk: Invoices
fallback_destination: billing-desk
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    line = tmp_path / "line"
    (line / "prompts").mkdir(parents=True)
    (line / "profile.yaml").write_text(GOOD)
    (line / "prompts/generic.md").write_text(PROMPT)
    (line / "prompts/billing.md").write_text(PROMPT.replace("Generic", "Billing"))
    return tmp_path


def test_a_good_profile_is_read(folder: Path) -> None:
    profile = load_profile(folder, "line")
    assert profile.agent("generic").prompt == PROMPT
    assert profile.agent("generic").hands_over_to == ("billing",)
    assert [place.name for place in profile.destinations] == ["billing-desk"]


def test_the_hash_changes_with_any_file_and_only_then(folder: Path) -> None:
    """An auditor tells by it which prompts were spoken."""
    first = load_profile(folder, "line").hash
    assert load_profile(folder, "line").hash == first
    (folder / "line/prompts/billing.md").write_text(PROMPT + " Be brief.")
    assert load_profile(folder, "line").hash != first


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("voice: marin\n", "", 1, "voice: is missing; add it"),
        ("voice: marin", "voice: marin\nvioce: x", 4, "vioce"),
        ("voice: marin", "voice: marin\nvoice: cedar", 4, "is written twice (first in line 3)"),
        ("voice: marin", "voice: [", 5, "mend the YAML"),
        ("first_agent: generic", "first_agent: sales", 4, "name one of: generic, billing"),
        ("class: BillingAgent", "class: BilingAgent", 15, "there is no agent class 'BilingAgent'"),
        ("class: BillingAgent", "class: nowhere:Agent", 15, "cannot be imported"),
        ("class: BillingAgent", "class: decimal:Decimal", 15, "is not a voice_worker"),
        ("class: BillingAgent", "class: ':X'", 15, "there is no agent class ':X'; use GenericAgent"),
        ("class: BillingAgent", "class: 'decimal:'", 15, "there is no agent class 'decimal:'"),
        ("class: BillingAgent", "class: .here:Agent", 15, "there is no agent class '.here:Agent'"),
        (
            "agents:\n",
            "agents: &all\n  other: *all\n",
            9,
            "an alias (*) is not taken here, write out what it stands for",
        ),
        ("  billing:\n", "  <<: {x: 1}\n  billing:\n", 14, "a merge (<<) is not taken here"),
        ("name: line", "name: 2026-13-45", 1, "this is no timestamp; if it is meant as text put it in quotes"),
        ("name: line", "name: !!int x", 1, "this is no int"),
        ("name: line", "name: " + "[" * 2000, 1, "this is nested too deep"),
        ("voice: marin", 'voice: "\x01"', 3, "a character that no text has"),
        ("prompt: prompts/billing.md", 'prompt: "prompts\\0.md"', 17, "agents.billing.prompt"),
        ("  billing:\n", "  bílling:\n", 14, "an agent's key is lower-case letters"),
        ("hands_over_to: [billing]", "hands_over_to: [sales]", 13, "there is no other agent 'sales'"),
        ("prompt: prompts/billing.md", "prompt: prompts/none.md", 17, "there is no file"),
        ("prompt: prompts/billing.md", "prompt: ../../etc/passwd", 17, "is outside the profile"),
        ("billing-desk: Invoices", "Billing Desk: Invoices", 18, "destinations: "),
        ("fallback_destination: billing-desk", "fallback_destination: nowhere", 20, "name one of: billing-desk"),
        ("name: line", "- name", 1, "a profile is a mapping"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(folder: Path, old: str, new: str, line: int, says: str) -> None:
    path = folder / "line/profile.yaml"
    path.write_text(GOOD.replace(old, new, 1) if new != "- name" else "- name\n")
    with pytest.raises(BadProfile) as wrong:
        load_profile(folder, "line")
    assert str(wrong.value).startswith(f"{path}:{line}: ")
    assert says in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("class Agent(", "SyntaxError"),
        ("{}['OUR_SETTING']", "KeyError: 'OUR_SETTING'"),
        ("open('/nowhere/agent.cfg')", "FileNotFoundError"),
        ("undefined_name", "NameError"),
        ("raise ValueError('no port\\nlater lines may hold a secret')", "ValueError: no port)"),
    ],
)
def test_a_module_of_a_deployer_that_cannot_be_imported_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, says: str
) -> None:
    (folder / "our_agents.py").write_text(module)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "our_agents", raising=False)
    path = folder / "line/profile.yaml"
    path.write_text(GOOD.replace("class: BillingAgent", "class: our_agents:Agent"))
    with pytest.raises(BadProfile) as wrong:
        load_profile(folder, "line")
    assert str(wrong.value).startswith(f"{path}:15: agents.billing.class: agent class 'our_agents:Agent' cannot be")
    assert says in str(wrong.value)
    assert "\n" not in str(wrong.value)
    assert "secret" not in str(wrong.value)


def test_an_empty_prompt_is_refused(folder: Path) -> None:
    (folder / "line/prompts/billing.md").write_text("\n")
    with pytest.raises(BadProfile, match=r"billing\.md:1: prompt of billing: it is empty"):
        load_profile(folder, "line")


def test_a_prompt_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "line/prompts/billing.md").write_bytes(b"You are the Billing agent \xff\xfe of the company")
    with pytest.raises(BadProfile, match="no UTF-8"):
        load_profile(folder, "line")


def test_an_unknown_profile_names_the_known_ones(folder: Path) -> None:
    with pytest.raises(BadSetting, match="VOICE_WORKER_PROFILE: there is no profile 'nope'; there are: line"):
        load_profile(folder, "nope")


def test_our_own_profile_is_good() -> None:
    profiles = Path(__file__).parents[3] / "profiles"
    profile = load_profile(profiles, "contact-centre")
    assert [agent.key for agent in profile.agents] == ["generic", "sales", "support", "billing"]
    for agent in profile.agents:
        assert agent.prompt.startswith(f"You are the {agent.key.capitalize()} agent")
