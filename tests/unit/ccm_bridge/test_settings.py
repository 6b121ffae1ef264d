"""Settings are read once and refused in words."""

from typing import Any

import pytest
from pydantic import ValidationError

from ccm_bridge.settings import Settings

GOOD: dict[str, Any] = {"REDIS_URL": "redis://127.0.0.1:6379/0", "CCM_URL": "http://127.0.0.1:8081/ccm/message/receive"}


def test_the_two_urls_are_enough() -> None:
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
    ],
)
def test_a_bad_setting_is_named(fields: dict[str, Any], names: str) -> None:
    with pytest.raises(ValidationError, match=names):
        Settings(**(GOOD | fields))


def test_the_password_is_not_shown() -> None:
    settings = Settings(**GOOD, auth="bearer", login_url="http://127.0.0.1/login", username="bridge", password="hush")
    assert "hush" not in repr(settings)
