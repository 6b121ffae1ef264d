"""The bearer token, where an API gateway guards CCM.

The account is an ordinary one; the login endpoint answers ``{"data": {"token": ...}}``. A refresh call exists, but
its body is undocumented: when a token has expired we log in again.
"""

import asyncio
from dataclasses import dataclass

import aiohttp
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from ccm_bridge.domain.retry import NoAnswer, Reply

log = structlog.get_logger()

#: Bytes of an answer that are read; a token is far smaller.
_LARGEST = 65_536


class _Data(BaseModel):
    token: SecretStr


class _Login(BaseModel):
    """Only what we need; the rest of the answer is theirs."""

    data: _Data


@dataclass(frozen=True, slots=True)
class LoginFailed(Exception):
    """No token was to be had; ``reply`` says what to do about the message that wanted it."""

    reply: Reply


class BearerLogin:
    """One token for all calls; one login at a time."""

    def __init__(self, session: aiohttp.ClientSession, url: str, username: str, password: SecretStr) -> None:
        self._session = session
        self._url = url
        self._username = username
        self._password = password
        self._token: SecretStr | None = None
        self._lock = asyncio.Lock()

    async def token(self, *, instead_of: SecretStr | None = None) -> SecretStr:
        """The token, after a login if there is none or CCM has just refused ``instead_of``.

        Raises:
            LoginFailed: the endpoint does not serve, or does not take the account.
        """
        async with self._lock:
            if self._token is None or self._token is instead_of:
                self._token = None
                self._token = await self._login()
            return self._token

    async def _login(self) -> SecretStr:
        credentials = {"username": self._username, "password": self._password.get_secret_value()}
        try:
            async with self._session.post(self._url, json=credentials, allow_redirects=False) as response:
                status, body = response.status, await response.content.read(_LARGEST)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("ccm.login.unreachable", error=type(error).__name__)
            raise LoginFailed(Reply(NoAnswer.LOGIN)) from error
        if status >= 500 or status in (408, 429):
            log.warning("ccm.login.failed", status=status)
            raise LoginFailed(Reply(NoAnswer.LOGIN))
        try:
            token = _Login.model_validate_json(body).data.token if 200 <= status < 300 else None
        except ValidationError:
            token = None
        if token is None:
            log.error(
                "ccm.login.refused",
                status=status,
                mend="check CCM_BRIDGE_LOGIN_URL, CCM_BRIDGE_USERNAME and CCM_BRIDGE_PASSWORD",
            )
            raise LoginFailed(Reply(401))
        return token
