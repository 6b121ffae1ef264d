"""What can go wrong while bringing up the media server."""


class MediaError(Exception):
    """The media server cannot be had or does not start; the message is one line that names the mend."""
