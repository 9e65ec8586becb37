"""The API keys of the practice account, and what a request has to prove with one: who, by what signature, and when."""

import base64
import binascii
import hashlib
import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from nexus_engine.sim.params import Params
from nexus_engine.sim.rules import VenueError

RECV_WINDOW_MS, RECV_WINDOW_MOST_MS = 5000, 60_000
EARLY_MS = 1000  # a timestamp may be this far ahead of the server


class Keys:
    """One key that signs with HMAC and, where a public key is registered, one that signs with Ed25519.

    As on the venue a key is of one kind. The name of the second is made of its public key, so it outlives a restart.
    """

    def __init__(self, key: str, secret: str, public: Ed25519PublicKey | None = None) -> None:
        self.hmac_key, self._secret = key, secret.encode()
        self._public = public
        self.ed25519_key = ""
        if public is not None:
            raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
            self.ed25519_key = hashlib.sha256(b"api key of " + raw).hexdigest()

    def check(self, key: str) -> None:
        """Raise VenueError for a key that is missing or not of this account."""
        if not key:
            raise VenueError(-2014, http_status=401)
        known = [name for name in (self.hmac_key, self.ed25519_key) if name]
        if not any(hmac.compare_digest(key.encode(), name.encode()) for name in known):
            raise VenueError(-2015, http_status=401)

    def verify(self, key: str, payload: str, signature: str) -> None:
        """Raise VenueError when `signature` is not the key's own of that text."""
        if self._public is None or key != self.ed25519_key:
            expected = hmac.new(self._secret, payload.encode(), "sha256").hexdigest()
            if not hmac.compare_digest(signature.encode(), expected.encode()):
                raise VenueError(-1022)
            return
        try:
            self._public.verify(base64.b64decode(signature, validate=True), payload.encode())
        except (InvalidSignature, binascii.Error) as error:
            raise VenueError(-1022) from error


def check_time(params: Params, now_ms: int) -> None:
    """Raise VenueError for a request that has no timestamp or lies outside of its window."""
    sent_ms, window_ms = params.integer("timestamp"), params.integer("recvWindow")
    if sent_ms is None:
        raise VenueError(-1102, "timestamp")
    window_ms = min(window_ms or RECV_WINDOW_MS, RECV_WINDOW_MOST_MS)
    age_ms = now_ms - sent_ms
    if age_ms > window_ms or age_ms < -EARLY_MS:
        raise VenueError(-1021)


def load_public(pem: bytes) -> Ed25519PublicKey:
    """An Ed25519 public key in PEM; ValueError for anything else."""
    public = load_pem_public_key(pem)
    if not isinstance(public, Ed25519PublicKey):
        raise ValueError("not an Ed25519 key")
    return public
