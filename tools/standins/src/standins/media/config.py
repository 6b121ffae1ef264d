"""Configuration documents of livekit-server and livekit-sip that keep everything on 127.0.0.1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from standins.media.errors import MediaError

#: psrpc's pub/sub ignores database numbers, so this separates keys only: two LiveKit servers must not share a Redis.
LIVEKIT_REDIS_DB = 1


@dataclass(frozen=True)
class ServerPorts:
    """Ports of one livekit-server on 127.0.0.1: TCP for the API, UDP for media, and one that stays unused."""

    api: int
    media: int
    silent_stun: int


@dataclass(frozen=True)
class SipPorts:
    """Ports of one livekit-sip: SIP on TCP and UDP, health, metrics, and the range for RTP."""

    sip: int
    health: int
    metrics: int
    rtp_first: int
    rtp_last: int


def redis_section(redis_url: str, db: int = LIVEKIT_REDIS_DB) -> dict[str, Any]:
    """LiveKit's `redis` section for a redis:// or rediss:// URL, on our own database number."""
    parts = urlsplit(redis_url)
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise MediaError(
            f"REDIS_URL has the scheme '{parts.scheme}'; LiveKit needs redis://host:port or rediss://host:port"
        )
    section: dict[str, Any] = {"address": f"{parts.hostname}:{parts.port or 6379}", "db": db}
    if parts.username:
        section["username"] = unquote(parts.username)
    if parts.password:
        section["password"] = unquote(parts.password)
    if parts.scheme == "rediss":
        section["use_tls"] = True
    return section


def server_document(ports: ServerPorts, *, redis_url: str, keys: dict[str, str]) -> dict[str, Any]:
    """livekit-server's configuration. Its YAML is strict: an unknown key fails the start."""
    return {
        "port": ports.api,
        "bind_addresses": ["127.0.0.1"],
        "keys": keys,
        "redis": redis_section(redis_url),
        "rtc": {
            "node_ip": "127.0.0.1",
            "use_external_ip": False,
            "enable_loopback_candidate": True,
            "udp_port": ports.media,
            "tcp_port": 0,
            "ips": {"includes": ["127.0.0.1/32"]},
            "interfaces": {"includes": ["lo"]},
            # Nothing listens there; it keeps clients off the default public STUN names.
            "stun_servers": [f"127.0.0.1:{ports.silent_stun}"],
        },
        "api": {"enable_psrpc_for_get_list_participants": True},
        # A worker above target_load gets no jobs; on a small machine that loses calls.
        "agents": {"target_load": 1.0},
        "room": {"empty_timeout": 60, "departure_timeout": 20},
        "logging": {"level": "info", "json": True},
    }


def sip_document(ports: SipPorts, *, redis_url: str, livekit_url: str, key: str, secret: str) -> dict[str, Any]:
    """livekit-sip's configuration. Its YAML is not strict: a typing error would be ignored silently."""
    return {
        "api_key": key,
        "api_secret": secret,
        "ws_url": livekit_url,
        "redis": redis_section(redis_url),
        "sip_port": ports.sip,
        "listen_ip": "127.0.0.1",
        "nat_1_to_1_ip": "127.0.0.1",
        "rtp_port": f"{ports.rtp_first}-{ports.rtp_last}",
        "health_port": ports.health,
        "prometheus_port": ports.metrics,
        "media_timeout": "60s",
        "media_timeout_initial": "30s",
        "max_cpu_utilization": 1.0,
        "rtp_draining_idle_timeout": "-1s",
        "rtp_draining_duration": "-1s",
        "enable_jitter_buffer": True,
        "logging": {"level": "info", "json": True},
    }
