"""Telephones for tests and the demo: one port, `Phone`, and drivers behind it."""

from standins.phones.errors import CallRefused, PhoneError
from standins.phones.exchange_phones import ExchangePhone, ExchangePhones
from standins.phones.port import Ending, Phone, Phones
from standins.phones.recording import Recording
from standins.phones.sip_phones import SipPhones
from standins.phones.sounds import Sound, Tone
from standins.phones.telephone import Telephone

__all__ = [
    "CallRefused",
    "Ending",
    "ExchangePhone",
    "ExchangePhones",
    "Phone",
    "PhoneError",
    "Phones",
    "Recording",
    "SipPhones",
    "Sound",
    "Telephone",
    "Tone",
]
