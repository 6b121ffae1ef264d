"""The process behind real SIP phones, without livekit-sip: many phones, and what is said when it dies."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path

import pytest
import pytest_asyncio

from standins.phones import Ending, PhoneError, SipPhones
from support.waiting import wait_until

#: More than the eight accounts that pjsua2 is built for.
MANY = 12


@pytest_asyncio.fixture
async def phones(tmp_path: Path) -> AsyncIterator[SipPhones]:
    """Phones whose INVITEs reach a port at which nobody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        address = "{}:{}".format(*silent.getsockname())
        async with SipPhones(address, tmp_path, username="switch", password="secret") as running:
            yield running


def _kill(phones: SipPhones) -> None:
    process = phones._network._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)


async def test_any_number_of_phones_can_be_plugged_in(phones: SipPhones) -> None:
    for number in range(MANY):
        await phones.phone(f"desk-{number}")


async def test_a_phone_that_is_plugged_in_again_keeps_its_number(phones: SipPhones) -> None:
    """A scenario after the other takes the phone of the same desk."""
    for _scenario in range(MANY):
        assert (await phones.phone("7001")).number == "7001"


async def test_whoever_plugs_a_phone_in_hears_that_the_process_died(phones: SipPhones) -> None:
    await phones.phone("7001")
    _kill(phones)
    with pytest.raises(PhoneError, match="ended with -9"):
        await phones.phone("7002")


async def test_a_caller_hears_that_the_process_died(phones: SipPhones) -> None:
    customer = await phones.phone("+15550001111")
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        call = group.create_task(_outcome(customer.call("call-1")))
        await wait_until(lambda: phones._network._lines)
        _kill(phones)
    assert "ended with -9" in str(call.result())
    assert await customer.wait_hung_up() is Ending.REFUSED


async def _outcome(call: Coroutine[object, object, None]) -> object:
    try:
        await call
    except PhoneError as error:
        return error
    return None
