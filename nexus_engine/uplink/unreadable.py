"""What decoding raises for text that is not the JSON that was expected."""

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Another shape or no JSON at all; not UTF-8; nested without end. All three come from a good socket's bad bytes."""
