"""Stepping through slices, or any pictures, with a slider: in a notebook, or in a window."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from evreel.errors import UsageError
from evreel.files.slices import SlicesFile
from evreel.video.labelled import Image, Showing
from evreel.video.png import png_bytes
from evreel.viz.moments import Moments, given_clock

EXTRA = 'Install it in a checkout of evreel: pip install -e ".[show]".'


def show(
    slices: str | Path | SlicesFile,
    *,
    start: int = 0,
    kind: Literal["auto", "notebook", "window"] = "auto",
    theme: Literal["dark", "light"] = "dark",
    magnify: int | None = None,
    font: str | Path | None = None,
    clock: str | Path | None = None,
) -> Any:
    """Step through annotated slices with a slider.

    Parameters
    ----------
    slices
        The slices file, of a workflow or of a release; or one that is open, and has to stay so
        while it is shown.
    start
        The slice that is shown first.
    kind
        ``notebook`` (ipywidgets) or ``window`` (matplotlib); ``auto`` takes the notebook where
        there is one.
    theme
        Background: ``dark`` or ``light``.
    magnify
        Picture pixels per sensor pixel; None chooses.
    font
        TrueType or OpenType file for names that the built-in font lacks letters of.
    clock
        The clock that the slices were made with; None looks for it.

    Returns
    -------
    The widget, which a notebook displays; or, when the window is closed, None.

    Raises
    ------
    UsageError
        If what it needs is not installed, no window can be opened here, there is no such slice, or
        the font is none.

    Examples
    --------
    ::

        evreel.show("results/slices/street.h5")
    """
    if kind not in ("auto", "notebook", "window"):
        raise UsageError(f"kind={kind!r} is not auto, notebook or window")
    if kind == "auto":
        kind = "notebook" if in_notebook() else "window"
    look = Showing(magnify, theme, None if font is None else str(font))
    if isinstance(slices, SlicesFile):
        return _shown(slices, start, kind, look, clock)
    file = SlicesFile(slices)
    try:
        widget = _shown(file, start, kind, look, clock)
    except BaseException:
        file.close()
        raise
    if widget is None:
        file.close()
    return widget


def show_pictures(pictures: Sequence[Image], instead: str) -> Any:
    """Step through pictures with a slider: in a notebook where there is one, else in a window.

    Parameters
    ----------
    pictures
        One or more, (H, W, 3) uint8 of one size.
    instead
        What to do where no window can be opened, as a sentence.

    Returns
    -------
    The widget, which a notebook displays; or, when the window is closed, None.

    Raises
    ------
    UsageError
        If what it needs is not installed, or no window can be opened here.
    """
    listed = _Listed(pictures)
    if in_notebook():
        return notebook(listed, len(pictures), what="frame")
    check_window(instead)
    # A slider works as long as somebody refers to it.
    _figure, _slider = window(listed, len(pictures), title="frames", what="frame")
    _needed("matplotlib.pyplot", "a window").show()
    return None


class Stepped(Protocol):
    """What a slider steps through: `Moments`, or anything else that has pictures."""

    def slice(self, k: int) -> Image:
        """Return picture k."""
        ...


class _Listed:
    """Pictures at hand."""

    def __init__(self, pictures: Sequence[Image]) -> None:
        self._pictures = pictures

    def slice(self, k: int) -> Image:
        return self._pictures[k]


def _shown(file: SlicesFile, start: int, kind: str, look: Showing, clock: str | Path | None) -> Any:
    moments = Moments(file, look, given_clock(file, clock))
    height, width, _ = moments.slice(start).shape  # also tells if there is none
    if kind == "notebook":
        return notebook(moments, len(file), start)
    check_window()
    # A slider works as long as somebody refers to it.
    figure, _slider = window(moments, len(file), start, title=file.path.name)
    dpi = figure.get_dpi()
    figure.set_size_inches(width / dpi, height / dpi / 0.9)
    _needed("matplotlib.pyplot", "a window").show()
    return None


def in_notebook() -> bool:
    """Tell whether this is a notebook's kernel."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def notebook(moments: Stepped, n: int, start: int = 0, what: str = "slice") -> Any:
    """Return a widget: a slider, and the picture of the slice that it is at."""
    widgets = _needed("ipywidgets", "a slider in a notebook")
    slider = widgets.IntSlider(
        value=start, min=0, max=n - 1, description=what, continuous_update=False
    )
    slider.layout.width = "100%"
    picture = widgets.Image(value=png_bytes(moments.slice(start)), format="png")

    def update(change: Any) -> None:
        picture.value = png_bytes(moments.slice(change["new"]))

    slider.observe(update, names="value")
    return widgets.VBox([slider, picture])


def window(
    moments: Stepped, n: int, start: int = 0, *, title: str = "", what: str = "slice"
) -> tuple[Any, Any]:
    """Return a matplotlib figure with a slider below the picture, and the slider."""
    pyplot = _needed("matplotlib.pyplot", "a window")
    widgets = _needed("matplotlib.widgets", "a window")
    figure = pyplot.figure()
    axes = figure.add_axes((0.0, 0.1, 1.0, 0.9))
    axes.set_axis_off()
    shown = axes.imshow(moments.slice(start), interpolation="nearest")
    if figure.canvas.manager is not None:
        figure.canvas.manager.set_window_title(title)
    slider = widgets.Slider(
        figure.add_axes((0.12, 0.02, 0.72, 0.05)),
        *(what, 0, max(n - 1, 1)),
        valinit=start,
        valstep=1,
        valfmt="%d",
    )

    def update(value: float) -> None:
        shown.set_data(moments.slice(min(int(value), n - 1)))
        figure.canvas.draw_idle()

    slider.on_changed(update)

    def on_key(event: Any) -> None:
        step = {"left": -1, "right": 1, "pageup": -10, "pagedown": 10}.get(event.key, 0)
        if step:
            slider.set_val(min(max(int(slider.val) + step, 0), n - 1))

    figure.canvas.mpl_connect("key_press_event", on_key)
    return figure, slider


def check_window(
    instead: str = "Write a picture with --save PNG, or call evreel.show in a notebook.",
) -> None:
    """Raise `UsageError` if no window can be opened here; `instead` is what it says to do."""
    matplotlib = _needed("matplotlib", "a window")
    backend = str(matplotlib.get_backend())
    if backend.lower() in ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template"):
        raise UsageError(
            f"no window can be opened here (matplotlib's backend is {backend})",
            hint=instead,
        )


def _needed(module: str, what: str) -> Any:
    """Import a module, or raise `UsageError` that says which extra installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.split(".")[0]
        raise UsageError(f"{what} needs {name}, which is not installed", hint=EXTRA) from error
