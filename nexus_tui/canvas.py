"""What of the terminal is not as it should be. Pure: regions in, the ones to paint next out."""

from collections.abc import Collection, Iterable, Mapping

from textual.geometry import Region, Size


class Canvas:
    """Regions that wait to be painted, oldest first, whichever screen they came from."""

    def __init__(self) -> None:
        self._waiting: dict[Region, None] = {}
        self._covered: dict[int, set[Region]] = {}
        self._size = Size(0, 0)
        self._whole = True

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def lost(self) -> None:
        """Nobody knows what the terminal shows: all of it waits."""
        self._whole = True

    def add(self, regions: Iterable[Region]) -> None:
        self._waiting.update(dict.fromkeys(regions))

    def stand(self, whole: Region, boxes: Mapping[int, set[Region]]) -> None:
        """The screen is `whole`, with these dialogs on it. Where one went, moved or shrank, what is below waits."""
        for key in {*self._covered, *boxes}:
            before, now = self._covered.get(key, set()), boxes.get(key, set())
            if before != now:
                self.add(before | now)
        self._covered = {key: set(regions) for key, regions in boxes.items()}
        if self._whole or whole.size != self._size:
            self._whole, self._size = False, whole.size
            self._waiting = {Region(0, y, whole.width, 1): None for y in range(whole.height)}

    def awaits(self, region: Region) -> bool:
        """Some of `region` has not been painted."""
        return self._whole or any(each.overlaps(region) for each in self._waiting)

    def share(self, cells: int, first: Collection[Region], late: Iterable[Region]) -> list[Region]:
        """Take out about `cells` of what waits, at least one region: `first` first, `late` last."""
        late = list(late)

        def turn(region: Region) -> int:
            if any(each.overlaps(region) for each in first):
                return 0
            return 2 if any(each.contains_region(region) for each in late) else 1

        taken: list[Region] = []
        for region in sorted(self._waiting, key=turn) if self._more_than(cells) else list(self._waiting):
            if taken and cells < region.area:
                break
            cells -= region.area
            taken.append(region)
            del self._waiting[region]
        return taken

    def _more_than(self, cells: int) -> bool:
        return sum(each.area for each in self._waiting) > cells
