"""Ed25519 over links, so that nobody without the key can write a chain of their own.

``openssl genpkey -algorithm ed25519 -out archive.pem`` makes a key, ``openssl pkey -in archive.pem -pubout`` the half
that auditors need.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from call_archive.model import Signature
from call_events.errors import BadSetting


class Signer:
    """Signs with one key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = key_id(key.public_key())

    def sign(self, line: bytes) -> Signature:
        """The second line of a link."""
        return Signature(key=self.key_id, ed25519=base64.b64encode(self._key.sign(line)).decode())


class Verifier:
    """Knows the public keys under which links may be signed."""

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys: Mapping[str, Ed25519PublicKey] = {key_id(key): key for key in keys}

    def fault(self, line: bytes, signature: Signature) -> str | None:
        """Why a signature does not hold; ``None`` if it does."""
        key = self._keys.get(signature.key)
        if key is None:
            return f"it is signed with the key {signature.key}, which is none of those given"
        try:
            key.verify(base64.b64decode(signature.ed25519, validate=True), line)
        except (InvalidSignature, binascii.Error):
            return f"the signature is not one of the key {signature.key} over this link"
        return None


def key_id(key: Ed25519PublicKey) -> str:
    """By which a signature names its key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def load_signer(path: Path) -> Signer:
    """The signer of a PEM file (PKCS #8, not encrypted).

    Raises:
        BadSetting: no such file, or it is no such key. The text repeats nothing of it.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise BadSetting(f"{path}: the signing key cannot be read ({error.strerror})") from error
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadSetting(
            f"{path}: this is no unencrypted Ed25519 key in PEM; openssl genpkey -algorithm ed25519 makes one"
        )
    return Signer(key)


def load_verifier(*paths: Path) -> Verifier:
    """The verifier for the public keys in PEM files.

    Raises:
        BadSetting: no such file, or it is no such key.
    """
    keys = []
    for path in paths:
        try:
            key = load_pem_public_key(path.read_bytes())
        except OSError as error:
            raise BadSetting(f"{path}: the public key cannot be read ({error.strerror})") from error
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise BadSetting(
                f"{path}: this is no Ed25519 public key in PEM; openssl pkey -pubout makes it of the other"
            )
        keys.append(key)
    return Verifier(keys)
