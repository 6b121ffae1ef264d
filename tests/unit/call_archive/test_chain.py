"""The chain: its end is found, contended for, and defended."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from call_archive.archive import Archive
from call_archive.chain import Chain, Gatherer
from call_archive.errors import ChainBroken, StoreUnavailable
from call_archive.findings import Code, Finding
from call_archive.links import next_link
from call_archive.model import LinkedCall
from call_archive.paths import link_path
from call_archive.ports import Head
from call_archive.signing import Signer, Verifier, load_signer, load_verifier
from call_archive.verify import verify_archive
from call_events.errors import BadSetting
from call_events.ids import CallId
from support.archives import Site


def named(call: str) -> LinkedCall:
    return LinkedCall(call=CallId(call), object="1" * 64, head="2" * 64, last=3, size=100)


async def findings(site: Site, head: Head | None = None, verifier: Verifier | None = None) -> list[Finding]:
    found = verify_archive(site.archive, known_head=head or site.keeper.head, verifier=verifier)
    return [finding async for finding in found]


async def test_links_are_numbered_and_name_each_other(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal("call-1", "call-2", "call-3")

    links = [stored async for stored in site.archive.links()]
    assert [one.link.number for one in links] == [1, 2, 3]
    assert [one.link.previous for one in links] == ["0" * 64, links[0].digest, links[1].digest]
    assert [call.call for one in links for call in one.link.calls] == ["call-1", "call-2", "call-3"]
    assert site.keeper.head == Head(3, links[2].digest)


async def test_two_writers_make_one_chain(tmp_path: Path) -> None:
    site = Site(tmp_path)
    chains = [Chain(site.store, site.keeper, site.clock, by=f"archiver/{n}") for n in range(4)]
    async with asyncio.TaskGroup() as tasks:
        for number, chain in enumerate(chains):
            for one in range(5):
                tasks.create_task(chain.add(calls=[named(f"call-{number}-{one}")]))

    links = [stored async for stored in site.archive.links()]
    assert [one.link.number for one in links] == list(range(1, 21))
    assert len({call.call for one in links for call in one.link.calls}) == 20
    assert all(one.link.previous == before.digest for before, one in pairwise(links))


async def test_a_clock_that_runs_backwards_does_not_turn_the_chain(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal("call-1")
    site.clock.advance(-7200)
    await site.seal("call-2")

    first, second = [stored.link async for stored in site.archive.links()]
    assert second.at == first.at
    assert await findings(site) == []


async def test_the_links_of_a_day_are_found_without_reading_all(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for number in range(30):
        await site.chain.add(calls=[named(f"call-{number}")])
        site.clock.advance(4 * 3600)
    day = (site.clock.now() - timedelta(days=2)).date()

    found = [stored.link async for stored in site.archive.links(since=day, until=day)]

    assert [one.day for one in found] == [day.isoformat()] * 6
    assert [one.number for one in found] == list(range(found[0].number, found[0].number + 6))


async def test_an_archiver_does_not_add_to_a_chain_whose_end_is_gone(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal("call-1", "call-2")
    (tmp_path / link_path(2)).unlink()

    with pytest.raises(ChainBroken, match="ends at link 1, but link 2 was written"):
        await Chain(site.store, site.keeper, site.clock, by="archiver/2").open()
    assert [finding.code for finding in await findings(site)] == [Code.CHAIN_CUT, Code.NOT_LINKED]


async def test_nor_to_another_archive(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    site, other = Site(tmp_path / "one"), Site(tmp_path / "other")
    await site.seal("call-1")
    await other.seal("call-2")

    with pytest.raises(ChainBroken, match="is not the one that was written"):
        await Chain(other.store, site.keeper, site.clock, by="archiver/2").open()


async def test_nor_behind_something_that_is_no_link(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal("call-1")
    await site.store.create(link_path(2), b"{}")

    with pytest.raises(ChainBroken, match="in the place of the next link"):
        await site.chain.add(calls=[named("call-2")])


async def test_a_lost_answer_of_the_store_makes_no_second_link(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal("call-1")
    last = await site.archive.link(1)
    ours = next_link(last, at=site.clock.now(), by="archiver/test", calls=[named("call-2")])
    await site.store.create(link_path(2), ours.content)

    link = await site.chain.add(calls=[named("call-2")])

    assert link.link.number == 2
    assert await site.archive.last_number() == 2


async def test_what_comes_up_together_shares_a_link_and_a_fault_is_told_to_each(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    site = Site(tmp_path / "archive")
    gatherer = Gatherer(site.chain, pause_s=0.01)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(gatherer.run())
        waiting = [tasks.create_task(gatherer.link(named(f"call-{number}"))) for number in range(9)]
        links = {(await one).link.number for one in waiting}
        assert links == {1}
        (tmp_path / "archive").rename(tmp_path / "unmounted")
        for number in range(2):
            with pytest.raises(StoreUnavailable):
                await gatherer.link(named(f"lost-{number}"))
        (tmp_path / "unmounted").rename(tmp_path / "archive")
        assert (await gatherer.link(named("call-10"))).link.number == 2
        running.cancel()


async def test_a_missing_link_in_the_middle_is_named(tmp_path: Path) -> None:
    site = Site(tmp_path)
    await site.seal("call-1", "call-2", "call-3")
    (tmp_path / link_path(2)).unlink()

    found = await findings(site)

    assert [(one.code, one.call) for one in found] == [(Code.LINK_MISSING, None), (Code.NOT_LINKED, "call-2")]
    assert found[0].place == link_path(2)


class TestSigned:
    """Links under a key."""

    async def test_a_signed_chain_holds_and_a_forged_one_does_not(self, tmp_path: Path) -> None:
        key = Ed25519PrivateKey.generate()
        site = Site(tmp_path, signer=Signer(key))
        await site.seal("call-1", "call-2")
        verifier = Verifier([key.public_key()])
        assert await findings(site, verifier=verifier) == []

        forger = Site(tmp_path, signer=Signer(Ed25519PrivateKey.generate()), keeper=site.keeper, clock=site.clock)
        await forger.chain.open()
        await forger.seal("call-3")
        await Chain(site.store, site.keeper, site.clock, by="nobody").open()
        assert [one.code for one in await findings(site, verifier=verifier)] == [Code.SIGNATURE_WRONG]

    async def test_a_link_without_a_signature_is_told_of(self, tmp_path: Path) -> None:
        site = Site(tmp_path)
        await site.seal("call-1")
        found = await findings(site, verifier=Verifier([Ed25519PrivateKey.generate().public_key()]))
        assert [one.code for one in found] == [Code.SIGNATURE_MISSING]

    async def test_whoever_writes_the_whole_chain_anew_needs_the_key(self, tmp_path: Path) -> None:
        """Even where nobody remembers the head outside."""
        (tmp_path / "forged").mkdir()
        site = Site(tmp_path / "forged", signer=Signer(Ed25519PrivateKey.generate()))
        await site.seal("call-1", "call-2")
        verifier = Verifier([Ed25519PrivateKey.generate().public_key()])
        found = [one async for one in verify_archive(Archive(site.store), verifier=verifier)]
        assert [one.code for one in found] == [Code.SIGNATURE_WRONG] * 2

    def test_keys_are_read_from_pem_files(self, tmp_path: Path) -> None:
        key = Ed25519PrivateKey.generate()
        private, public = tmp_path / "key.pem", tmp_path / "public.pem"
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

        signature = load_signer(private).sign(b"line")
        assert load_verifier(public).fault(b"line", signature) is None
        assert "not one of the key" in (load_verifier(public).fault(b"other", signature) or "")

    @pytest.mark.parametrize(
        "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
    )
    def test_what_is_no_key_is_refused_in_one_line(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "key.pem"
        path.write_bytes(content)
        for load in (load_signer, load_verifier):
            with pytest.raises(BadSetting, match="Ed25519"):
                load(path)
        with pytest.raises(BadSetting, match="cannot be read"):
            load_signer(tmp_path / "nowhere.pem")
