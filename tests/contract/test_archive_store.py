"""One suite for every store: a directory, and a real S3-compatible server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from call_archive.errors import AlreadyThere, NotThere, StoreUnavailable
from call_archive.paths import call_path
from call_archive.ports import Store
from call_archive.stores import S3Options, open_store
from call_events.errors import BadSetting
from call_events.ids import CallId
from support.buckets import bucket_in, options_of


@pytest_asyncio.fixture(params=["directory", "s3"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty one."""
    if request.param == "directory":
        (tmp_path / "archive").mkdir()
        yield open_store(str(tmp_path / "archive"))
        return
    async with bucket_in(tmp_path) as bucket:
        yield open_store(bucket.url, s3=options_of(bucket))


async def test_what_was_created_is_read_back(store: Store) -> None:
    await store.create("calls/ab/one.jsonl.zst", b"\x00content\n")

    assert await store.read("calls/ab/one.jsonl.zst") == b"\x00content\n"
    assert await store.read("calls/ab/one.jsonl.zst", first=3) == b"\x00co"
    assert await store.read("calls/ab/one.jsonl.zst", first=4096) == b"\x00content\n"
    assert await store.exists("calls/ab/one.jsonl.zst")


async def test_nothing_is_ever_written_over(store: Store) -> None:
    await store.create("chain/000/000/000000001.jsonl", b"first")
    with pytest.raises(AlreadyThere):
        await store.create("chain/000/000/000000001.jsonl", b"second")
    assert await store.read("chain/000/000/000000001.jsonl") == b"first"


async def test_of_many_who_create_the_same_name_one_does(store: Store) -> None:
    async def one(number: int) -> bool:
        try:
            await store.create("chain/000/000/000000007.jsonl", b"%d" % number)
        except AlreadyThere:
            return False
        return True

    async with asyncio.TaskGroup() as tasks:
        tries = [tasks.create_task(one(number)) for number in range(16)]
    winners = [number for number, task in enumerate(tries) if task.result()]
    assert len(winners) == 1
    assert await store.read("chain/000/000/000000007.jsonl") == b"%d" % winners[0]


async def test_what_is_not_there_is_said_to_be_so(store: Store) -> None:
    assert not await store.exists("calls/ab/none")
    assert not await store.remove("calls/ab/none")
    with pytest.raises(NotThere):
        await store.read("calls/ab/none")
    with pytest.raises(NotThere):
        await store.read("calls/ab/none", first=10)
    assert await store.names("calls/ab") == []


async def test_what_was_removed_is_gone_and_its_name_free(store: Store) -> None:
    await store.create("calls/ab/one", b"1")
    assert await store.remove("calls/ab/one")
    assert not await store.exists("calls/ab/one")
    await store.create("calls/ab/one", b"2")


async def test_names_are_those_of_one_folder_sorted(store: Store) -> None:
    for path in ("calls/ab/two", "calls/ab/one", "calls/cd/three", "chain/000/000/000000001.jsonl"):
        await store.create(path, b".")

    assert await store.names("calls") == ["ab/", "cd/"]
    assert await store.names("calls/ab") == ["one", "two"]
    assert [name for name in await store.names("") if name in {"calls/", "chain/"}] == ["calls/", "chain/"]


@pytest.mark.parametrize("call", ["a", "A.b_c:d@e+f-g", "x" * 128, "call-1.jsonl.zst", "a..b"])
async def test_every_call_id_makes_a_name_of_its_own(store: Store, call: str) -> None:
    path = call_path(CallId(call))
    await store.create(path, call.encode())
    assert await store.read(path) == call.encode()
    assert await store.names(path.rpartition("/")[0]) == [path.rpartition("/")[2]]


async def test_an_empty_object_can_be_read(store: Store) -> None:
    await store.create("calls/ab/empty", b"")
    assert await store.read("calls/ab/empty", first=10) == b""


async def test_a_good_store_passes_its_check_and_is_left_as_it_was(store: Store) -> None:
    await store.check()
    assert [name for name in await store.names("") if not name.startswith(("check", "."))] == []


async def test_a_directory_that_is_not_there_is_no_empty_archive(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/not-mounted")
    for asked in (store.check(), store.read("calls/ab/one"), store.names("calls"), store.create("calls/ab/one", b"")):
        with pytest.raises(StoreUnavailable, match="create or mount it"):
            await asked
    assert not (tmp_path / "not-mounted").exists()


async def test_a_bucket_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    async with bucket_in(tmp_path) as bucket:
        right = options_of(bucket)
        wrong_key = S3Options(right.endpoint, right.region, right.access_key_id, "wrong")
        with pytest.raises(StoreUnavailable, match="look at keys and policy") as refused:
            await open_store(bucket.url, s3=wrong_key).check()
        assert "wrong" not in str(refused.value)
        with pytest.raises(StoreUnavailable, match="no such bucket"):
            await open_store("s3://another/archive", s3=right).check()
        with pytest.raises(StoreUnavailable, match="no such bucket"):
            await open_store("s3://another/archive", s3=right).read("calls/ab/one")
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await open_store(bucket.url, s3=right).read("calls/ab/one")


@pytest.mark.parametrize("url", ["", "http://127.0.0.1/archive", "s3://", "s3://key:secret@bucket/x", "file://host/x"])
def test_what_is_no_archive_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(BadSetting, match="name a directory") as refused:
        open_store(url)
    assert "secret" not in str(refused.value)
