"""Whose an order is, when the venue only tells its number."""

from typing import Final

KEPT: Final = 2_000


class OrderIds:
    """The client id of each order number that was seen, and which of them a conditional order of ours has made."""

    def __init__(self) -> None:
        self._client_ids: dict[str, str] = {}
        self._children: dict[str, str] = {}

    def learn(self, order_id: str, client_id: str) -> None:
        """A plain order's own client id."""
        _keep(self._client_ids, order_id, client_id)

    def learn_child(self, order_id: str, client_id: str) -> None:
        """The order of this number was made by the conditional order of this client id."""
        _keep(self._children, order_id, client_id)

    def parent(self, order_id: str) -> str | None:
        """The client id of the conditional order that made it."""
        return self._children.get(order_id)

    def client_id(self, order_id: str) -> str | None:
        """Under which of our ids its fills count; None: not known."""
        return self._children.get(order_id) or self._client_ids.get(order_id)


def _keep(held: dict[str, str], key: str, value: str) -> None:
    held.pop(key, None)
    held[key] = value
    if len(held) > KEPT:
        del held[next(iter(held))]
