"""CCM over HTTP: one POST per message, pooled connections, a deadline over the whole attempt.

The client is aiohttp's: with a hundred pooled connections httpx takes milliseconds of CPU per request (it looks at each
idle connection each time), which at a thousand events a second is the whole machine.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr

from ccm_bridge.adapters.ccm_login import BearerLogin, LoginFailed
from ccm_bridge.adapters.ccm_schema import CimDialect
from ccm_bridge.domain.message import Message
from ccm_bridge.domain.retry import NoAnswer, Reply
from ccm_bridge.errors import CcmUnreachable

#: Of an answer's body: enough for the person on call, and a bound on what a foreign server may make us keep.
_EXCERPT = 1024


class CcmHttp:
    """The conversation sink that is CCM itself."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        dialect: CimDialect,
        *,
        login: BearerLogin | None,
        timeout_s: float,
    ) -> None:
        self._session = session
        self._url = url
        self._dialect = dialect
        self._login = login
        self._timeout_s = timeout_s

    async def post(self, message: Message) -> Reply:
        """See the port."""
        body = self._dialect.render(message)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await (self._post(body) if self._login is None else self._post_as(self._login, body))
        except TimeoutError:  # ours, and aiohttp's own, which are among its ClientErrors too
            return Reply(NoAnswer.TIMEOUT)
        except (aiohttp.ClientError, OSError) as error:
            return Reply(NoAnswer.CONNECTION, excerpt=type(error).__name__)
        except LoginFailed as failed:
            return failed.reply

    async def _post_as(self, login: BearerLogin, body: bytes) -> Reply:
        token = await login.token()
        reply = await self._post(body, token)
        if reply.status == 401:
            reply = await self._post(body, await login.token(instead_of=token))
        return reply

    async def _post(self, body: bytes, token: SecretStr | None = None) -> Reply:
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
            if 200 <= response.status < 300:
                # A success's body is undocumented and never needed; reading it keeps the connection usable.
                await response.content.read(65_536)
                return Reply(response.status)
            return Reply(
                response.status,
                retry_after_s=_retry_after(response.headers.get("Retry-After")),
                excerpt=(await response.content.read(_EXCERPT)).decode("utf-8", "replace"),
            )


def _retry_after(value: str | None) -> float | None:
    """Seconds, from either of the header's two forms; anything else is not believed."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


@asynccontextmanager
async def connect(
    *, connections: int, timeout_s: float, verify_tls: bool = True
) -> AsyncIterator[aiohttp.ClientSession]:
    """A session whose pool has room for every call that may be in flight. It keeps no cookies and follows nobody."""
    connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=30, ssl=verify_tls)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    ) as session:
        yield session


async def check_reachable(url: str, *, timeout_s: float = 5) -> None:
    """Does anything listen where CCM should?

    Raises:
        CcmUnreachable: nothing does. One line for the person who starts the service.
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror or type(error).__name__
        raise CcmUnreachable(
            f"CCM_URL: nothing can be reached at {parts.hostname}:{port} ({why}); correct CCM_URL, start CCM, or set "
            "CCM_BRIDGE_REQUIRE_CCM_AT_START=false to start without it and deliver when it comes"
        ) from error
    writer.close()
