"""What can go wrong in the archiver.

All of it is the archive's (``call_archive.errors``) or the log's (``call_events.errors``); which of them pass by
themselves is said there. This service adds the answer to one of them: a call that cannot be sealed is parked with the
reason.
"""
