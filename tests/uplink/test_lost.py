"""Why a connection is not there, for people."""

import errno
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from nexus_engine.uplink.lost import lost

KEY = ConnectionKey("secret.example", 443, True, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (aiohttp.ClientConnectorDNSError(KEY, OSError(-3, "secret.example")), "no connection (host not found)"),
        (aiohttp.ClientConnectorError(KEY, OSError(errno.ENETUNREACH, "secret")),
         "no connection (network is unreachable)"),
        (aiohttp.ClientConnectorError(KEY, OSError("secret")), "no connection"),
        (aiohttp.ClientConnectorCertificateError(KEY, ssl.CertificateError("secret")),
         "no connection (certificate not accepted)"),
        (aiohttp.ClientConnectorSSLError(KEY, OSError(1, "secret")), "no connection (no TLS with it)"),
        (aiohttp.ServerDisconnectedError("secret"), "connection lost (closed by the other side)"),
        (ConnectionResetError(errno.ECONNRESET, "secret"), "connection lost (connection reset by peer)"),
        (aiohttp.ClientPayloadError("secret"), "connection lost (cut short)"),
        (aiohttp.ClientError("secret"), "connection lost (ClientError)"),
    ],
)  # fmt: skip
def test_what_is_told_is_in_words_and_holds_no_address(error: aiohttp.ClientError | OSError, told: str) -> None:
    assert lost(error) == told
