"""When an endpoint is taken for dead, who finds out that it is back, and who never opens the breaker."""

import random

from call_events.breaker import Breaker, State
from call_events.endpoint import told_by
from call_events.errors import LogUnavailable
from call_events.ids import CallId
from call_events.ports import Endpoint

A, B, C, D, E, F = (CallId(name) for name in "abcdef")
CLOSED = Breaker(after=3, probes=2, first_pause_s=0.5, longest_pause_s=15)
NOW = 1000.0


def failed(breaker: Breaker, *calls: CallId, now: float = NOW) -> Breaker:
    for call in calls:
        breaker = breaker.tell(call, Endpoint.FAILED, now)
    return breaker


def admitted(breaker: Breaker, call: CallId, now: float) -> Breaker:
    breaker, then = breaker.admit(call, now, dice=0.5)
    assert then is None
    return breaker


OPEN = failed(CLOSED, A, B, C)


def test_one_failing_call_never_opens_it() -> None:
    breaker = failed(CLOSED, *[A] * 50)
    assert breaker.state is State.CLOSED
    assert breaker.admit(B, NOW, dice=0.5) == (breaker, None)


def test_a_success_in_between_keeps_it_closed() -> None:
    breaker = failed(failed(CLOSED, A, B).tell(A, Endpoint.SERVED, NOW), B, C)
    assert breaker.state is State.CLOSED


def test_a_turn_that_asked_nothing_is_no_success() -> None:
    breaker = failed(failed(CLOSED, A, B).tell(D, Endpoint.NOT_ASKED, NOW), C)
    assert breaker.state is State.OPEN


def test_while_it_is_open_calls_are_put_off_the_first_ones_for_the_probe_the_others_spread() -> None:
    breaker, times = OPEN, []
    for call in (D, E, F):
        breaker, then = breaker.admit(call, NOW + 0.1, dice=0.5)
        times.append(then)
    assert times == [NOW + 0.5, NOW + 0.5, NOW + 8.0]


def test_a_few_ask_for_all_and_the_rest_go_on_waiting() -> None:
    half = admitted(admitted(OPEN, D, NOW + 0.5), E, NOW + 0.5)
    assert half.state is State.HALF_OPEN
    half, then = half.admit(F, NOW + 0.6, dice=0.5)
    assert then is not None
    assert then > NOW + 0.6


def test_one_success_closes_it_also_one_that_was_on_its_way() -> None:
    assert admitted(OPEN, D, NOW + 0.5).tell(D, Endpoint.SERVED, NOW + 1) == CLOSED
    assert OPEN.tell(E, Endpoint.SERVED, NOW) == CLOSED


def test_the_last_probe_that_fails_opens_it_for_longer() -> None:
    half = admitted(admitted(OPEN, D, NOW + 0.5), E, NOW + 0.5)
    half = failed(half, D, now=NOW + 1)
    assert half.state is State.HALF_OPEN, "another one is still asking"
    again = failed(half, E, now=NOW + 2)
    assert (again.state, again.until) == (State.OPEN, NOW + 3)
    assert again.admit(F, NOW + 2.9, dice=0.5)[1] == NOW + 3


def test_a_call_that_is_bad_for_itself_alone_does_not_keep_it_open() -> None:
    half = admitted(admitted(OPEN, A, NOW + 0.5), D, NOW + 0.5)
    assert failed(half, A).tell(D, Endpoint.SERVED, NOW + 1) == CLOSED


def test_a_probe_that_asked_nothing_makes_room_for_another() -> None:
    half = admitted(admitted(OPEN, D, NOW + 0.5), E, NOW + 0.5).tell(D, Endpoint.NOT_ASKED, NOW + 0.6)
    half = admitted(half, F, NOW + 0.6)
    assert half.asking == {E, F}


def test_calls_that_were_on_their_way_when_it_opened_change_nothing() -> None:
    assert failed(OPEN, D, E, F) == OPEN


def test_pauses_double_up_to_the_longest() -> None:
    breaker, now, pauses = OPEN, NOW, []
    for _ in range(8):
        pauses.append(breaker.until - now)
        now = breaker.until
        breaker = failed(admitted(breaker, D, now), D, now=now)
    assert pauses == [0.5, 1, 2, 4, 8, 15, 15, 15]


def test_whatever_happens_somebody_may_ask_sooner_or_later() -> None:
    """No order of turns leaves it shut for ever, or lets more ask than it should."""
    for seed in range(300):
        dice = random.Random(seed)
        breaker, now, in_hand = CLOSED, NOW, set[CallId]()
        for _ in range(60):
            now += dice.choice((0.0, 0.1, 1.0, 20.0))
            if in_hand and dice.random() < 0.5:
                call = dice.choice(sorted(in_hand))
                in_hand.discard(call)
                breaker = breaker.tell(call, dice.choice(list(Endpoint)), now)
            else:
                call = CallId(f"c{dice.randrange(30)}")
                if call in in_hand:
                    continue
                breaker, then = breaker.admit(call, now, dice=dice.random())
                if then is None:
                    in_hand.add(call)
                else:
                    assert now <= then <= now + 2 * breaker.longest_pause_s
            assert len(breaker.asking) <= breaker.probes
            assert breaker.asking <= in_hand
        for call in in_hand:
            breaker = breaker.tell(call, Endpoint.NOT_ASKED, now)
        assert breaker.admit(A, now + breaker.longest_pause_s, dice=0)[1] is None, f"seed {seed}"


def test_what_an_error_says_about_the_endpoint() -> None:
    assert told_by(TimeoutError()) is Endpoint.FAILED
    assert told_by(ConnectionRefusedError()) is Endpoint.FAILED
    assert told_by(LogUnavailable("Redis")) is Endpoint.NOT_ASKED
    assert told_by(KeyError("channel")) is Endpoint.NOT_ASKED
