"""Imported once, by the process that all job processes are forked from: what it has made they share and need not make.

The one module here whose import does something. It starts no thread and opens no socket, for neither survives a fork.
"""

from voice_worker.adapters import warmth

warmth.make_what_forks_share()
