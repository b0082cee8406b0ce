"""Scene files: the documented one is read, a fault is named."""

from __future__ import annotations

import math
import textwrap
import tomllib

import pytest

from evreel.annotations.shapes import Box
from evreel.errors import EvreelError
from evreel.events import Sensor
from evreel.simulate import scene
from evreel.simulate.scene import LOG_UNIT, SUBPIXEL, load_scene, parse_scene
from support import ROOT
from support.simulate import FULL_SCENE


def test_scene_file__of_the_documentation_is_valid(tmp_path):
    text = scene.__doc__.split(".. code-block:: toml\n\n")[1]
    path = tmp_path / "corner.toml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    read = load_scene(path)
    assert read.name == "corner"
    assert read.sensor == Sensor(64, 64)
    assert read.objects[0].annotate is Box
    assert read.objects[0].visible_us == ((0, 500_000), (600_000, 1_010_000))
    assert read.background.cell_shift == 14
    assert read.drift == (5 * SUBPIXEL, 0)
    assert read.camera.threshold_on == LOG_UNIT // 4
    assert read.tags == (scene.SceneTag("busy", 200_000, 400_000),)


def table_of(document, where):
    """Return the table that holds a key, such as object.0.label, and the key's own name."""
    *place, key = where.split(".")
    for name in place:
        document = document[int(name) if name.isdigit() else name]
    return document, key


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        ("speed", 3, r"speed=3: there is no such key\. The keys here are name, "),
        ("sensor.depth", 3, r"sensor: depth=3: there is no such key"),
        ("camera.treshold_on", 1, r"camera: treshold_on=1: there is no such key"),
        ("object.0.size", 1, r"object 1 \('car'\): size=1: there is no such key"),
        ("tag.0.colour", 1, r"tag 1 \('busy'\): colour=1: there is no such key"),
        ("object.1.contrast", 0.1, r"object 2 \('sign'\): contrast=0.1: there is no such"),
        ("name", "../up", r"name='../up' is not a name of letters"),
        ("duration_us", 0, r"duration_us=0 is not a whole number from 1"),
        ("duration_us", 1.5, r"duration_us=1.5 is not a whole number"),
        ("duration_us", 100_100, r"duration_us=100100 is not a multiple of step_us=500"),
        ("seed", True, r"seed=True is not a whole number"),
        ("step_us", 2000, r"step_us=2000 is not a whole number from 50 to 1000"),
        ("sensor", 5, r"sensor=5 is not a table \[sensor\]"),
        ("object", {}, r"object=\{\} is not tables \[\[object\]\]"),
        ("sensor.height", 4096, r"sensor: height=4096 is not a whole number from 1 to 2048"),
        ("camera.threshold_on", "0.2", r"threshold_on='0.2' is not a number from 0.02 to 2"),
        ("camera.threshold_on", math.nan, r"threshold_on=nan is not a number"),
        ("camera.threshold_spread", 0.05, r"threshold_spread=0.05 is not below a sixth"),
        ("camera.hot_pixels", 769, r"hot_pixels=769 is not a whole number from 0 to 768"),
        ("background.texture", "fur", r"texture='fur' is not one of plain, noise, stripes"),
        ("background.cell_px", 3, r"cell_px=3 is not one of 1, 2, 4, 8, 16, 32, 64"),
        ("background.drift_px_s", [1], r"drift_px_s=\[1\] is not two numbers"),
        ("object.0.contrast", 0.5, r"contrast=0.5 is not such that 0.9·\(1 \+ contrast\)"),
        ("object.0.intensity", 0, r"intensity=0 is not a number from 0.001 to 1"),
        ("object.0.label", " ", r"label=' ' is not a text"),
        ("object.0.box", [0.5, 4], r"box=\[0.5, 4\] is not two numbers from 1.0 to 16384"),
        ("object.0.polygon", [[0, 0]], r"box and polygon of box and polygon is given"),
        ("object.0.annotate", "oval", r"annotate='oval' is not one of box, polygon"),
        ("object.0.motion", [], r"motion=\[\] is not a list of keyframes"),
        ("object.0.motion", [[5, 0, 0], [5, 1, 1]], r"motion=\[5, 1, 1\] is not a keyframe"),
        ("object.0.motion", [[5.0, 0, 0]], r"motion=\[5.0, 0, 0\] is not a keyframe with t_us"),
        ("object.0.motion", [[0, 9e9, 0]], r"is not a keyframe \[t_us, x, y\] within ±16384"),
        ("object.1.polygon", [[0, 0], [4, 4], [4, 0], [0, 4]], r"sides that do not touch or cross"),
        ("object.1.polygon", [[0, 0], [4, 0], [2, 0]], r"an outline with an area"),
        ("object.1.polygon", [[0, 0], [4, 0]], r"is not a list of 3 to 256 vertices"),
        ("object.1.polygon", [[0, 0], [4], [1, 1]], r"polygon=\[4\] is not a vertex"),
        ("object.1.visible_us", [[0, 9], [8, 12]], r"visible_us=.* in order, disjoint"),
        ("object.1.visible_us", [[0, 100_001]], r"within 0 to 100000"),
        ("tag.0.stop_us", 20_000, r"stop_us=20000 is not a whole number from 20001"),
    ],
)
def test_scene_file__with_a_fault_is_refused_by_file_key_and_value(where, value, message):
    document = tomllib.loads(FULL_SCENE)
    table, key = table_of(document, where)
    table[key] = value
    with pytest.raises(EvreelError, match=message) as caught:
        parse_scene(document, "scenes/corner.toml")
    assert str(caught.value).startswith("corner.toml: ")


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("object.0.contrast", 0.3),
        ("object.0.annotate", "cuboid"),
        ("object.0.box", [0.5, 12.0]),
        ("object.0.z_order", -5_000),
        ("background.contrast", -0.1),
        ("background.cell_px", 5),
        ("camera.threshold_spread", 0.2),
        ("sensor.height", 9_999),
        ("step_us", 7_000),
    ],
)
def test_limits__on_the_page_of_scenes_are_those_of_the_messages(where, value):
    text = textwrap.dedent(scene.__doc__.split(".. code-block:: toml\n\n")[1])
    document = tomllib.loads(text)
    document["object"][0] |= {"texture": "noise", "contrast": 0.1}
    table, key = table_of(document, where)
    table[key] = value
    with pytest.raises(EvreelError) as caught:
        parse_scene(document)
    limit = str(caught.value).rpartition(" is not ")[2]
    page = (ROOT / "docs" / "scenes.md").read_text(encoding="utf-8")
    [stated] = [line for line in page.splitlines() if limit in line and f"{key}=" in line]
    assert stated.endswith(f" is not {limit}")


@pytest.mark.parametrize(
    "where",
    [
        *("name", "duration_us", "sensor", "background", "sensor.width"),
        *("object.0.motion", "object.0.label", "object.0.intensity", "tag.0.start_us"),
    ],
)
def test_scene_file__that_lacks_a_key_is_refused(where):
    document = tomllib.loads(FULL_SCENE)
    table, key = table_of(document, where)
    del table[key]
    with pytest.raises(EvreelError, match=f"{key} is missing; it is required"):
        parse_scene(document, "corner.toml")


def test_scene_file__that_is_not_toml_is_refused(tmp_path):
    path = tmp_path / "s.toml"
    with pytest.raises(EvreelError, match=r"s\.toml: cannot be read: No such file"):
        load_scene(path)
    path.write_text("name = ", encoding="utf-8")
    with pytest.raises(EvreelError, match=r"s\.toml: is not a TOML file"):
        load_scene(path)
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(EvreelError, match=r"s\.toml: is not a TOML file"):
        load_scene(path)
