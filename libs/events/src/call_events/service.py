"""What a service imports to be one: start, stop, health, logging. The parts have modules of their own."""

from call_events.health import HealthServer, Readiness
from call_events.logs import configure_logging
from call_events.startup import CannotReach, complain, load_settings, run_service

__all__ = [
    "CannotReach",
    "HealthServer",
    "Readiness",
    "complain",
    "configure_logging",
    "load_settings",
    "run_service",
]
