"""One LiveKit job: the only place that knows of job contexts. It hands the room on, with the way into it, and
ends the job afterwards."""

from collections.abc import Awaitable, Callable

import structlog
from livekit import api, rtc
from livekit.agents import AutoSubscribe, JobContext

from call_events.errors import BadCallId
from call_events.ids import CallId, call_id

log = structlog.get_logger()

Enter = Callable[[], Awaitable[None]]
RunCall = Callable[[CallId, rtc.Room, api.LiveKitAPI, Enter], Awaitable[None]]


async def answer(job: JobContext, run_call: RunCall) -> None:
    """Answer the call this job was dispatched for."""
    try:
        call = call_id(job.room.name)
    except BadCallId as error:
        log.warning("job.refused", why=str(error), mend="let the dispatch rule name the room after the call")
        job.shutdown("bad room name")
        return
    log.debug("job.started", call=call)

    async def enter() -> None:
        # By the server, not by us. The SDK's other modes ask for each track as it learns of it, and after a restart of
        # livekit-server it learns of the others' tracks before its new connection can carry the question: the answer
        # to it never comes, and the AI stays deaf (rtc 1.1.21, agents 1.8.9).
        await job.connect(auto_subscribe=AutoSubscribe.SUBSCRIBE_ALL)
        log.debug("job.connected", call=call)

    try:
        await run_call(call, job.room, job.api, enter)
    finally:
        job.shutdown("the call is over")
