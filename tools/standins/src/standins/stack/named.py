"""What the environment names instead of a stand-in is asked before anything is started with it.

Else a wrong address shows late and elsewhere: as an AI that says nothing for a minute, or under the address of a
stand-in that stands in front of it.
"""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp
from livekit import api

from standins.media import MediaError

#: As for the services: with less, what is signed with it could be guessed.
LEAST_SECRET = 32
ANSWER_DEADLINE_S = 5.0
OPENAI = "https://api.openai.com/v1"


def model_url(environment: Mapping[str, str]) -> str | None:
    """Where the real model is; None if it is to be a stand-in."""
    return environment.get("OPENAI_BASE_URL") or (OPENAI if environment.get("OPENAI_API_KEY") else None)


async def check_livekit(environment: Mapping[str, str]) -> None:
    """Ask the server at LIVEKIT_URL, if there is one, for its rooms.

    Raises:
        MediaError: one line that names the variable and the mend.
    """
    url = environment.get("LIVEKIT_URL")
    if not url:
        return
    key, secret = (environment.get(name) for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"))
    if not key or not secret:
        return  # Media says so
    if not _is_address(url, "ws", "wss", "http", "https"):
        raise MediaError("LIVEKIT_URL: this is no URL of a LiveKit server; write e.g. ws://127.0.0.1:7880, or unset it")
    if len(secret) < LEAST_SECRET:
        raise MediaError(
            f"LIVEKIT_API_SECRET: needs at least {LEAST_SECRET} characters; livekit-server generate-keys makes a pair"
        )
    try:
        async with asyncio.timeout(ANSWER_DEADLINE_S), api.LiveKitAPI(url, key, secret) as client:
            await client.room.list_rooms(api.ListRoomsRequest())
    except api.TwirpError as error:
        if error.status in {401, 403}:
            raise MediaError(
                f"LIVEKIT_API_KEY and LIVEKIT_API_SECRET: the server at {url} (LIVEKIT_URL) refuses them; use a pair "
                "of its configuration"
            ) from None
        raise MediaError(f"LIVEKIT_URL: {url} answers HTTP {error.status}; is that a LiveKit server?") from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise MediaError(
            f"LIVEKIT_URL: nothing answers at {url} ({type(error).__name__}); start that server, correct the "
            "address, or unset it to have one started"
        ) from None


async def check_model(environment: Mapping[str, str]) -> None:
    """Ask the provider at OPENAI_BASE_URL, if one is named, for its models; any answer but a refusal will do.

    Raises:
        MediaError: one line that names the variable and the mend.
    """
    url = model_url(environment)
    if url is None:
        return
    if not _is_address(url, "http", "https"):
        raise MediaError(f"OPENAI_BASE_URL: this is no URL of a model provider; write e.g. {OPENAI}, or unset it")
    headers = {"Authorization": f"Bearer {environment.get('OPENAI_API_KEY') or 'none'}"}
    timeout = aiohttp.ClientTimeout(total=ANSWER_DEADLINE_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.get(f"{url.rstrip('/')}/models", headers=headers) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise MediaError(
            f"OPENAI_BASE_URL: nothing answers at {url} ({type(error).__name__}); correct it, or unset it and "
            "OPENAI_API_KEY to use the stand-in"
        ) from None
    if status in {401, 403}:
        raise MediaError(
            f"OPENAI_API_KEY: the provider at {url} refuses it (HTTP {status}); set it to a key of that provider"
        )
    if status >= 500:
        raise MediaError(f"OPENAI_BASE_URL: {url} answers HTTP {status}; try again when the provider serves")


def _is_address(url: str, *schemes: str) -> bool:
    """A server's address and nothing else: a user and password in it would reach nobody, and be shown to everybody."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and parts.username is None
