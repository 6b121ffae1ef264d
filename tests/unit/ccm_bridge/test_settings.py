"""Settings are read once and refused in words."""

from typing import Any

import pytest
from pydantic import ValidationError

from call_events.startup import load_settings
from ccm_bridge.settings import Settings

GOOD: dict[str, Any] = {
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "CCM_URL": "http://127.0.0.1:8081/ccm/message/receive",
    "bot_id": "0123456789abcdef01234567",
    "human_id": "telephone-agents",
}


def test_two_urls_and_two_sender_ids_are_enough() -> None:
    settings = Settings(**GOOD)
    assert settings.auth == "none"
    assert settings.call_legs == "none"
    assert settings.require_ccm_at_start


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"auth": "bearer"}, "CCM_BRIDGE_LOGIN_URL"),
        ({"customer_identifier": "fax"}, "customer_identifier"),
        ({"carrier": "pigeon"}, "carrier"),
        ({"hold_s": 0}, "hold_s"),
        ({"CCM_URL": "ccm"}, "CCM_URL"),
        ({"bot_id": ""}, "bot_id"),
        ({"human_id": ""}, "human_id"),
    ],
)
def test_a_bad_setting_is_named(fields: dict[str, Any], names: str) -> None:
    with pytest.raises(ValidationError, match=names):
        Settings(**(GOOD | fields))


@pytest.mark.parametrize(
    ("field", "where"), [("bot_id", "channelConfig.botId"), ("human_id", "Keycloak id of the user")]
)
def test_the_ids_of_a_deployments_own_ccm_have_no_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], field: str, where: str
) -> None:
    """CCM takes any id, so an invented one would only be noticed by those who read the conversations."""
    variable = f"CCM_BRIDGE_{field.upper()}"
    for name, value in GOOD.items():
        monkeypatch.setenv(name if name.isupper() else f"CCM_BRIDGE_{name.upper()}", value)
    monkeypatch.setenv(variable, "")
    with pytest.raises(SystemExit) as ended:
        load_settings(Settings, name="ccm-bridge")
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ccm-bridge: {variable} is missing; set it to ")
    assert where in line


def test_the_password_is_not_shown() -> None:
    settings = Settings(**GOOD, auth="bearer", login_url="http://127.0.0.1/login", username="bridge", password="hush")
    assert "hush" not in repr(settings)
