"""Who is on the line besides the AI, and what the log is told of their coming and going."""

from datetime import datetime

from call_events.catalogue import Human, LegJoined, LegLeft, Role, TransferConnected
from voice_worker.domain.call import SessionState
from voice_worker.handlers.emitter import Emitter
from voice_worker.ports import CustomerLeg, WallClock


class Parties:
    """The customer, and the human while there is one."""

    def __init__(self, state: SessionState, emitter: Emitter, clock: WallClock) -> None:
        self._state = state
        self._emitter = emitter
        self._clock = clock
        self._human: Human | None = None

    @property
    def human(self) -> Human | None:
        """The person who talks with the customer."""
        return self._human

    def customer_joined(self, leg: CustomerLeg) -> None:
        """Their phone is through to us."""
        joined = LegJoined(identity=leg.identity, role=Role.CUSTOMER, sip_call_id=leg.sip_call_id)
        self._emitter.emit(joined, at=self._clock.now(), once=("leg.joined", leg.identity))

    def customer_left(self, cause: str, at: datetime) -> None:
        """Their phone is off the line, or will be in a moment."""
        customer = self._state.customer_identity
        left = LegLeft(identity=customer, role=Role.CUSTOMER, reason=cause)
        self._emitter.emit(left, at=at, once=("leg.left", customer))

    def human_joined(self, connected: TransferConnected) -> Human:
        """A transfer has brought a person."""
        self._human = human = connected.human
        joined = LegJoined(identity=human.identity, role=Role.HUMAN, sip_call_id=connected.sip_call_id)
        self._emitter.emit(joined, at=self._clock.now(), once=("leg.joined", human.identity))
        return human

    def human_left(self, cause: str, at: datetime) -> None:
        """The person is gone, if there was one."""
        human, self._human = self._human, None
        if human is not None:
            left = LegLeft(identity=human.identity, role=Role.HUMAN, reason=cause)
            self._emitter.emit(left, at=at, once=("leg.left", human.identity))
