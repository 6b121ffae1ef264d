"""Spoken calls of the real agents SDK with the stand-in: everything goes by sound."""

from integration.realtime.conftest import spoken, until
from standins.realtime import RealtimeStandIn, Transcripts


async def test_an_agent_introduces_itself_in_its_own_voice(stand_in: RealtimeStandIn) -> None:
    async with spoken(stand_in) as call:
        await call.utterances(1)
        assert call.heard_at(0).phrase_id == "billing.introduction"
        assert call.texts == [("assistant", call.book["billing.introduction"].text)]


async def test_a_spoken_question_calls_the_tool_and_its_result_is_spoken(stand_in: RealtimeStandIn) -> None:
    async with spoken(stand_in) as call:
        await call.utterances(1)
        call.say("customer.invoice_number")
        await call.utterances(2)
        assert call.agent.asked_for == ["1042"]
        assert call.heard_at(1).phrase_id == "billing.invoice_found"
        assert call.texts[1:] == [
            ("user", call.book["customer.invoice_number"].text),
            ("assistant", call.book["billing.invoice_found"].text),
        ]
        assert [entry["phrase_id"] for entry in stand_in.heard.entries] == ["customer.invoice_number"]


async def test_a_question_about_an_invoice_is_handed_over_and_the_specialist_introduces_itself(
    stand_in: RealtimeStandIn,
) -> None:
    async with spoken(stand_in, generic_first=True) as call:
        await call.utterances(1)
        call.say("customer.ask_invoice")
        await call.utterances(2)
        call.say("customer.invoice_number")
        await call.utterances(3)
        assert [call.heard_at(number).phrase_id for number in range(3)] == [
            "generic.greeting",
            "billing.introduction",
            "billing.invoice_found",
        ]
        # Kept, but the SDK's own history may place a transcript that arrives during the handoff too late: the worker
        # keeps a ledger of its own by the time at which speech began.
        assert sorted(role for role, _ in call.texts) == ["assistant"] * 3 + ["user"] * 2


async def test_another_result_of_the_tool_is_answered_with_another_sentence(stand_in: RealtimeStandIn) -> None:
    async with spoken(stand_in) as call:
        await call.utterances(1)
        call.say("customer.unknown_invoice")
        await call.utterances(2)
        assert call.agent.asked_for == ["9999"]
        assert call.heard_at(1).phrase_id == "billing.invoice_unknown"


async def test_speech_that_is_not_in_the_book_is_not_understood(stand_in: RealtimeStandIn) -> None:
    async with spoken(stand_in) as call:
        await call.utterances(1)
        call.mouth.say(call.book["customer.invoice_number"].pcm(24_000)[::-1])
        await call.utterances(2)
        assert call.agent.asked_for == []
        assert call.heard_at(1).phrase_id == "billing.did_not_understand"
        assert ("user", "[unintelligible]") in call.texts


async def test_speaking_into_a_reply_stops_it_and_keeps_only_what_was_heard(stand_in: RealtimeStandIn) -> None:
    async with spoken(stand_in) as call:
        await call.utterances(1)
        call.say("customer.long_story")
        await until(lambda: call.loudspeaker.playing and call.mouth.silent, "a long reply")
        call.say("customer.wait")
        await call.utterances(3)
        cut = call.heard_at(1)
        assert len(call.loudspeaker.utterances[1]) / 24_000 < 2.5
        assert cut.phrase_id in (None, "billing.monologue")
        assert not cut.complete
        assert call.heard_at(2).phrase_id == "billing.go_on"
        assert [interrupted for role, _, interrupted in call.items if role == "assistant"] == [False, True, False]


async def test_a_late_transcript_still_finds_its_place_before_the_reply(stand_in: RealtimeStandIn) -> None:
    stand_in.misbehaviour = stand_in.misbehaviour.model_copy(update={"transcript_delay_s": 4.0})
    async with spoken(stand_in) as call:
        await call.utterances(1)
        call.say("customer.thanks")
        await call.utterances(2)
        assert call.finals == []
        await until(lambda: len(call.finals) == 1, "the late transcript")
        assert [role for role, _, _ in call.items] == ["assistant", "assistant", "user"]
        assert [role for role, _ in call.texts] == ["assistant", "user", "assistant"]


async def test_a_dropped_transcript_never_comes_but_the_caller_is_answered(stand_in: RealtimeStandIn) -> None:
    stand_in.misbehaviour = stand_in.misbehaviour.model_copy(update={"transcripts": Transcripts.DROPPED})
    async with spoken(stand_in) as call:
        await call.utterances(1)
        call.say("customer.thanks")
        await call.utterances(2)
        assert call.heard_at(1).phrase_id == "billing.anything_else"
        assert call.finals == []


async def test_the_reply_starts_soon_after_the_last_word(stand_in: RealtimeStandIn) -> None:
    """Most of the time is the 100 ms pieces the SDK sends; the bound is generous because test machines are busy."""
    async with spoken(stand_in) as call:
        await call.utterances(1)
        call.say("customer.thanks")
        await call.utterances(2)
        assert call.loudspeaker.first_sound_at[1] - call.mouth.finished_at < 0.6


async def test_a_fatal_error_ends_the_session_with_an_error(stand_in: RealtimeStandIn) -> None:
    async with spoken(stand_in) as call:
        await call.utterances(1)
        await stand_in.send_error("insufficient_quota")
        await until(lambda: bool(call.errors), "the error")
        assert call.errors[0].error.recoverable is False  # type: ignore[attr-defined]


async def test_a_dropped_connection_is_taken_up_again_and_the_call_goes_on(stand_in: RealtimeStandIn) -> None:
    async with spoken(stand_in) as call:
        await call.utterances(1)
        assert stand_in.drop() == 1
        await until(lambda: bool(call.errors), "the error that tells of the lost connection")
        call.say("customer.thanks")
        await call.utterances(2)
        assert call.heard_at(1).phrase_id == "billing.anything_else"
