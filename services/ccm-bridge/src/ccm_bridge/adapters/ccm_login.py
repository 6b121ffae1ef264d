"""The bearer token, where an API gateway guards CCM.

The account is an ordinary one; the login endpoint answers ``{"data": {"token": ...}}``. A refresh call exists, but
its body is undocumented: when a token has expired we log in again.
"""

import asyncio
from dataclasses import dataclass

import httpx
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from ccm_bridge.domain.retry import NoAnswer, Reply

log = structlog.get_logger()


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

    def __init__(self, client: httpx.AsyncClient, url: str, username: str, password: SecretStr) -> None:
        self._client = client
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
            response = await self._client.post(self._url, json=credentials)
        except httpx.HTTPError as error:
            log.warning("ccm.login.unreachable", error=type(error).__name__)
            raise LoginFailed(Reply(NoAnswer.LOGIN)) from error
        if response.is_server_error or response.status_code in (408, 429):
            log.warning("ccm.login.failed", status=response.status_code)
            raise LoginFailed(Reply(NoAnswer.LOGIN))
        try:
            token = _Login.model_validate_json(response.content).data.token if response.is_success else None
        except ValidationError:
            token = None
        if token is None:
            log.error(
                "ccm.login.refused",
                status=response.status_code,
                mend="check CCM_BRIDGE_LOGIN_URL, CCM_BRIDGE_USERNAME and CCM_BRIDGE_PASSWORD",
            )
            raise LoginFailed(Reply(401))
        return token
