"""What stands in for the model's mind: readable rules that see only what a model would see.

A rule (`dialogues/*.yaml`) may look at the instructions (which agent speaks, what it was asked to do for this reply),
at what was heard, at the output of a tool, at the agent's own last sentence and at the tools on offer; nothing else.
The first rule that fits decides. Saying is by phrases of the book, in the voice of the agent that speaks.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from standins.phrases import Phrase, PhraseBook

DIALOGUES = Path(__file__).parent / "dialogues"
DEFAULT_DIALOGUE = DIALOGUES / "contact-centre.yaml"

UNINTELLIGIBLE = "unintelligible"
ANYTHING = "anything"

_AGENT = re.compile(r"you are the (\w+) agent", re.IGNORECASE)


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class When(BaseModel):
    """All of these must hold; what is left out does not matter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Which agent the instructions name.
    agent: Names = ()
    #: Ids of heard phrases, or "unintelligible", or "anything".
    heard: Names = ()
    #: Searched in the instructions given for this reply alone, without regard to case.
    asked: str | None = None
    #: Name of the tool whose output came last, and what to search in it, without regard to case.
    tool: Names = ()
    output: str | None = None
    #: What this agent said last, as names of phrases.
    after: Names = ()


class ToolCall(BaseModel):
    """A tool and its arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str
    arguments: Mapping[str, Any] = Field(default_factory=dict)

    @property
    def arguments_json(self) -> str:
        """The arguments as a model writes them."""
        return json.dumps(dict(self.arguments))


class Rule(BaseModel):
    """One rule: when, and what then. Neither `say` nor `call` is an answer without a word."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: When
    say: Names = ()
    call: ToolCall | None = None


@dataclass(frozen=True)
class Situation:
    """What a model would see when it is its turn."""

    instructions: str
    tools: frozenset[str]
    asked: str = ""
    #: Phrase id, "unintelligible", or None if the caller has not just spoken.
    heard: str | None = None
    #: Name and output of the tool that has just answered.
    tool: str | None = None
    output: str = ""
    #: Text of the agent's last sentence.
    last_said: str = ""
    agent: str = field(init=False)

    def __post_init__(self) -> None:
        """Find out whose instructions these are: the first agent they name."""
        named = _AGENT.search(self.instructions)
        object.__setattr__(self, "agent", named.group(1).lower() if named else "generic")


@dataclass(frozen=True)
class Reply:
    """What to say and which tool to call."""

    say: tuple[Phrase, ...] = ()
    call: ToolCall | None = None


class Brain:
    """Decides replies by the rules of one dialogue.

    Raises:
        pydantic.ValidationError: the dialogue is not written as `Rule` describes.
        KeyError: it names a phrase that no agent can say.
    """

    def __init__(self, book: PhraseBook, dialogue: Path = DEFAULT_DIALOGUE) -> None:
        self._book = book
        raw = yaml.safe_load(dialogue.read_text(encoding="utf-8"))
        self._rules = [Rule.model_validate(rule) for rule in raw["rules"]]
        self._voices = {phrase.role for phrase in book.values()}
        for name in {name for rule in self._rules for name in (*rule.say, *rule.when.after)}:
            if not any(f"{voice}.{name}" in book for voice in self._voices):
                raise KeyError(f"{dialogue.name}: no agent can say {name!r}; add it to the phrase book")
        for heard in {heard for rule in self._rules for heard in rule.when.heard} - {UNINTELLIGIBLE, ANYTHING}:
            book[heard]

    def decide(self, seen: Situation) -> Reply:
        """What to do now. Silence if no rule fits."""
        for rule in self._rules:
            if self._fits(rule, seen):
                return Reply(tuple(self._phrases(rule.say, seen.agent)), rule.call)
        return Reply()

    def _phrases(self, names: Iterable[str], agent: str) -> Iterable[Phrase]:
        for name in names:
            voice = agent if f"{agent}.{name}" in self._book else "generic"
            yield self._book[f"{voice}.{name}"]

    def _fits(self, rule: Rule, seen: Situation) -> bool:
        when = rule.when
        return (
            (not when.agent or seen.agent in when.agent)
            and (not when.heard or _hears(when.heard, seen.heard))
            and (when.asked is None or bool(seen.asked and re.search(when.asked, seen.asked, re.IGNORECASE)))
            and (not when.tool or seen.tool in when.tool)
            and (when.output is None or bool(re.search(when.output, seen.output, re.IGNORECASE)))
            and (
                not when.after or any(phrase.text in seen.last_said for phrase in self._phrases(when.after, seen.agent))
            )
            and (rule.call is None or rule.call.tool in seen.tools)
        )


def _hears(wanted: tuple[str, ...], heard: str | None) -> bool:
    return heard is not None and (heard in wanted or ANYTHING in wanted)
