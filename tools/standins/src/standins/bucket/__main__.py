"""``python -m standins.bucket``: has the S3-compatible store of the tests at hand; builds it if only Go is."""

import asyncio
import os
import sys

from standins.bucket.server import VERSION, find_versitygw
from standins.media.errors import MediaError


def main() -> int:
    """Say which would be used; without one fail where CI is true, for there its tests are compulsory."""
    try:
        found = asyncio.run(find_versitygw(say=print))
    except MediaError as error:
        print(f"versitygw: {error}", file=sys.stderr)
        return 1 if os.environ.get("CI") == "true" else 0
    print(f"versitygw v{VERSION}: {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
