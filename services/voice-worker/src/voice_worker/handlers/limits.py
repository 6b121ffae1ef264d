"""How long the call waits for whom; seconds unless the name says otherwise."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Every wait of a call. The defaults are what a caller bears and a provider needs."""

    #: For the customer's leg after the job began.
    customer_s: float = 30.0
    #: For the customer's phone to be through to us.
    answer_s: float = 120.0
    #: For a human's leg to be seen in the room after the log has told that it is connected.
    human_s: float = 5.0
    #: For the log before the first word; after that the call goes on and the log is asked again.
    ask_log_s: float = 1.0
    #: At the end of the call, for the outcome of a transfer that is still open.
    outcome_s: float = 3.0
    #: For a text after its speech has ended, when the recogniser is about to be closed.
    text_s: float = 2.0
    #: For a customer who is still speaking when the human comes on the line, for the AI is silent already; and for one
    #: who is speaking when the agent's goodbye is over, before it is decided whether the call ends.
    seam_speech_s: float = 8.0
    #: For somebody to take a call whose model provider died.
    stranded_s: float = 120.0
    #: For two people whose worker has failed: nothing is written any more, they talk until one leaves, or this long.
    people_s: float = 4 * 3600.0
    #: For the log to take what is still queued at the end, if the spool cannot; with the spool nobody waits. The caller
    #: is off the line by then; the agents SDK stops a job 15 seconds after its room has gone.
    drain_s: float = 60.0
    #: The right to speak for the call lapses this long after the last renewal.
    lease_ms: int = 6_000
