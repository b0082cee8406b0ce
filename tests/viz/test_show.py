"""A slider through slices: in a notebook's widget and in a window, without either on a screen."""

from __future__ import annotations

import sys
from functools import partial
from types import SimpleNamespace

import matplotlib.pyplot
import numpy as np
import pytest
from matplotlib.backend_bases import KeyEvent

import evreel
from evreel.errors import UsageError
from evreel.files.slices import SlicesFile
from evreel.video.labelled import Showing
from evreel.video.png import png_bytes
from evreel.viz import show as viz
from evreel.viz.moments import Moments
from support.labelled import labelled

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    return labelled(tmp_path_factory.mktemp("labelled")).slices


def picture(slices, k):
    with SlicesFile(slices) as file:
        return Moments(file, Showing()).slice(k)


def test_notebook__shows_the_slice_that_its_slider_is_at(slices):
    box = evreel.show(slices, kind="notebook", start=1)
    slider, image = box.children
    assert (slider.min, slider.max, slider.value) == (0, 4, 1)
    assert image.value == png_bytes(picture(slices, 1))
    slider.value = 3
    assert image.value == png_bytes(picture(slices, 3))


def test_auto__takes_the_notebook_where_there_is_one(slices, monkeypatch):
    assert not viz.in_notebook()
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert evreel.show(slices).children[0].value == 0


def test_window__shows_the_slice_that_its_slider_and_keys_are_at(slices):
    with SlicesFile(slices) as file:
        figure, slider = viz.window(Moments(file, Showing()), len(file), 2, title="some.h5")
        [shown] = figure.axes[0].get_images()
        assert np.array_equal(shown.get_array(), picture(slices, 2))
        slider.set_val(4)
        assert np.array_equal(shown.get_array(), picture(slices, 4))
        pressed = partial(KeyEvent, "key_press_event", figure.canvas)
        for key, k in (("right", 4), ("left", 3), ("pageup", 0), ("left", 0), ("x", 0)):
            figure.canvas.callbacks.process("key_press_event", pressed(key))
            assert slider.val == k
        assert np.array_equal(shown.get_array(), picture(slices, 0))
    matplotlib.pyplot.close(figure)


def test_window__is_shown_until_it_is_closed(slices, monkeypatch):
    shown = []
    monkeypatch.setattr(viz, "check_window", lambda: None)
    monkeypatch.setattr(matplotlib.pyplot, "show", lambda: shown.append(matplotlib.pyplot.gcf()))
    with SlicesFile(slices) as file:
        assert evreel.show(file, kind="window", theme="light", magnify=3) is None
        assert file.is_open
    assert evreel.show(slices, kind="window") is None
    for figure in shown:
        picture_area = figure.get_size_inches() * figure.get_dpi() * (1.0, 0.9)
        height, width, _ = figure.axes[0].get_images()[0].get_array().shape
        assert np.allclose(picture_area, (width, height))
        matplotlib.pyplot.close(figure)
    assert len(shown) == 2


def test_window__without_a_screen_is_an_error_that_names_other_ways(slices):
    with pytest.raises(UsageError, match=r"(?i)backend is agg.*--save PNG.*notebook"):
        evreel.show(slices, kind="window")


@pytest.mark.parametrize(("kind", "module"), [("notebook", "ipywidgets"), ("window", "matplotlib")])
def test_show__names_the_extra_that_installs_what_is_missing(slices, monkeypatch, kind, module):
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"needs {module}.*pip install -e \"\.\[show\]\""):
        evreel.show(slices, kind=kind)


def test_show__of_no_slice_or_an_unknown_kind_is_an_error(slices):
    with pytest.raises(UsageError, match="slice 5 is not in 0 to 4"):
        evreel.show(slices, start=5, kind="notebook")
    with pytest.raises(UsageError, match="not auto, notebook or window"):
        evreel.show(slices, kind="browser")


def test_pictures__are_stepped_through_in_a_notebook_or_a_window(monkeypatch):
    pictures = [np.full((4, 6, 3), k, np.uint8) for k in range(3)]
    with pytest.raises(UsageError, match=r"no window can be opened here.* Save them\."):
        viz.show_pictures(pictures, "Save them.")
    monkeypatch.setattr(viz, "in_notebook", lambda: True)
    slider, image = viz.show_pictures(pictures, "Save them.").children
    slider.value = 2
    assert (slider.max, slider.description) == (2, "frame")
    assert image.value == png_bytes(pictures[2])
    monkeypatch.setattr(viz, "in_notebook", lambda: False)
    monkeypatch.setattr(viz, "check_window", lambda instead: None)
    monkeypatch.setattr(matplotlib.pyplot, "show", lambda: None)
    assert viz.show_pictures(pictures, "Save them.") is None
    [shown] = matplotlib.pyplot.gcf().axes[0].get_images()
    assert np.array_equal(shown.get_array(), pictures[0])
    matplotlib.pyplot.close("all")
