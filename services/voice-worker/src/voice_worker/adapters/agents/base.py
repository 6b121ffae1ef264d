"""What every agent of a call has in common: it enters, introduces itself, hands over, asks for a person, says goodbye.

Facts of livekit-agents 1.8.9 this module is built on:

- an agent's ``id`` counts only for subclasses, and a handoff happens by a tool that returns *only* the agent;
- two agents returned in one batch of tools cancel each other without a word, so a second handoff is refused here;
- a caller who speaks while a tool runs makes the tool's result vanish, unless interruptions are disallowed first;
- closing the session from inside a tool deadlocks, so tools only ask the desk.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from livekit import rtc
from livekit.agents import Agent, ModelSettings, RunContext, StopResponse, ToolError, function_tool
from livekit.agents.llm import ChatContext, FunctionTool

from voice_worker.domain.book import Caller
from voice_worker.domain.call import Phase
from voice_worker.domain.profile import AgentSpec, Destination
from voice_worker.domain.signals import GoodbyeAsked
from voice_worker.ports import CustomerBook, Desk

#: A look-up that takes longer is as good as an outage: the caller is waiting in silence.
BOOK_SECONDS = 5.0
#: An agent's sentence before it asks for a person.
SENTENCE_SECONDS = 8.0
#: The agent's last words; then the call ends whether or not they were said, unless the caller has spoken meanwhile.
GOODBYE_SECONDS = 15.0
#: Conversation items that go along at a handoff.
CONTEXT_ITEMS = 60

T = TypeVar("T")


class Cast(Protocol):
    """Makes the agents of one call."""

    def make(self, key: str, *, chat_ctx: ChatContext | None, reason: str, introduce: bool) -> Agent:
        """A new agent of that key, with the conversation so far."""
        ...


class CallAgent(Agent):
    """One AI personality in one call. Subclasses add tools; their first constructor arguments are these."""

    def __init__(
        self,
        spec: AgentSpec,
        *,
        desk: Desk,
        book: CustomerBook,
        cast: Cast,
        destinations: Sequence[Destination],
        others: Sequence[AgentSpec],
        instructions: str,
        chat_ctx: ChatContext | None,
        reason: str,
        introduction: str | None,
    ) -> None:
        super().__init__(
            instructions=instructions,
            id=spec.key,
            chat_ctx=chat_ctx if chat_ctx is not None else ChatContext.empty(),
            tools=[*self._handoff_tools(others), *self._common_tools(destinations)],
        )
        self.desk = desk
        self.book = book
        self._cast = cast
        self._spec = spec
        self._reason = reason
        self._introduction = introduction
        self._context_items = len(chat_ctx.items) if chat_ctx is not None else 0

    @property
    def caller(self) -> Caller:
        """Who is on the line, for the book."""
        state = self.desk.state
        return Caller(customer_id=state.customer_id or None, number=state.customer_number)

    async def on_enter(self) -> None:
        """Take the floor."""
        self.desk.agent_entered(self._spec.key, reason=self._reason, context_items=self._context_items)
        if self._introduction:
            self.session.generate_reply(instructions=self._introduction)

    async def realtime_audio_output_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncGenerator[rtc.AudioFrame, None]:
        """Speak, but not before the customer listens: what is said while the phone rings would be lost on them."""
        await self.desk.customer_listens()
        async for frame in Agent.default.realtime_audio_output_node(self, audio, model_settings):
            yield frame

    def may_act(self) -> None:
        """Tools begin with this: once a human has the call, or it is over, the model's wishes are void.

        Raises:
            StopResponse: the model is no longer in charge.
        """
        if self.desk.state.phase in (Phase.HUMAN, Phase.ENDED):
            raise StopResponse

    async def look_up(self, asked: Awaitable[T]) -> T:
        """Ask the book, not for longer than a caller waits.

        Raises:
            StopResponse: the model is no longer in charge; the book is not asked.
            ToolError: it took too long; said in words for the model.
        """
        try:
            self.may_act()
        except StopResponse:
            if isinstance(asked, Coroutine):
                asked.close()  # Python warns of one that nobody ever awaits
            raise
        try:
            async with asyncio.timeout(BOOK_SECONDS):
                return await asked
        except TimeoutError:
            raise ToolError("Our system does not answer now. Say so, and offer to try again or a call back.") from None

    def _handoff_tools(self, others: Sequence[AgentSpec]) -> list[FunctionTool[..., Any]]:
        return [self._handoff_tool(other) for other in others]

    def _handoff_tool(self, other: AgentSpec) -> FunctionTool[..., Any]:
        async def hand_over(context: RunContext[Any], reason: str) -> Agent:
            self.may_act()
            state = self.desk.state
            if state.handing_over_to is not None:
                raise ToolError("The conversation is being handed over already. Say nothing more.")
            if state.transfer is not None:
                raise ToolError("The call is being put through to a person. Keep the caller company until then.")
            hold_the_floor(context)
            state.handing_over_to = other.key
            chat_ctx = self.chat_ctx.copy(
                exclude_instructions=True, exclude_function_call=True, exclude_handoff=True, exclude_config_update=True
            ).truncate(max_items=CONTEXT_ITEMS)
            return self._cast.make(other.key, chat_ctx=chat_ctx, reason=reason, introduce=True)

        return function_tool(
            hand_over,
            name=f"hand_over_to_{other.key}",
            description=(
                f"Give the conversation to the {other.name}. Call it alone, without saying anything first.\n\n"
                "Args:\n    reason: Why, in a few words."
            ),
        )

    def _common_tools(self, destinations: Sequence[Destination]) -> list[FunctionTool[..., Any]]:
        places = "\n".join(f"- {place.name}: {place.description}" for place in destinations)

        async def transfer_to_human(context: RunContext[Any], destination: str, reason: str, summary: str) -> str:
            self.may_act()
            if self.desk.state.handing_over_to is not None:
                raise ToolError("The conversation is being handed over already. Say nothing more.")
            hold_the_floor(context)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SENTENCE_SECONDS):
                    await context.wait_for_playout()
            if refusal := self.desk.request_transfer(destination, reason, summary):
                raise ToolError(refusal)
            return (
                "The call is being put through now. Tell the caller in one short sentence that you are putting them "
                "through to a colleague and ask them to stay on the line. Do not say goodbye."
            )

        async def end_call(context: RunContext[Any], reason: str) -> str:
            del reason  # it stands in the log as the tool's argument
            self.may_act()
            if self.desk.state.transfer is not None:
                raise ToolError("The call is being put through to a person; it cannot be ended now.")
            hold_the_floor(context)
            if not self.desk.state.ending:
                self.desk.state.ending = True
                goodbye = GoodbyeAsked(at=datetime.now(UTC))
                # The handle is done when the goodbye that follows this tool has been heard.
                context.speech_handle.add_done_callback(lambda _: self.desk.signal(goodbye))
                asyncio.get_running_loop().call_later(GOODBYE_SECONDS, self.desk.signal, goodbye)
            return (
                "The call ends now. Thank the caller and say goodbye in one short sentence. If the caller speaks "
                "meanwhile, it does not end by itself: if they only return the goodbye, call end_call again without "
                "another sentence; if they ask for something more, the call goes on."
            )

        tools: list[FunctionTool[..., Any]] = [
            function_tool(
                end_call,
                description=(
                    "End the call, once the caller has said that nothing else is needed.\n\n"
                    "Args:\n    reason: Why, in a few words."
                ),
            )
        ]
        if destinations:
            description = (
                "Put the caller through to a person, when they ask for one or when you cannot help.\n"
                f"Destinations:\n{places}\n\n"
                "Args:\n    destination: The name of one of the destinations above.\n"
                "    reason: Why, in a few words.\n"
                "    summary: What the person should know before saying hello: who calls, about what, what is known."
            )
            tools.append(function_tool(transfer_to_human, description=description))
        return tools


def hold_the_floor(context: RunContext[Any]) -> None:
    """Keep the result of a tool when the caller speaks meanwhile; too late if they have spoken already."""
    with contextlib.suppress(RuntimeError):
        context.disallow_interruptions()
