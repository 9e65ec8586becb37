"""What a reply says about an order: done, refused, or nobody knows (the venue's error code page)."""

import pytest

from nexus_engine.model.words import Outcome
from nexus_engine.uplink.binance.outcomes import RestError, classify

REFUSED, UNKNOWN = Outcome.REFUSED, Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("status", "code", "text", "outcome"),
    [
        (503, 0, "Unknown error, please check your request or try again later.", UNKNOWN),
        (503, -1000, "Unknown error, please check your request or try again later.", UNKNOWN),
        (503, 0, "Service Unavailable.", REFUSED),
        (503, -1001, "Internal error; unable to process your request. Please try again.", REFUSED),
        (503, -1008, "Request throttled by system-level protection.", REFUSED),
        (429, -1008, "Server is currently overloaded with other requests.", REFUSED),
        (503, 0, "<html>Service Unavailable</html>", UNKNOWN),
        (400, -1000, "An unknown error occurred while processing the request.", UNKNOWN),
        (400, -1006, "An unexpected response was received from the message bus.", UNKNOWN),
        (408, -1007, "Timeout waiting for response from backend server.", UNKNOWN),
        (400, -1007, "Timeout waiting for response from backend server.", UNKNOWN),
        (408, 0, "", UNKNOWN),
        (500, 0, "", UNKNOWN),
        (502, 0, "<html><head><title>502 Bad Gateway</title></head></html>", UNKNOWN),
        (504, 0, "<html>gateway timeout</html>", UNKNOWN),
        (302, 0, "", UNKNOWN),
        (429, -1003, "Too many requests.", REFUSED),
        (418, -1003, "Way too many requests; IP banned.", REFUSED),
        (503, -1016, "This service is no longer available.", REFUSED),
        (500, -1003, "Too many requests.", REFUSED),
        (500, -1001, "Internal error.", UNKNOWN),
        (403, 0, "<html>WAF</html>", REFUSED),
        (400, -1015, "Too many new orders.", REFUSED),
        (400, -1021, "Timestamp for this request is outside of the recvWindow.", REFUSED),
        (400, -2019, "Margin is insufficient.", REFUSED),
        (400, -2021, "Order would immediately trigger.", REFUSED),
        (400, -2022, "ReduceOnly Order is rejected.", REFUSED),
        (401, -2015, "Invalid API-key, IP, or permissions for action.", REFUSED),
    ],
)
def test_a_reply_is_classified_by_status_code_and_text(status: int, code: int, text: str, outcome: Outcome) -> None:
    assert classify(status, code, text) is outcome


def test_an_error_names_the_code_where_the_venue_gave_one() -> None:
    assert (
        str(RestError(REFUSED, status=400, code=-2019, text="Margin is insufficient."))
        == "Margin is insufficient. (-2019)"
    )
    assert str(RestError(UNKNOWN, text="no answer within 5 s")) == "no answer within 5 s"
