"""What is counted, and that no label tells who called."""

from prometheus_client import CollectorRegistry, generate_latest

from call_events.testing import said, speaking, started
from ccm_bridge.adapters.metrics import PrometheusMeter
from ccm_bridge.domain.delivery import Waiting
from ccm_bridge.domain.retry import Reaction
from unit.ccm_bridge.world import CALL, World


def test_counters_and_the_latency_of_direct_messages_only() -> None:
    world = World()
    world.append(started(CALL), speaking(CALL, "c", at_s=1), said(CALL, "c", "Hello", at_s=1))
    message = world.ccm.shown[1]
    registry = CollectorRegistry()
    meter = PrometheusMeter(registry)
    meter.settled(Reaction.DELIVERED, message, age_s=0.004, held=False, first_attempt=True)
    meter.settled(Reaction.DELIVERED, message, age_s=50, held=True, first_attempt=True)
    meter.settled(Reaction.REFUSED, message, age_s=9, held=False, first_attempt=False)
    meter.passed_over("unfinished")
    meter.waiting(Waiting.TRANSFER)
    meter.hold_timed_out()
    meter.failed(Reaction.AGAIN, "503")

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("ccm_bridge_messages_total", result="delivered", event="utterance") == 2
    assert value("ccm_bridge_messages_total", result="refused", event="utterance") == 1
    assert value("ccm_bridge_held_total") == 1
    assert value("ccm_bridge_append_to_post_seconds_count") == 1
    assert value("ccm_bridge_append_to_post_seconds_bucket", le="0.005") == 1
    assert value("ccm_bridge_passed_over_total", reason="unfinished") == 1
    assert value("ccm_bridge_waits_total", reason="transfer") == 1
    assert value("ccm_bridge_hold_timeouts_total") == 1
    assert value("ccm_bridge_attempts_failed_total", kind="again", reason="503") == 1
    text = generate_latest(registry).decode()
    assert str(CALL) not in text
    assert "15550100" not in text
