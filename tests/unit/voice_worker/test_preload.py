"""What job processes share was made before they were forked; a thread or a socket would not survive that."""

import subprocess
import sys

SCRIPT = """
import os
import numpy  # the SDK's: its arithmetic library keeps a thread, and knows how to be forked
threads = len(os.listdir("/proc/self/task"))
import voice_worker.adapters.preload
from livekit.agents.utils import http_context
from livekit.agents.llm._realtime import openai as protocol
from pydantic import BaseModel

kinds = [k for k in vars(protocol).values() if isinstance(k, type) and issubclass(k, BaseModel) and k is not BaseModel]
print("incomplete", sum(not kind.__pydantic_complete__ for kind in kinds), "of", len(kinds) > 20)
print("tls is kept", http_context._create_ssl_context() is http_context._create_ssl_context())
print("more threads", len(os.listdir("/proc/self/task")) - threads)
print("sockets", sum(os.readlink(f"/proc/self/fd/{fd}").startswith("socket") for fd in os.listdir("/proc/self/fd")
                     if os.path.lexists(f"/proc/self/fd/{fd}")))
"""


def test_preloading_makes_everything_that_forks_can_share_and_nothing_that_they_cannot() -> None:
    """A thread of the parent is not there in the child, and whoever waits for it waits for ever."""
    told = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.splitlines() == ["incomplete 0 of True", "tls is kept True", "more threads 0", "sockets 0"]
