"""The phones of one driver: what every driver does with them alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import structlog

from standins.phones.telephone import Telephone

log = structlog.get_logger()


class Rack:
    """Telephones by the order in which they were plugged in; their recordings go into `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._phones: list[Telephone] = []

    def __iter__(self) -> Iterator[Telephone]:
        return iter(self._phones)

    def add(self, phone: Telephone, name: str | None) -> None:
        """Take a phone in, and give it its name; see `Phones.phone`."""
        phone.name = name or f"phone-{len(self._phones) + 1}"
        self._phones.append(phone)

    async def hang_up(self) -> None:
        """Every phone on the hook."""
        for phone in self._phones:
            await phone.hang_up()

    async def put_away(self) -> None:
        """Every phone on the hook, and its recordings on disk."""
        await self.hang_up()
        for path in await asyncio.to_thread(self._save):
            log.debug("phones.recording_saved", path=str(path))

    def _save(self) -> list[Path]:
        """One WAV file for each call in which something was said or heard: `<name>.wav`, `<name>-2.wav`, …"""
        self._directory.mkdir(parents=True, exist_ok=True)
        saved = []
        for phone in self._phones:
            used = [recording for recording in phone.recordings if len(recording.said()) or len(recording.heard())]
            for count, recording in enumerate(used, start=1):
                path = self._directory / (f"{phone.name}.wav" if count == 1 else f"{phone.name}-{count}.wav")
                recording.save(path)
                saved.append(path)
        return saved
