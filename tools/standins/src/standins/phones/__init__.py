"""Telephones for tests and the demo: one port, `Phone`, and drivers behind it."""

from standins.phones.errors import CallRefused, PhoneError
from standins.phones.exchange_phone import ExchangePhone, ExchangePhones
from standins.phones.port import Ending, Phone, Phones
from standins.phones.recording import Recording
from standins.phones.sounds import Sound, Tone

__all__ = [
    "CallRefused",
    "Ending",
    "ExchangePhone",
    "ExchangePhones",
    "Phone",
    "PhoneError",
    "Phones",
    "Recording",
    "Sound",
    "Tone",
]
