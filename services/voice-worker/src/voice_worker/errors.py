"""What can go wrong in a voice worker.

    VoiceWorkerError
    ├── OurMistake                    configuration or code; repeating cannot help
    │   ├── BadProfile                a profile that cannot be spoken (a ``call_events`` BadSetting: exit code 2)
    │   └── IllegalMove               the call's table has no such step
    └── TheirFailure                  somebody else is not there
        └── VoiceFailed               the model provider is gone for good

Every text is one line for the person on call: what happened, where, and the mend. None repeats what a caller said. What
cannot be reached at the start is ``call_events.startup.CannotReach``.
"""

from call_events.errors import BadSetting


class VoiceWorkerError(Exception):
    """Base of everything this service raises on purpose."""


class OurMistake(VoiceWorkerError):
    """Configuration or code is wrong."""


class BadProfile(OurMistake, BadSetting):
    """A profile that cannot be spoken; the text names file, line, field and mend."""


class IllegalMove(OurMistake):
    """The call's table has no such step; nothing changed."""


class TheirFailure(VoiceWorkerError):
    """Somebody else is not there."""


class VoiceFailed(TheirFailure):
    """The model provider is gone for good in this session."""
