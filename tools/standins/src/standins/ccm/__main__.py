"""``python -m standins.ccm [--port 0] [--lenient] [--account USER:PASSWORD]``: prints its URL, serves until stopped."""

import argparse
import asyncio
import signal

from standins.ccm.server import CcmStandIn


async def serve(port: int, account: tuple[str, str] | None, *, strict: bool) -> None:
    """Until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with CcmStandIn(port=port, strict=strict, account=account) as ccm:
        print(ccm.url, flush=True)
        await stop.wait()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m standins.ccm", description="A strict CCM on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0 = a free one; the URL is printed")
    parser.add_argument("--lenient", action="store_true", help="drop unknown keys instead of refusing them")
    parser.add_argument("--account", help="USER:PASSWORD; with it every message needs a bearer token")
    options = parser.parse_args()
    user, separator, password = (options.account or "").partition(":")
    asyncio.run(serve(options.port, (user, password) if separator else None, strict=not options.lenient))


if __name__ == "__main__":
    main()
