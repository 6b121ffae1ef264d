"""Child processes that never outlive us, whatever ends us.

On Linux the kernel kills the child when its parent dies (``prctl(PR_SET_PDEATHSIG)``), also after ``kill -9``;
elsewhere a child ends with whoever stops it. A small launcher asks for that and then *becomes* the program. Not
``preexec_fn``: running Python between fork and exec can deadlock in a process with native threads, which every
process with LiveKit's media has.
"""

import os
import sys
from collections.abc import Sequence

#: SIGKILL, because a server may wait for its work to end on SIGTERM. 1 = PR_SET_PDEATHSIG.
_LAUNCHER = (
    "import ctypes, os, signal, sys\n"
    "if sys.platform == 'linux': ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit('the parent died')\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


def bound_to_us(arguments: Sequence[str]) -> list[str]:
    """The command line that starts this program as a child which dies with this process.

    Args:
        arguments: the program's absolute path, then its arguments.
    """
    return [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *arguments]
