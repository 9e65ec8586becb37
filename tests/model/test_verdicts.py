"""What a decision was made of comes back from the journal as it went in."""

import msgspec

from nexus_engine.model.verdicts import Reading


def test_a_reading_of_a_count_is_the_same_before_and_after_the_journal() -> None:
    reading = Reading("losses in row", 0, 5)
    back = msgspec.json.decode(msgspec.json.encode(reading), type=Reading)
    assert msgspec.msgpack.encode(back) == msgspec.msgpack.encode(reading)
