"""CCM over HTTP: one POST per message, pooled connections, a deadline until the answer's headers are there.

The status alone says what became of a message. The body of an answer is undocumented and never needed: its beginning
is kept for the person on call, and one that stalls or breaks off changes nothing. If it did, a message that CCM has
taken would be repeated for ever.

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
#: What is read of it, so that the connection can be used again, and how long that may take.
_LARGEST_BODY = 16_384
_BODY_S = 1.0
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


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
                response = await (self._ask(body) if self._login is None else self._ask_as(self._login, body))
        except TimeoutError:  # ours, and aiohttp's own, which are among its ClientErrors too
            return Reply(NoAnswer.TIMEOUT)
        except (aiohttp.ClientError, OSError) as error:
            return Reply(NoAnswer.CONNECTION, excerpt=type(error).__name__)
        except LoginFailed as failed:
            return failed.reply
        excerpt = await _beginning(response)
        if 200 <= response.status < 300:
            return Reply(response.status)
        return Reply(response.status, retry_after_s=_retry_after(response.headers.get("Retry-After")), excerpt=excerpt)

    async def _ask_as(self, login: BearerLogin, body: bytes) -> aiohttp.ClientResponse:
        token = await login.token()
        response = await self._ask(body, token)
        if response.status == 401:
            response.release()
            response = await self._ask(body, await login.token(instead_of=token))
        return response

    async def _ask(self, body: bytes, token: SecretStr | None = None) -> aiohttp.ClientResponse:
        """Returns when status and headers are there."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        return await self._session.post(self._url, data=body, headers=headers, allow_redirects=False)


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """How the answer's body begins, or as much of that as comes in time; the connection is let go."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            while len(body) < _LARGEST_BODY and (more := await response.content.read(_LARGEST_BODY - len(body))):
                body += more
    except _BROKEN:
        pass
    finally:
        response.release()  # closed rather than used again if there was more to come
    return body[:_EXCERPT].decode("utf-8", "replace")


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
