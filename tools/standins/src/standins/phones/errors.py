"""What can go wrong with a telephone.

PhoneError
├── CallRefused   the other side refused the call
└── (itself)      the phone was asked for something that its state does not allow
"""


class PhoneError(Exception):
    """The phone cannot do this now, for example speak without a call."""


class CallRefused(PhoneError):
    """The call was refused with a final SIP response; `status` is its number."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the call was refused with {status}")
        self.status = status
