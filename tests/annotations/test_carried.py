"""What is said of an object holds until a shape says otherwise; what is not allowed is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evreel.annotations.carried import carried_on, problem_of
from evreel.annotations.cvat import read_cvat
from evreel.annotations.shapes import Annotations, Attribute, Track
from support.annotations import box
from support.cvat import Recording

SPECS = {
    "car": (
        Attribute("hue", "select", ("red", "blue"), "red", mutable=False),
        Attribute("speed", "number", ("0", "99", "1"), "0"),
        Attribute("parked", "checkbox", (), "false"),
        Attribute("note"),
    )
}
HEAD = (
    "<meta><task><id>1</id><start_frame>0</start_frame><stop_frame>19</stop_frame><labels><label>"
    "<name>car</name><attributes>"
    + "".join(
        f"<attribute><name>{a.name}</name><mutable>{a.mutable}</mutable><input_type>{a.kind}"
        f"</input_type><default_value>{a.default}</default_value>"
        f"<values>{chr(10).join(a.values)}</values></attribute>"
        for a in SPECS["car"]
    )
    + "</attributes></label></labels></task></meta>"
)


def track(*said):
    """Return XML of a track with a shape per frame, of which this is said."""
    shapes = "".join(
        f'<box frame="{k}" outside="0" xtl="1" ytl="1" xbr="9" ybr="9">'
        + "".join(f'<attribute name="{name}">{value}</attribute>' for name, value in one.items())
        + "</box>"
        for k, one in enumerate(said)
    )
    return f'<track id="3" label="car">{shapes}</track>'


def written(tmp_path, body, head=HEAD):
    path = tmp_path / "a.xml"
    path.write_text(f"<annotations><version>1.1</version>{head}\n{body}</annotations>")
    return path


def values(annotations):
    return [dict(shape.attributes) for shape in annotations.tracks[0].shapes]


def test_reader__knows_what_annotators_could_say(tmp_path):
    got = read_cvat(written(tmp_path, track({"hue": "red"})))
    assert got.attributes == SPECS
    assert got.doubts == ()


def test_values__hold_until_a_shape_says_otherwise(tmp_path):
    said = [{"hue": "blue", "speed": "1"}, {}, {"speed": "2"}, {"note": "x", "speed": "3"}, {}]
    read = read_cvat(written(tmp_path, track(*said)))
    assert values(read) == said, "as listed"
    wanted = [
        {"hue": "blue", "speed": "1"},
        {"hue": "blue", "speed": "1"},
        {"hue": "blue", "speed": "2"},
        {"hue": "blue", "speed": "3", "note": "x"},
        {"hue": "blue", "speed": "3", "note": "x"},
    ]
    assert values(carried_on(read)) == wanted
    tuples = replace(read, tracks=tuple(replace(t, shapes=tuple(t.shapes)) for t in read.tracks))
    assert values(carried_on(tuples)) == wanted
    assert carried_on(tuples).doubts == ()


def test_immutable_value__is_the_first_and_in_doubt_if_it_changes(tmp_path):
    read = read_cvat(written(tmp_path, track({"hue": "blue"}, {"hue": "red"}, {"hue": "blue"})))
    got = carried_on(read)
    assert values(got) == [{"hue": "blue"}] * 3
    assert got.doubts == (
        "a.xml: attributes are not as their labels say: 'hue' of 'car' changes from 'blue' to "
        "'red' within a track, though it is immutable, so the first value counts",
    )


def test_annotations__that_say_all_are_not_copied():
    tracks = tuple(Track(k, "car", (box(0), box(1, attributes={"a": "1"}))) for k in range(2))
    scene = Annotations(("car",), tracks)
    assert carried_on(scene) is scene


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("hue", "green", "which is not one of red, blue"),
        ("speed", "fast", "which is not a number"),
        ("speed", "100", "which is not within 0 and 99"),
        ("speed", "nan", "which is not a number"),
        ("parked", "maybe", "which is neither true nor false"),
        ("colour", "red", "which the label does not have"),
        ("parked", "True", None),
        ("speed", "-0", None),
        ("note", "anything", None),
    ],
)
@pytest.mark.parametrize("form", ["track", "tag"])
def test_value__that_its_label_does_not_allow_is_a_doubt(tmp_path, form, name, value, problem):
    body = track({name: value}, {name: value})
    if form == "tag":
        said = f'<attribute name="{name}">{value}</attribute>'
        body = f'<image id="0"><tag label="car">{said}</tag></image>'
    got = read_cvat(written(tmp_path, body))
    doubt = (
        f"a.xml: attributes are not as their labels say: {name!r} of 'car' is {value!r}, {problem}"
    )
    assert got.doubts == (() if problem is None else (doubt,))


def test_doubts__about_values_reach_the_slices(tmp_path):
    body = track(*({"hue": f"h{k}"} for k in range(5)))
    made = Recording(tmp_path).annotate(rois=written(tmp_path, body))
    assert any("'hue' of 'car' is 'h0', which is not one of red, blue" in d for d in made.doubts)
    assert any("; 2 more" in doubt for doubt in made.doubts), "five values, three are named"


def test_problem__of_a_number_without_limits_is_only_that_it_is_none():
    assert problem_of(Attribute("n", "number", ("2.4 1 -5.6",)), "7") is None
    assert problem_of(Attribute("n", "number", ("9", "0", "1")), "7") is not None
