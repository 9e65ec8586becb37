"""Why a connection is not there, in words of ours: the text of these errors may hold the address, and that a key."""

import os

import aiohttp


def lost(error: aiohttp.ClientError | OSError) -> str:
    """`no connection (host not found)` where nothing can have left, else `connection lost (...)`."""
    what = "no connection" if isinstance(error, aiohttp.ClientConnectorError) else "connection lost"
    why = _why(error)
    return f"{what} ({why})" if why else what


def _why(error: aiohttp.ClientError | OSError) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "host not found"
        case aiohttp.ClientConnectorCertificateError():
            return "certificate not accepted"
        case aiohttp.ClientSSLError():
            return "no TLS with it"
        case aiohttp.ServerDisconnectedError():
            return "closed by the other side"
        case aiohttp.ClientPayloadError():
            return "cut short"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number).lower()
        case aiohttp.ClientConnectorError():
            return ""
    return type(error).__name__
