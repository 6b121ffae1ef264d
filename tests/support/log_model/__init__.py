"""Random schedules against the scripts on a real server, with every promise of the log checked after every step.

The clock of the scripts is ours: the line that asks for TIME reads a hash instead. The model knows what was accepted
and who may commit; everything else is read back from the server. One seed is one schedule.

``stage`` is what there is: calls, workers, producers, and what is believed of them. ``producing``, ``consuming`` and
``keeping`` are what is done to it, ``failing`` is the fail-over to a replica that had fallen behind, ``promises`` is
what must hold. ``schedule`` puts them together, ``mutants`` are the faults that must be noticed, and ``soak`` runs
schedules until one of them fails or their number is reached (``./dev soak log``).
"""

from support.log_model.schedule import STEPS, Schedule
from support.log_model.stage import CALLS, MEMORY_BYTES, Mutate

__all__ = ["CALLS", "MEMORY_BYTES", "STEPS", "Mutate", "Schedule"]
