"""Starting a service: one clear line and the right exit code, or a clean stop."""

import asyncio
import os
import signal
from typing import Any

import aiohttp
import pytest
from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from call_events import metrics
from call_events.errors import BadSetting, LogUnavailable
from call_events.service import CannotReach, HealthServer, load_settings, run_service


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CCM_BRIDGE_", frozen=True)

    ccm_url: str = Field(validation_alias="CCM_URL", description="the whole URL, e.g. http://host/ccm/message/receive")
    http_port: int = Field(default=0, ge=0, description="a port number, 0 for any free one")

    @field_validator("ccm_url")
    @classmethod
    def whole(cls, value: str) -> str:
        if not value.startswith("http"):
            raise ValueError("is not a URL")
        return value


def test_good_settings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCM_URL", "http://ccm")
    monkeypatch.setenv("CCM_BRIDGE_HTTP_PORT", "81")

    assert (load_settings(Settings).ccm_url, load_settings(Settings).http_port) == ("http://ccm", 81)


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({}, "ccm: CCM_URL is missing; the whole URL, e.g. http://host/ccm/message/receive\n"),
        ({"CCM_URL": "ccm"}, "ccm: CCM_URL: is not a URL; the whole URL, e.g. http://host/ccm/message/receive\n"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_variable_and_mend(
    environment: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as stopped:
        load_settings(Settings, name="ccm")

    assert (stopped.value.code, capsys.readouterr().err) == (2, line)


class Many(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="VOICE_WORKER_", frozen=True)

    redis_url: str = Field(validation_alias="REDIS_URL", description="set it, e.g. redis://127.0.0.1:6379/0")
    livekit_url: str = Field(validation_alias="LIVEKIT_URL")
    openai_api_key: str = Field(validation_alias=AliasChoices("OPENAI_API_KEY", "OPENAI_KEY"))
    profile: str
    port: int = Field(default=0, ge=0)


def test_all_missing_variables_are_named_in_the_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOICE_WORKER_PORT", "-1")

    with pytest.raises(SystemExit):
        load_settings(Many, name="worker")

    assert capsys.readouterr().err == (
        "worker: REDIS_URL is missing; set it, e.g. redis://127.0.0.1:6379/0"
        "; also missing: LIVEKIT_URL, OPENAI_API_KEY, VOICE_WORKER_PROFILE; also wrong: VOICE_WORKER_PORT\n"
    )


def test_a_prefixed_variable_is_named_in_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CCM_URL", "http://ccm")
    monkeypatch.setenv("CCM_BRIDGE_HTTP_PORT", "many")

    with pytest.raises(SystemExit):
        load_settings(Settings)

    assert capsys.readouterr().err.startswith("CCM_BRIDGE_HTTP_PORT: ")


class Secretive(BaseSettings):
    model_config = SettingsConfigDict(frozen=True)

    api_secret: SecretStr = Field(validation_alias="API_SECRET", min_length=32, description="make a longer one")


def test_a_secret_that_is_too_short_is_told_in_characters_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """pydantic counts the "items" of a "value", as it does for any list."""
    monkeypatch.setenv("API_SECRET", "guessable")

    with pytest.raises(SystemExit):
        load_settings(Secretive)

    assert capsys.readouterr().err == "API_SECRET: needs at least 32 characters; make a longer one\n"


class Several(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CCM_BRIDGE_", frozen=True)

    human_ids: dict[str, str] = Field(default_factory=dict)
    numbers: list[int] = Field(default=[], validation_alias="NUMBERS")
    names: tuple[str, ...] = Field(default=(), description="name some")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        (
            "CCM_BRIDGE_HUMAN_IDS",
            "{",
            '(Expecting property name enclosed in double quotes, character 2); write it as in {"name": "value"}',
        ),
        ("NUMBERS", "49-171", '(Extra data, character 3); write it as in ["value", "value"]'),
        ("CCM_BRIDGE_NAMES", "Ann", "(Expecting value, character 1); name some"),
    ],
)
def test_what_cannot_be_taken_apart_is_told_like_any_bad_setting(
    variable: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """pydantic-settings tells only its own name of the field, before any validator of ours is asked."""
    monkeypatch.setenv(variable, value)

    with pytest.raises(SystemExit) as stopped:
        load_settings(Several)

    assert (stopped.value.code, capsys.readouterr().err) == (2, f"{variable}: is not JSON {told}\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadSetting("REDIS_URL: too old"), 2),
        (CannotReach("CCM_URL: nobody there"), 3),
        (LogUnavailable("REDIS_URL"), 3),
    ],
)
@pytest.mark.parametrize("in_a_group", [False, True])
def test_a_service_that_cannot_start_says_so_in_one_line(
    error: Exception, code: int, in_a_group: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main(_stop: asyncio.Event) -> None:
        raise ExceptionGroup("tasks", [error]) if in_a_group else error

    with pytest.raises(SystemExit) as stopped:
        run_service("bridge", main)

    assert (stopped.value.code, capsys.readouterr().err) == (code, f"bridge: {error}\n")


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_becomes_a_stop_and_a_clean_exit(which: signal.Signals) -> None:
    stopped: list[Any] = []

    async def main(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), which)
        async with asyncio.timeout(5):
            await stop.wait()
        stopped.append("in order")

    with pytest.raises(SystemExit) as end:
        run_service("bridge", main)

    assert (end.value.code, stopped) == (0, ["in order"])


async def test_health_tells_the_truth_and_metrics_are_served() -> None:
    checks: dict[str, str | bool] = {"redis": True, "worker": "w1"}
    async with HealthServer("127.0.0.1", 0, lambda: checks) as server, aiohttp.ClientSession() as client:
        base = f"http://127.0.0.1:{server.port}"
        async with client.get(f"{base}/health") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok", "redis": True, "worker": "w1"})
        checks["redis"] = False
        async with client.get(f"{base}/health") as answer:
            assert (answer.status, (await answer.json())["status"]) == (503, "failing")
        async with client.get(f"{base}/metrics") as answer:
            assert next(iter(metrics.APPENDS.describe())).name in await answer.text()
        with pytest.raises(BadSetting, match="HTTP_PORT"):
            await HealthServer("127.0.0.1", server.port, lambda: checks).start()
