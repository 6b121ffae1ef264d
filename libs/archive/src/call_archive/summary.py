"""What a call can be found by, worked out of its events."""

from collections.abc import Sequence

from call_archive.model import Summary, TransferSummary
from call_events import catalogue as c
from call_events.fold import fold
from call_events.ports import AnyEvent


def summary_of(events: Sequence[AnyEvent]) -> Summary:
    """Never fails: what the events do not tell stays absent."""
    state = fold(events)
    started = next((event.data for event in events if isinstance(event.data, c.CallStarted)), None)
    agents = dict.fromkeys(event.data.agent for event in events if isinstance(event.data, c.AgentActivated))
    humans = dict.fromkeys(one.human.name for one in state.transfers if one.human is not None)
    customer = state.customer
    return Summary(
        customer=None if customer is None else customer.identity,
        number=None if customer is None else customer.number,
        customer_id=None if customer is None else customer.customer_id,
        dialled_number=None if started is None else started.dialled_number,
        direction=None if started is None else started.direction,
        profile=state.profile,
        language=state.language,
        agents=tuple(agents),
        humans=tuple(humans),
        transfers=tuple(
            TransferSummary(
                destination=one.destination,
                outcome=one.outcome or ("connected" if one.human is not None else one.stage.value),
                human=None if one.human is None else one.human.name,
            )
            for one in state.transfers
        ),
        ended_by=None if state.ended_by is None else state.ended_by.value,
        cause=state.cause,
        duration_ms=state.duration_ms,
    )
