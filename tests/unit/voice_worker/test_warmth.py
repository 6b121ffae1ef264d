"""What the SDK logs reaches the operators, but for the one error that is none."""

import inspect
import subprocess
import sys

from livekit.agents.voice.agent_activity import AgentActivity

from voice_worker.adapters.warmth import FALSE_ALARM

SCRIPT = """
import logging
from livekit.agents.log import logger
from voice_worker.adapters.warmth import FALSE_ALARM, warm_up

logging.basicConfig(format="%(levelname)s %(message)s")
warm_up()
warm_up()
logger.error(FALSE_ALARM + " is not interruptable, this should never happen!")
logger.error("RealtimeAPI is gone")
logger.error({"any": "object"})
logger.warning("about %s", FALSE_ALARM)
logging.getLogger("livekit.agents.other").error("of another module")
"""


def test_only_the_false_alarm_is_left_out_of_what_the_sdk_logs() -> None:
    """In a process of its own: warming up changes the whole of it."""
    told = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert [line for line in told.stderr.splitlines() if line.startswith(("ERROR", "WARNING"))] == [
        "ERROR RealtimeAPI is gone",
        "ERROR {'any': 'object'}",
        f"WARNING about {FALSE_ALARM}",
        "ERROR of another module",
    ]


def test_the_sdk_still_words_it_like_this() -> None:
    assert FALSE_ALARM in inspect.getsource(AgentActivity._on_input_speech_started)
