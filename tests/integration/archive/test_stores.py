"""What an operator meets at the store: a bucket that is away, a full disk, a wrong one. Calls wait unharmed."""

import asyncio
import resource
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from call_archive.archive import Archive
from call_archive.directory import DirectoryStore
from call_archive.findings import Code
from call_archive.head import HEAD_KEY, RedisHead
from call_archive.paths import call_path, link_path
from call_archive.stores import open_store
from call_archive.verify import verify_archive
from call_events import keys
from call_events.ids import CallId
from integration.archive.conftest import Start, play
from support.buckets import bucket_in, options_of
from support.waiting import wait_until

CALL, SECOND = CallId("call-1"), CallId("call-2")


def said_by(process_log: Path) -> str:
    return process_log.read_text(errors="replace")


async def let_go(redis: Redis, call: CallId) -> bool:
    at = keys.call_keys(call)
    return await redis.zscore(at.live, call) is None and await redis.ttl(at.stream) > 0


@pytest.mark.usefixtures("others")
async def test_on_a_real_bucket_and_while_it_is_away(redis: Redis, start: Start, tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    async with bucket_in(tmp_path / "s3") as bucket:
        options = options_of(bucket)
        await start(
            "real",
            ARCHIVE_URL=bucket.url,
            ARCHIVE_S3_ENDPOINT=bucket.endpoint,
            ARCHIVE_S3_REGION=bucket.region,
            ARCHIVE_S3_ACCESS_KEY_ID=bucket.access_key_id,
            ARCHIVE_S3_SECRET_ACCESS_KEY=bucket.secret_access_key,
        )
        await play(redis, CALL)
        await wait_until(lambda: let_go(redis, CALL), within_s=20, what="the first call is in the bucket")

        await bucket.stop()
        await play(redis, SECOND)
        await wait_until(lambda: "cannot be reached" in said_by(tmp_path / "archiver-0.log"), within_s=20)
        assert await redis.ttl(keys.call_keys(SECOND).stream) == -1
        assert await redis.xlen(keys.call_keys(SECOND).stream) == 6

        async with bucket:
            await wait_until(lambda: let_go(redis, SECOND), within_s=60, what="the second one, once the bucket is back")
            archive = Archive(open_store(bucket.url, s3=options))
            found = verify_archive(archive, known_head=await RedisHead(redis).newest())
            assert [finding async for finding in found] == []
            assert {call async for call in archive.calls()} == {CALL, SECOND}
            assert bucket.secret_access_key not in said_by(tmp_path / "archiver-0.log")


@pytest.mark.usefixtures("others")
async def test_a_disk_that_takes_no_more_harms_nothing(redis: Redis, root: Path, start: Start, tmp_path: Path) -> None:
    """The limit on a file's size stands in for the disk's: the write fails in its middle, as on a full disk."""
    process = await start("quiet")
    await wait_until(lambda: redis.exists(keys.bell(keys.TAGS[0])), what="it is up")
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    assert hard == resource.RLIM_INFINITY
    await play(redis, CALL)
    await wait_until(lambda: failures(redis), within_s=20, what="it has failed twice")
    assert await redis.ttl(keys.call_keys(CALL).stream) == -1
    assert await asyncio.to_thread(files_in, root) == [], "nothing is half-written"

    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await wait_until(lambda: let_go(redis, CALL), within_s=60, what="it goes on by itself")
    found = verify_archive(Archive(DirectoryStore(root)), known_head=await RedisHead(redis).newest())
    assert [finding async for finding in found] == []


async def failures(redis: Redis) -> bool:
    attempts = await redis.hget(keys.group_keys("archive", CALL).state, "att")
    return attempts is not None and int(attempts) >= 2


def files_in(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.usefixtures("others")
async def test_contents_whose_time_is_over_are_removed_and_the_proof_stays(
    redis: Redis, root: Path, start: Start
) -> None:
    first = await start("real")
    await play(redis, CALL)
    await wait_until(lambda: let_go(redis, CALL), within_s=20)
    first.terminate()
    await ends_with(first, 0)

    await start("real", ARCHIVER_KEEP_DAYS="0.000001")
    archive = Archive(DirectoryStore(root))
    await wait_until(lambda: is_removed(archive), within_s=20, what="the content is removed")
    found = verify_archive(archive, known_head=await RedisHead(redis).newest())
    assert [(one.code, one.call) async for one in found] == [(Code.REMOVED, CALL)]


async def is_removed(archive: Archive) -> bool:
    return not await archive.has(CALL)


async def ends_with(process: asyncio.subprocess.Process, code: int) -> None:
    async with asyncio.timeout(15):
        assert await process.wait() == code


async def test_it_does_not_start_where_it_cannot_write(start: Start, tmp_path: Path) -> None:
    await ends_with(await start("real", ARCHIVE_URL=str(tmp_path / "nowhere")), 3)
    assert "archiver: ARCHIVE_URL: " in said_by(tmp_path / "archiver-0.log")
    assert "create or mount it" in said_by(tmp_path / "archiver-0.log")


async def test_it_does_not_start_on_an_archive_that_is_not_the_logs(redis: Redis, start: Start, tmp_path: Path) -> None:
    await redis.hset(HEAD_KEY, mapping={"number": 7, "digest": "1" * 64})
    await ends_with(await start("real"), 2)
    line = said_by(tmp_path / "archiver-0.log").strip().splitlines()[-1]
    assert line.startswith("archiver: ARCHIVE_URL: ")
    assert "ends at link 0, but link 7 was written" in line


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("ARCHIVE_URL", "", "ARCHIVE_URL is missing; set it to a directory"),
        ("ARCHIVE_URL", "http://127.0.0.1/x", "name a directory"),
        ("ARCHIVER_GROUPS", "ccm,archive", "ARCHIVER_GROUPS: the archive cannot wait for itself"),
        ("ARCHIVER_GROUPS", "ccm transfer", "ARCHIVER_GROUPS"),
        ("ARCHIVER_KEEP_DAYS", "0", "ARCHIVER_KEEP_DAYS"),
        ("ARCHIVER_SIGNING_KEY_FILE", "/dev/null", "ARCHIVER_SIGNING_KEY_FILE: /dev/null"),
    ],
)
async def test_a_bad_setting_is_one_line(start: Start, tmp_path: Path, setting: str, value: str, told: str) -> None:
    await ends_with(await start("real", **{setting: value}), 2)
    (line,) = [one for one in said_by(tmp_path / "archiver-0.log").splitlines() if not one.startswith("{")]
    assert line.startswith("archiver: ")
    assert told in line


@pytest.mark.usefixtures("others")
async def test_health_and_metrics_tell_how_it_does(
    redis: Redis, root: Path, start: Start, unused_tcp_port: int
) -> None:
    await start("real", ARCHIVER_HTTP_PORT=str(unused_tcp_port))
    await play(redis, CALL)
    await wait_until(lambda: let_go(redis, CALL), within_s=20)
    async with aiohttp.ClientSession() as http:
        async with http.get(f"http://127.0.0.1:{unused_tcp_port}/health") as answer:
            assert answer.status == 200
            assert (await answer.json())["archive"] == "serves"
        async with http.get(f"http://127.0.0.1:{unused_tcp_port}/metrics") as answer:
            text = await answer.text()
    assert 'archive_sealed_calls_total{result="new"} 1.0' in text
    assert "archive_redis_ended_calls 0.0" in text
    assert "archive_let_go_calls_total 1.0" in text
    assert "call-1" not in text
    assert await asyncio.to_thread((root / call_path(CALL)).is_file)
    assert await asyncio.to_thread((root / link_path(1)).is_file)
