"""Holds the panes and puts each where the plan of this size has it."""

from typing import Any, Final

from textual.geometry import NULL_OFFSET, NULL_SPACING, Region, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.widget import Widget

from nexus_tui.layout import plan

_NOWHERE = Region(0, 0, 0, 0)


class _Planned(Layout):
    name = "planned"

    def arrange(self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True) -> ArrangeResult:
        parent.pre_layout(self)
        places = plan(size.width, size.height, *(parent.shown if isinstance(parent, Body) else ()))
        # A child without a place keeps none: its size is 0x0, so it builds nothing and paints nothing.
        return [
            WidgetPlacement(places.get(child.id or "", _NOWHERE), NULL_OFFSET, NULL_SPACING, child)
            for child in children
        ]


_PLANNED: Final = _Planned()


class Body(Widget):
    """`show_only(pane)` gives one pane the whole body; an empty name brings the others back. `turn_to` another page."""

    def __init__(self, *children: Widget, **names: Any) -> None:
        super().__init__(*children, **names)
        self.zoom = ""
        self.page = ""

    @property
    def shown(self) -> tuple[str, str]:
        """(zoomed pane, page)"""
        return self.zoom, self.page

    def turn_to(self, page: str) -> None:
        self.page = page
        self.show_only("")

    @property
    def layout(self) -> Layout:
        return _PLANNED

    def show_only(self, pane: str) -> None:
        self.zoom = pane
        # A widget that wants a new layout has its parent's arranged anew, not its own.
        for child in self.children[:1]:
            child.refresh(layout=True)
