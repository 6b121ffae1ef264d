"""Over many calls: what is missing, cut or forged is told, and nothing sounds complete that was not looked at."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from redis.asyncio import Redis
from typer.testing import CliRunner

from call_archive.head import RedisHead
from call_archive.paths import call_path, link_path
from call_archive.ports import Head
from call_archive.signing import Signer, Verifier
from call_events import keys
from call_events.ids import CallId
from call_events.testing import START
from callweave.__main__ import app
from callweave.proof.sweep import Verdict, archive_verdicts, by_day, live_verdicts, named, reconciled
from callweave.settings import Settings
from callweave.sources.archived import ArchivedCalls
from callweave.sources.exported import NoExport, export_archived
from callweave.sources.live import LiveCalls
from callweave.sources.opening import Calls
from support.archives import Site

pytestmark = pytest.mark.usefixtures("logging_as_before")

DAY = (START + timedelta(hours=1)).date()
A, B, C = CallId("call-a"), CallId("call-b"), CallId("call-c")


def calls_of(site: Site, *, verifier: Verifier | None = None, redis: Redis | None = None) -> Calls:
    archive = ArchivedCalls(site.store, verifier)
    archive.keeper = None if redis is None else RedisHead(redis)
    live = None if redis is None else LiveCalls(redis)
    return Calls(Settings(), live, archive, archive.readings, redis=redis)


def lose(root: Path, name: str) -> None:
    Path(root, name).unlink()


def spoil(root: Path, name: str, content: bytes | None = None) -> None:
    """Replaced by other bytes, or cut in half."""
    path = Path(root, name)
    path.chmod(0o600)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)


async def told(verdicts: AsyncIterator[Verdict]) -> list[tuple[str | None, str, str]]:
    return [(one.call, f.code, f.level) for one in [v async for v in verdicts] for f in one.findings]


async def three(root: Path) -> Site:
    site = Site(root)
    await site.seal(A, B, C)
    return site


async def test_a_whole_archive_is_sound_and_says_that_its_end_was_compared_with_nothing(tmp_path: Path) -> None:
    calls = calls_of(await three(tmp_path))
    assert await told(archive_verdicts(calls)) == [(None, "end-unproven", "note")]
    assert await told(by_day(calls, DAY)) == []
    assert [one.call async for one in reconciled(calls, [])] == [C, B, A]


@pytest.mark.parametrize("with_its_file", [True, False])
async def test_a_link_that_is_gone_is_told_of_its_day(tmp_path: Path, with_its_file: bool) -> None:
    site = await three(tmp_path)
    lose(tmp_path, link_path(2))
    if with_its_file:
        lose(tmp_path, call_path(B))
    calls = calls_of(site)
    assert (None, "link-missing", "fault") in await told(by_day(calls, DAY))
    assert (None, "link-missing", "fault") in await told(reconciled(calls, []))


async def test_a_link_that_is_none_is_told_of_its_day(tmp_path: Path) -> None:
    site = await three(tmp_path)
    spoil(tmp_path, link_path(3), b"garbage")
    assert (None, "link-unreadable", "fault") in await told(reconciled(calls_of(site), []))


async def test_an_end_that_is_gone_is_told_of_its_day(redis: Redis, tmp_path: Path) -> None:
    site = await three(tmp_path)
    newest = await site.keeper.newest()
    assert newest is not None
    await RedisHead(redis).advance(Head(newest.number, newest.digest))
    lose(tmp_path, link_path(3))
    assert (None, "chain-cut", "fault") in await told(by_day(calls_of(site, redis=redis), DAY))


async def test_a_call_that_was_replaced_under_a_link_without_signature_is_not_proven(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    site = Site(tmp_path, signer=Signer(key))
    await site.seal(A, utterances=3)
    verifier = Verifier([key.public_key()])
    assert await told(named(calls_of(site, verifier=verifier), [A])) == []
    lose(tmp_path, call_path(A))
    forger = Site(tmp_path, clock=site.clock)
    forger.clock.advance(86_400)
    await forger.seal(A, utterances=1)
    assert (A, "signature-missing", "fault") in [
        (A, code, level) for _, code, level in await told(named(calls_of(site, verifier=verifier), [A]))
    ]


async def test_a_file_that_is_gone_is_told_by_name_and_stops_nobody(tmp_path: Path) -> None:
    site = await three(tmp_path)
    lose(tmp_path, call_path(B))
    calls = calls_of(site)
    assert await told(named(calls, [B])) == [(B, "call-missing", "fault")]
    assert [one.call async for one in reconciled(calls, [])] == [C, B, A]


async def test_a_file_that_ends_in_the_middle_is_told_as_such_and_not_exported(tmp_path: Path) -> None:
    site = await three(tmp_path)
    spoil(tmp_path, call_path(B))
    found = await told(named(calls_of(site), [B]))
    assert found
    assert "stream-missing" not in {code for _, code, _ in found}
    assert all(level == "fault" for *_, level in found)
    with pytest.raises(NoExport, match=r"cut off"):
        await export_archived(site.archive, B)


async def test_a_file_that_unpacks_to_more_than_any_call_has_is_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await three(tmp_path)
    assert await export_archived(site.archive, B)
    monkeypatch.setattr("call_archive.sealed.MOST_BYTES", 1000)
    with pytest.raises(NoExport, match="more than 1000 bytes"):
        await export_archived(site.archive, B)


async def test_calls_that_were_let_go_are_not_passed_over_where_no_archive_is_named(
    redis: Redis, tmp_path: Path
) -> None:
    await redis.zadd(keys.gone(keys.TAGS[0]), {"call-x": 1.0})
    live_only = Calls(Settings(), LiveCalls(redis), None, ArchivedCalls(Site(tmp_path).store).readings, redis=redis)
    assert await told(live_verdicts(live_only)) == [(None, "calls-unseen", "fault")]


@pytest.mark.parametrize("later", [0, 86_400])
async def test_a_call_that_was_replaced_is_not_proven_by_a_link_that_was_appended_for_it(
    tmp_path: Path, later: float
) -> None:
    site = await three(tmp_path)
    lose(tmp_path, call_path(B))
    forger = Site(tmp_path, clock=site.clock)
    await forger.chain.open()
    forger.clock.advance(later)
    await forger.seal(B, utterances=1)
    found = await told(named(calls_of(site), [B]))
    assert (B, "object-edited", "fault") in found
    assert (B, "linked-twice", "fault") in found
    assert (B, "object-edited", "fault") in await told(reconciled(calls_of(site), [B]))


async def test_a_call_is_not_proven_while_the_link_that_named_it_first_may_be_gone(tmp_path: Path) -> None:
    site = await three(tmp_path)
    lose(tmp_path, link_path(2))
    lose(tmp_path, call_path(B))
    forger = Site(tmp_path, clock=site.clock)
    await forger.chain.open()
    await forger.seal(B, utterances=1)
    assert (B, "link-missing", "fault") in await told(named(calls_of(site), [B]))


async def test_a_link_that_is_none_does_not_end_the_look_at_a_day(tmp_path: Path) -> None:
    site = await three(tmp_path)
    spoil(tmp_path, link_path(2), b"garbage")
    found = await told(by_day(calls_of(site), DAY))
    assert (None, "link-unreadable", "fault") in found
    assert {call for call, *_ in found} == {A, B, C, None} - {B}


def asked(site: Site, *words: str) -> tuple[int, str]:
    """The real command over the real directory, without any log."""
    answer = CliRunner().invoke(app, [*words, "--from", "archive", "--archive", str(site.root)])
    return answer.exit_code, answer.output


def test_what_was_spoiled_in_the_directory_is_told_by_the_commands_and_their_exit_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLWEAVE_LOG_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("REDIS_URL", raising=False)
    Path(tmp_path, "archive").mkdir()
    site = asyncio.run(three(tmp_path / "archive"))
    sound = [asked(site, "verify", A), asked(site, "verify", "--all"), asked(site, "verify", "--day", str(DAY))]
    assert [code for code, _ in sound] == [0, 0, 0], sound
    assert "end-unproven" in sound[1][1]
    spoil(site.root, call_path(A))
    lose(site.root, call_path(B))
    lose(site.root, link_path(2))
    for words, wanted in (
        (("verify", A), "unreadable"),
        (("verify", C), "link-missing"),
        (("verify", "--day", str(DAY)), "link-missing"),
        (("verify", "--all"), "link-missing"),
        (("reconcile", "--all"), "link-missing"),
    ):
        code, text = asked(site, *words)
        assert code == 1, (words, text)
        assert wanted in text, (words, text)
        assert "stream-missing" not in text, (words, text)
