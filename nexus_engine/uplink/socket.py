"""One web socket of ours: its frames joined to messages, its end a word.

picows hands a frame over in the very call that read it, with no queue or task between: a tick takes one turn of the
loop and asks once for the interpreter's lock, which a painting cockpit makes dear.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import picows
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

MESSAGE_BYTES: Final = 1 << 20
"""No message that we use is near this; a longer one is skipped unread."""
SOCKET_BYTES: Final = 16 << 20
"""A frame, or a message in parts, that is longer still ends the connection."""
CONNECT_S: Final = 5.0
HEARTBEAT_S: Final = 5.0
"""Of silence, before the other side is asked whether it is there; ANSWER_S later it is not."""
ANSWER_S: Final = 2.5
GOODBYE_S: Final = 0.3
_EYEBALLS_S: Final = 0.25
_OWN_ENDS: Final = {
    WSCloseCode.GOING_AWAY: "the venue answers no ping",
    WSCloseCode.MESSAGE_TOO_BIG: "the venue's message is endless",
    WSCloseCode.PROTOCOL_ERROR: "what the venue sends is no web socket",
    WSCloseCode.INVALID_TEXT: "what the venue sends is no web socket",
}
_NO_CODE: Final = 1005
_ABRUPT: Final = 1006

# what it has to say comes out as an exception or an end; its log would have addresses, and those hold keys
_silent = logging.getLogger(f"{__name__}.picows")
_silent.disabled = True


class Lost(Exception):
    """The connection could not be made; the message says why, without an address."""


class Socket(WSListener):
    """What one connection says, each in the loop's own call: `opened` once, `text` for each whole message, `skipped`
    for each that is binary or too long, and `ended` once with the reason. After `ended` nothing more is said.
    """

    def __init__(
        self,
        *,
        opened: Callable[["Socket"], None],
        text: Callable[[bytes], None],
        skipped: Callable[[], None],
        ended: Callable[[str], None],
    ) -> None:
        self._tell_opened = opened
        self._tell_text = text
        self._tell_skipped = skipped
        self._tell_ended = ended
        self._transport: WSTransport | None = None
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._parts_kind: WSMsgType | None = None
        self._over = False

    # ---- what we do --------------------------------------------------------------------------------------------------

    async def connect(self, url: str) -> None:
        """Raises Lost."""
        try:
            async with asyncio.timeout(CONNECT_S):
                transport, _ = await picows.ws_connect(
                    lambda: self,
                    url,
                    logger_name=_silent,
                    websocket_handshake_timeout=CONNECT_S,
                    enable_auto_ping=True,
                    auto_ping_idle_timeout=HEARTBEAT_S,
                    auto_ping_reply_timeout=ANSWER_S,
                    max_frame_size=SOCKET_BYTES,
                    max_redirects=0,
                    happy_eyeballs_delay=_EYEBALLS_S,
                )
        except TimeoutError:
            raise Lost(f"no connection within {CONNECT_S:.0f} s") from None
        except (picows.WSError, picows.WSInvalidURL, OSError) as error:
            # the name alone: the text may hold the address, and that a key
            raise Lost(f"connection lost ({type(error).__name__})") from None
        if transport.is_disconnected and self._transport is None:
            raise Lost("connection lost in the greeting")

    def send(self, text: str) -> None:
        """Say something; nothing happens on a connection that is over."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, text)

    def pause(self) -> None:
        """Read no more for now; what was read already is still told."""
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.underlying_transport.resume_reading()

    async def close(self) -> None:
        """Say goodbye, wait a moment for the answer, and go in any case."""
        self._over = True
        transport, self._transport = self._transport, None
        if transport is None:
            return
        try:
            transport.send_close(WSCloseCode.OK)
            async with asyncio.timeout(GOODBYE_S):
                await transport.wait_disconnected()
        except (TimeoutError, picows.WSError):
            pass
        finally:
            transport.disconnect(graceful=False)

    # ---- what picows calls -------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._tell_opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self._over:
            return
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._end("the venue used an extension that was not agreed on")
        elif kind == WSMsgType.TEXT and frame.fin and self._parts_kind is None:
            if frame.payload_size <= MESSAGE_BYTES:
                self._tell_text(frame.get_payload_as_bytes())
            else:
                self._tell_skipped()
        elif kind == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            self._end(_closed(int.from_bytes(frame.get_payload_as_bytes()[:2]) or _NO_CODE))
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._part(kind, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._end(_OWN_ENDS.get(_sent(transport), _closed(_ABRUPT)))

    # ---- parts -------------------------------------------------------------------------------------------------------

    def _part(self, kind: WSMsgType, frame: WSFrame) -> None:
        """Of a message in several frames, or a binary one."""
        if (kind == WSMsgType.CONTINUATION) == (self._parts_kind is None):
            self._end("the venue mixed up the parts of a message")
            return
        if self._parts_kind is None:
            self._parts_kind = kind
        self._parts_bytes += frame.payload_size
        if self._parts_bytes > SOCKET_BYTES:
            self._end("the venue's message is endless")
            return
        if self._parts_bytes <= MESSAGE_BYTES:
            self._parts.append(frame.get_payload_as_bytes())
        if not frame.fin:
            return
        usable = self._parts_kind == WSMsgType.TEXT and self._parts_bytes <= MESSAGE_BYTES
        whole = b"".join(self._parts)
        self._parts, self._parts_bytes, self._parts_kind = [], 0, None
        if usable:
            self._tell_text(whole)
        else:
            self._tell_skipped()

    def _end(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._tell_ended(reason)


def _sent(transport: WSTransport) -> WSCloseCode:
    """With what we said goodbye first, if we did: picows does, to what is no web socket, and to silence."""
    said = transport.close_handshake
    return said.sent.code if said is not None and said.sent is not None else WSCloseCode.NO_INFO


def _closed(code: int) -> str:
    return f"closed by the venue ({code})"
