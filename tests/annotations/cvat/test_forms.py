"""Every shape of CVAT, in both forms: read as it is drawn, and written as CVAT writes it."""

from __future__ import annotations

import numpy as np
import pytest

from evreel.annotations.cvat import read_cvat, write_images_xml, write_video_xml
from evreel.annotations.cvat.elements import GEOMETRIES
from evreel.annotations.shapes import (
    Annotations,
    Attribute,
    Box,
    Cuboid,
    Ellipse,
    Mask,
    Points,
    Polygon,
    Polyline,
    Skeleton,
    Track,
)
from evreel.dataset.settings import AnnotateSettings
from evreel.errors import AnnotationError

CUBOID = " ".join(
    f'{axis}{corner}{side}="{value + side}"'
    for side in (1, 2)
    for corner, (x, y) in {"tl": (0, 0), "bl": (0, 9), "tr": (5, 0), "br": (5, 9)}.items()
    for axis, value in (("x", x), ("y", y))
)
JOINTS = (
    '<points label="head" outside="0" occluded="1" points="3.00,4.00"/>'
    '<points label="tail" outside="1" occluded="0" points="5.00,6.00"/>'
)
# Element of an image, without its label → the class, its points, and what it adds.
DRAWN = {
    '<box xtl="1" ytl="2" xbr="3.5" ybr="4"/>': (Box, [[1, 2], [3.5, 4]], {"rotation": 0}),
    '<box xtl="1" ytl="2" xbr="3" ybr="4" rotation="30.50"/>': (
        *(Box, [[1, 2], [3, 4]], {"rotation": 30.5}),
    ),
    '<box xtl="1" ytl="2" xbr="3" ybr="4" rotation="-90"/>': (
        *(Box, [[1, 2], [3, 4]], {"rotation": -90}),
    ),
    '<ellipse cx="9" cy="8" rx="3" ry="2" rotation="400"/>': (
        *(Ellipse, [[9, 8], [3, 2]], {"rotation": 400}),
    ),
    '<polygon points="1,2;3,4;1,5"/>': (Polygon, [[1, 2], [3, 4], [1, 5]], {}),
    '<polyline points="1,2;3,4"/>': (Polyline, [[1, 2], [3, 4]], {}),
    '<points points="1,2;3,4"/>': (Points, [[1, 2], [3, 4]], {}),
    f"<cuboid {CUBOID}/>": (
        *(Cuboid, [[1, 1], [1, 10], [6, 1], [6, 10], [2, 2], [2, 11], [7, 2], [7, 11]], {}),
    ),
    '<mask rle="1, 2,1 ,2" left="4" top="5" width="3" height="2"/>': (
        *(Mask, [[4, 5], [7, 7]], {"runs": (1, 2, 1, 2)}),
    ),
    f'<skeleton points="" rotation="0.00">{JOINTS}</skeleton>': (
        Skeleton,
        [[3, 4], [5, 6]],
        {"joints": ("head", "tail"), "visible": (True, False), "hidden": (True, False)},
    ),
    '<skeleton points="3,4;5,6"/>': (
        *(Skeleton, [[3, 4], [5, 6]], {"joints": ("1", "2"), "visible": (True, True)}),
    ),
}


def written(tmp_path, body, meta=""):
    path = tmp_path / "hand.xml"
    path.write_text(f"<annotations><version>1.1</version>{meta}\n{body}</annotations>")
    return path


def image_of(element):
    """Return an image with one element of label car."""
    return (
        f'<image id="2">{_said(element, label="car", group_id=4, occluded=1, z_order=-1)}</image>'
    )


def track_of(element, *more):
    first = _said(element, frame=2, occluded=1, keyframe=1, z_order=-1)
    return f'<track id="7" label="car" group_id="4">{first}{"".join(more)}</track>'


def _said(element, **values):
    tag, _, rest = element[1:].partition(" ")
    return f"<{tag} " + " ".join(f'{name}="{value}"' for name, value in values.items()) + f" {rest}"


@pytest.mark.parametrize("element", DRAWN)
@pytest.mark.parametrize("form", [image_of, track_of])
def test_reader__takes_each_shape_as_it_is_drawn(tmp_path, element, form):
    kind, points, more = DRAWN[element]
    (track,) = read_cvat(written(tmp_path, form(element))).tracks
    (shape,) = track.shapes
    assert (type(shape), shape.points.tolist()) == (kind, points)
    assert {name: getattr(shape, name) for name in more} == more
    assert (shape.frame, shape.outside, shape.occluded, shape.keyframe) == (2, False, True, True)
    assert (shape.z_order, shape.group, track.label) == (-1, 4, "car")


def test_settings__know_every_shape():
    assert AnnotateSettings().shapes == tuple(geometry.shape.name for geometry in GEOMETRIES)


BAD = {
    '<ellipse cx="1" cy="2" rx="0" ry="2"/>': "ellipse rx=0.0 is not above 0",
    '<ellipse cx="1" cy="2" rx="nan" ry="2"/>': "rx has 'nan', which is not a number of pixels",
    '<box xtl="1" ytl="2" xbr="3" ybr="4" rotation="inf"/>': "rotation has 'inf'",
    '<box xtl="1_0" ytl="2" xbr="30" ybr="4"/>': "xtl has '1_0', which is not a number",
    '<polyline points="1,2"/>': "polyline has 1 point; at least 2",
    '<points points=""/>': "points has '' among its points; x,y is expected",
    '<cuboid xtl1="1"/>': "<cuboid> has no ytl1",
    '<mask rle="1,2" left="0" top="0" width="2" height="2"/>': (
        "rle has 3 pixels; width=2 times height=2 are 4"
    ),
    '<mask rle="1,-2,5" left="0" top="0" width="2" height="2"/>': "rle has '-2', which is not",
    '<mask rle="" left="0" top="0" width="2" height="2"/>': "rle has '', which is not a number",
    '<mask rle="4" left="0.5" top="0" width="2" height="2"/>': "left=0.5 is not a whole number",
    '<mask rle="4" left="0" top="0" width="0" height="2"/>': "width=0 is not at least 1",
    '<mask rle="999999999" left="0" top="0" width="999999999" height="999999999"/>': (
        "mask of 999999999x999999999 px is larger than any picture"
    ),
    '<skeleton points=""/>': "skeleton has 0 points; at least 1",
    '<skeleton ><points label="a" points="1,1"/><points label="a" points="1,1"/></skeleton>': (
        "the skeleton's point 'a' is listed twice"
    ),
    '<skeleton ><points label="a" points="1,1;2,2"/></skeleton>': "x,y is expected",
    '<skeleton ><box label="a" xtl="1"/></skeleton>': "<box> is not expected in <skeleton>",
}


@pytest.mark.parametrize("element", BAD)
@pytest.mark.parametrize("form", [image_of, track_of])
def test_reader__says_what_is_wrong_with_a_shape_or_drops_it_on_request(tmp_path, element, form):
    path = written(tmp_path, form(element))
    with pytest.raises(AnnotationError, match=r"line 2, .*frame 2.*annotate\.invalid: drop") as got:
        read_cvat(path)
    assert BAD[element] in str(got.value)
    dropped = read_cvat(path, invalid="drop")
    assert (len(dropped.tracks), dropped.repairs["dropped_shapes"]) == (0, 1)


# Skeletons

LABELS = """<meta><task><labels><label><name>dog</name><type>skeleton</type><attributes/></label>
<label><name>tail</name><type>points</type><parent>dog</parent><attributes><attribute>
<name>wags</name><mutable>True</mutable><input_type>checkbox</input_type><default_value>false
</default_value><values/></attribute></attributes></label>
<label><name>head</name><type>points</type><parent>dog</parent></label></labels></task></meta>"""


def joint(label, frame=None, **values):
    given = {"label": label, "outside": 0, "occluded": 0, "points": "1,2"} | values
    return "<points " + " ".join(f'{n}="{v}"' for n, v in given.items()) + "/>"


def test_skeleton__has_its_points_in_the_order_of_the_label_and_remembers_those_not_listed(
    tmp_path,
):
    body = (
        '<track id="0" label="dog">'
        f'<skeleton frame="1" keyframe="1">{joint("head", points="3,4")}{joint("tail")}</skeleton>'
        f'<skeleton frame="2" keyframe="0">{joint("head", points="5,6")}</skeleton>'
        f'<skeleton frame="3" keyframe="1">{joint("tail", outside=1)}{joint("head", outside=1)}'
        "</skeleton></track>"
    )
    got = read_cvat(written(tmp_path, body, LABELS))
    assert got.labels == ("dog",), "a point of a skeleton is no class of its own"
    assert got.attributes["dog"] == (Attribute("tail.wags", "checkbox", (), "false\n", True),)
    first, second, closing = got.tracks[0].shapes
    assert {shape.joints for shape in got.tracks[0].shapes} == {("tail", "head")}
    assert second.points.tolist() == [[1, 2], [5, 6]]
    assert (first.visible, second.visible) == ((True, True), (False, True))
    assert (first.outside, second.outside, closing.outside) == (False, False, True)


def test_skeleton__without_a_point_in_the_picture_is_not_there(tmp_path):
    gone = "".join(joint(name, outside=1) for name in ("head", "tail"))
    seen = f'<skeleton frame="1" outside="0">{joint("head")}</skeleton>'
    body = f'<track id="0" label="dog">{seen}<skeleton frame="2" outside="0">{gone}</skeleton>'
    got = read_cvat(written(tmp_path, f"{body}</track>"))
    assert [shape.outside for shape in got.tracks[0].shapes] == [False, True]
    got = read_cvat(
        written(tmp_path, f'<image id="2"><skeleton label="dog">{gone}</skeleton></image>')
    )
    assert (len(got.tracks), got.frames, got.repairs["unseen_skeletons"]) == (0, (2,), 1)


def test_skeleton__of_old_files_takes_visibility_from_nested_tracks(tmp_path):
    flat = "".join(f'<skeleton frame="{k}" points="1,2;3,4" z_order="2"/>' for k in (1, 3))
    nested = "".join(
        f'<track id="{k}" label="{name}">{"".join(shapes)}</track>'
        for k, (name, shapes) in enumerate(
            {
                "tail": ['<points frame="1" points="1,2"/>', '<points frame="3" points="1,2"/>'],
                "head": ['<points frame="2" points="3,4" outside="1"/>'],
            }.items()
        )
    )
    for body in (flat + nested, nested + flat):
        got = read_cvat(written(tmp_path, f'<track id="0" label="dog">{body}</track>'))
        visible = [(s.frame, s.joints, s.visible, s.z_order) for s in got.tracks[0].shapes]
        assert visible == [
            (1, ("tail", "head"), (True, False), 2),
            (3, ("tail", "head"), (True, False), 2),
        ]
    got = read_cvat(written(tmp_path, f'<track id="0" label="dog">{nested}</track>'))
    assert [s.frame for s in got.tracks[0].shapes] == [1, 2, 3], "without skeletons of its own"


# There and back


def random_shape(rng, kind, frame):
    """Return a shape of whole quarters of pixels, and all that is said of one."""

    def points(n):
        return rng.integers(-400, 4000, (n, 2)) / 4

    chosen = rng.random(2) < 0.5
    more = {
        "occluded": bool(chosen[0]),
        "keyframe": bool(chosen[1]),
        "z_order": int(rng.integers(-3, 3)),
        "attributes": {"a": str(rng.choice(["", "<&>", "ü"])), "b & <c>": "2"},
        "group": 5,
    }
    corner, extent = points(1)[0], rng.integers(1, 6, 2)
    if kind is Mask:
        corner = np.floor(corner)
        cuts = np.sort(rng.integers(0, extent.prod() + 1, 3))
        runs = tuple(np.diff([0, *cuts, extent.prod()]).tolist())
        return Mask(frame, np.stack([corner, corner + extent]), runs=runs, **more)
    if kind in (Box, Ellipse):
        other = extent if kind is Ellipse else corner + extent
        more["rotation"] = float(rng.choice([0.0, 12.5, -30.0, 725.25]))
        return kind(frame, np.stack([corner, other]).astype(float), **more)
    if kind is Skeleton:
        hidden = tuple(chosen.tolist())
        more["occluded"] = hidden[0]
        more["attributes"]["head.wags"] = "yes"
        of_joints = {"joints": ("tail", "head"), "visible": (True, False), "hidden": hidden}
        return kind(frame, points(2), **more, **of_joints)
    return kind(frame, points({Polygon: 5, Polyline: 3, Points: 2, Cuboid: 8}[kind]), **more)


KINDS = [geometry.shape for geometry in GEOMETRIES]


def random_scene(seed):
    rng = np.random.default_rng(seed)
    tracks = []
    for number, kind in enumerate(KINDS):
        frames = sorted(rng.choice(10, 3, replace=False).tolist())
        drawn = tuple(random_shape(rng, kind, frame) for frame in frames)
        tracks.append(Track(number, ("cat", "dög")[number % 2], drawn))
    return Annotations(("dög", "cat"), tuple(tracks), frames=range(10), picture_shape=(48, 64))


def said(shape, *, with_keyframe=True):
    return {
        name: getattr(shape, name).tolist() if name == "points" else getattr(shape, name)
        for name in type(shape).__dataclass_fields__
        if with_keyframe or name != "keyframe"
    }


@pytest.mark.parametrize("seed", range(8))
def test_every_shape__is_written_and_read_again_in_both_forms(tmp_path, seed):
    scene, path = random_scene(seed), tmp_path / "a.xml"
    about = {"name": "park", "n_frames": 10, "picture_shape": (48, 64)}
    write_video_xml(path, scene, **about)
    video = read_cvat(path)
    assert [track.id for track in video.tracks] == list(range(len(KINDS)))
    for was, is_now in zip(scene.tracks, video.tracks, strict=True):
        assert list(map(said, is_now.shapes)) == list(map(said, was.shapes))
    assert video.labels == scene.labels
    again = path.with_name("b.xml")
    write_video_xml(again, video, **about)
    assert again.read_bytes() == path.read_bytes()
    write_images_xml(path, scene, **about)
    images = read_cvat(path)
    for was in scene.tracks:
        for shape in was.shapes:
            wanted = (was.label, said(shape, with_keyframe=False))
            assert wanted in [
                (t.label, said(t.shapes[0], with_keyframe=False))
                for t in images.tracks
                if t.shapes[0].frame == shape.frame
            ]


def test_writer__lays_out_each_shape_as_cvat_does(tmp_path):
    square = np.array([[1.0, 2.0], [4.0, 4.0]])
    dog = Skeleton(
        *(1, square),
        attributes={"mood": "good", "head.wags": "no"},
        joints=("tail", "head"),
        visible=(True, False),
        hidden=(False, False),
    )
    scene = Annotations(
        ("car", "dog"),
        (
            Track(0, "car", (Box(0, square, rotation=30.0, group=2),)),
            Track(1, "car", (Mask(0, square, runs=(2, 4)),)),
            Track(2, "dog", (dog,)),
        ),
        frames=range(2),
        attributes={
            "car": (Attribute("hue", "select", ("red", "blue"), "red", mutable=False),),
            "dog": (Attribute("mood"), Attribute("head.wags", "checkbox", (), "false")),
        },
    )
    write_video_xml(tmp_path / "a.xml", scene, name="s", n_frames=2, picture_shape=(48, 64))
    text = (tmp_path / "a.xml").read_text()
    for lines in (
        '<track id="0" label="car" source="manual" group_id="2">\n    <box frame="0" outside="0" '
        'occluded="0" keyframe="1" xtl="1.00" ytl="2.00" xbr="4.00" ybr="4.00" rotation="30.00" '
        'z_order="0">\n',
        '<mask frame="0" outside="0" occluded="0" keyframe="1" rle="2, 4" left="1" top="2" '
        'width="3" height="2" z_order="0">\n',
        '    <skeleton frame="1" keyframe="1" z_order="0">\n'
        '      <attribute name="mood">good</attribute>\n'
        '      <points label="tail" keyframe="1" outside="0" occluded="0" points="1.00,2.00" '
        'z_order="0">\n      </points>\n'
        '      <points label="head" keyframe="1" outside="1" occluded="0" points="4.00,4.00" '
        'z_order="0">\n        <attribute name="wags">no</attribute>\n      </points>\n',
        "<mutable>False</mutable>\n              <input_type>select</input_type>\n"
        "              <default_value>red</default_value>\n"
        "              <values>red\nblue</values>",
        "<parent>dog</parent>",
    ):
        assert lines in text, lines
    assert read_cvat(tmp_path / "a.xml").attributes == scene.attributes
