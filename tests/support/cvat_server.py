"""A small server on loopback that answers as CVAT does; it is not CVAT.

What it takes is checked by cvat-sdk's own models, and what it answers is made by them. It decodes
the videos that it gets, keeps annotations as they were sent, and finds what is between key frames
when it exports. It knows no roles, queues, chunks or quality.
"""

from __future__ import annotations

import base64
import email
import email.policy
import http.server
import io
import json
import re
import sys
import threading
import time
import traceback
import urllib.parse
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from cvat_sdk.api_client import Configuration, models
from cvat_sdk.api_client.model_utils import to_json, validate_and_convert_types
from PIL import Image

from evreel.annotations.cvat import write_images_xml, write_video_xml
from evreel.annotations.shapes import (
    Annotations,
    Attribute,
    Box,
    Cuboid,
    Ellipse,
    FrameTag,
    Mask,
    Points,
    Polygon,
    Polyline,
    Shape,
    Skeleton,
    Track,
    interpolate,
)

TOKEN = "token-of-annie"
USER, PASSWORD = "annie", "password-of-annie"
_FORMS = ("CVAT for video 1.1", "CVAT for images 1.1")
_KINDS = {
    "rectangle": Box,
    "ellipse": Ellipse,
    "polygon": Polygon,
    "polyline": Polyline,
    "points": Points,
    "cuboid": Cuboid,
    "mask": Mask,
    "skeleton": Skeleton,
}


@dataclass
class ServedTask:
    """A task as the server has it; `annotations` as they were sent."""

    id: int
    name: str
    created: datetime
    updated: datetime
    labels: list[dict[str, Any]]
    segment_size: int = 0
    project: int | None = None
    file: str = ""
    content: bytes = b""
    options: dict[str, Any] = field(default_factory=dict)
    of_images: bool = False
    pictures: tuple[str, ...] = ()
    size: int = 0
    shape: tuple[int, int] = (0, 0)
    deleted: tuple[int, ...] = ()
    annotations: dict[str, Any] = field(
        default_factory=lambda: {"version": 0, "tags": [], "shapes": [], "tracks": []}
    )


Answer = tuple[int, dict[str, str], bytes]


class CvatServer(http.server.ThreadingHTTPServer):
    """Holds tasks by number. Each request takes the first fault that fits it.

    `faults` are (method, pattern of the path, answer): a status; ``"hang up"``; ``"silent"``;
    ``"cut"``, half of the true answer; ``"page"``, a web page; or a function that is called before
    the true answer. `seen` holds (method, path, headers, body) of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.tasks: dict[int, ServedTask] = {}
        self.projects: dict[int, list[dict[str, Any]]] = {}
        self.requests: dict[str, dict[str, Any]] = {}
        self.files: dict[str, bytes] = {}
        self.faults: list[tuple[str, str, int | str | Callable[[], None]]] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.stays: str | None = None  # the status that all work keeps
        self.owner = USER
        self.errors: list[str] = []
        self.done = threading.Event()
        self._number = 16

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what went wrong here; clients that hang up are no fault."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.errors.append("".join(traceback.format_exception(error)))

    def number(self) -> int:
        """Return a number that nothing else has."""
        self._number += 1
        return self._number

    def now(self) -> datetime:
        """Return a time that no one else was told."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.number())

    def asked(self, method: str, pattern: str) -> int:
        """Return how often something was asked."""
        return sum(m == method and bool(re.search(pattern, path)) for m, path, *_ in self.seen)

    def touch(self, task: int) -> None:
        """Let a task be changed now."""
        self.tasks[task].updated = self.now()

    def whole(self, labels: list[dict[str, Any]], points: bool = False) -> list[dict[str, Any]]:
        """Return labels as the server keeps them: with numbers."""
        return [
            {
                "id": self.number(),
                "name": label["name"],
                "color": label.get("color", "#000000"),
                "type": label.get("type", "any"),
                "has_parent": points,
                "attributes": [{"id": self.number(), **one} for one in label.get("attributes", [])],
                **(
                    {}
                    if points
                    else {"sublabels": self.whole(label.get("sublabels", []), points=True)}
                ),
            }
            for label in labels
        ]

    def work(self, kind: str, task: int, *, message: str = "", url: str | None = None) -> str:
        """Return the number of work that is done, or that `stays` says is not."""
        rq_id = f"action={kind}&target=task&id={task}&n={self.number()}"
        status = "failed" if message else self.stays or "finished"
        operation = models.RequestDataOperation(type=kind, target="task", task_id=task)
        self.requests[rq_id] = _plain(
            models.Request,
            status=models.RequestStatus(status),
            id=rq_id,
            operation=operation,
            created_date=self.now(),
            message=message,
            result_url=url,
        )
        return rq_id


def _plain(of: Any, **values: Any) -> Any:
    """Return what one of the SDK's models makes of values, as JSON."""
    return to_json(of._from_openapi_data(**values))


def _checked(of: Any, value: Any) -> dict[str, Any]:
    """Return a request's body, which one of the SDK's models takes."""
    found = validate_and_convert_types(value, (of,), ["body"], True, True, Configuration())
    whole: dict[str, Any] = to_json(found)
    return whole


class Handler(http.server.BaseHTTPRequestHandler):
    server: CvatServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement

    def log_message(self, *_: object) -> None:
        pass

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        for k, (method, pattern, fault) in enumerate(self.server.faults):
            if method == self.command and re.search(pattern, self.path):
                del self.server.faults[k]
                if self.fail(fault, body):
                    return
                break
        self.send(*self.route(body))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815 (their names)

    def fail(self, fault: int | str | Callable[[], None], body: bytes) -> bool:
        """Answer wrongly; return whether anything was answered."""
        if callable(fault):
            fault()
            return False
        self.close_connection = not isinstance(fault, int)
        if fault == "silent":
            self.server.done.wait(20)
        elif fault == "page":
            self.send(200, {"Content-Type": "text/html"}, b"<html>Please log in</html>")
        elif fault == "cut":
            status, headers, answer = self.route(body)
            self.send(status, {**headers, "Content-Length": str(len(answer))}, answer[:100])
        elif isinstance(fault, int):
            echo = self.headers.get("Authorization") or ""
            self.send(*_json({"detail": f"because of {echo}"}, fault))
        return True

    def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def route(self, body: bytes) -> Answer:
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        path = urllib.parse.unquote(parts.path).rstrip("/")
        if path == "/api/auth/login":
            return self.log_in(json.loads(body))
        is_session = "sessionid=ours" in (self.headers.get("Cookie") or "")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" and not is_session:
            return _json({"detail": "Authentication credentials were not provided."}, 401)
        if path == "/api/users/self":
            return _json(_plain(models.BasicUser, username=USER, id=1))
        if path in ("/api/tasks", "/api/labels", "/api/auth/logout"):
            return getattr(self, f"{self.command.lower()}_{path.rpartition('/')[2]}")(query, body)
        if match := re.fullmatch(r"/api/requests/(.*)", path):
            return _json(self.server.requests[match[1]])
        if match := re.fullmatch(r"/files/(.*)", path):
            return 200, {"Content-Type": "application/zip"}, self.server.files[match[1]]
        match = re.fullmatch(r"/api/tasks/(\d+)(/.*)?", path)
        task = self.server.tasks.get(int(match[1])) if match else None
        if match is None or task is None:
            return _json({"detail": "Not found."}, 404)
        name = f"{self.command.lower()}_task{(match[2] or '').replace('/', '_')}"
        return getattr(self, name)(task, query, body)

    def log_in(self, said: dict[str, str]) -> Answer:
        if (said["username"], said["password"]) != (USER, PASSWORD):
            return _json({"non_field_errors": ["Unable to log in."]}, 400)
        status, headers, body = _json({"key": "ours"})
        cookies = "csrftoken=ours; Path=/, sessionid=ours; Path=/"
        return status, {**headers, "Set-Cookie": cookies}, body

    def post_logout(self, query: Mapping[str, str], body: bytes) -> Answer:
        return _json({"detail": "Successfully logged out."})

    # -- tasks

    def get_tasks(self, query: Mapping[str, str], body: bytes) -> Answer:
        found = [
            self.read(task)
            for task in self.server.tasks.values()
            if query.get("name") in (None, task.name)
        ]
        return _json({"count": len(found), "next": None, "previous": None, "results": found})

    def post_tasks(self, query: Mapping[str, str], body: bytes) -> Answer:
        spec = _checked(models.TaskWriteRequest, json.loads(body))
        now = self.server.now()
        project = spec.get("project_id")
        if project is not None and spec.get("labels"):
            return _json({"labels": ["a project has its own"]}, 400)
        if project is None:
            labels = self.server.whole(spec.get("labels", []))
        elif project in self.server.projects:
            labels = self.server.projects[project]
        else:
            return _json({"project_id": [f"no project {project}"]}, 400)
        task = ServedTask(self.server.number(), spec["name"], now, now, labels)
        task.segment_size, task.project = spec.get("segment_size", 0), project
        self.server.tasks[task.id] = task
        return _json(self.read(task), 201)

    def read(self, task: ServedTask) -> Any:
        n_jobs = -(-task.size // (task.segment_size or max(task.size, 1)))
        return _plain(
            models.TaskRead,
            id=task.id,
            name=task.name,
            project_id=task.project,
            owner=models.CloudStorageReadOwner(username=self.server.owner),
            created_date=task.created,
            updated_date=task.updated,
            segment_size=task.segment_size or task.size,
            size=task.size,
            mode="annotation" if task.of_images else "interpolation",
            jobs=models.JobsSummary._from_openapi_data(completed=0, validation=0, count=n_jobs),
            labels=models.LabelsSummary(),
            target_storage=models.JobReadTargetStorage(),
            source_storage=models.JobReadTargetStorage(),
            organization=None,
        )

    def get_task(self, task: ServedTask, query: Mapping[str, str], body: bytes) -> Answer:
        return _json(self.read(task))

    def patch_task(self, task: ServedTask, query: Mapping[str, str], body: bytes) -> Answer:
        task.name = _checked(models.PatchedTaskWriteRequest, json.loads(body))["name"]
        self.server.touch(task.id)
        return _json(self.read(task))

    def delete_task(self, task: ServedTask, query: Mapping[str, str], body: bytes) -> Answer:
        del self.server.tasks[task.id]
        return 204, {}, b""

    def get_labels(self, query: Mapping[str, str], body: bytes) -> Answer:
        labels = self.server.tasks[int(query["task_id"])].labels
        for label in labels:
            _checked(models.Label, label)
        return _json({"count": len(labels), "next": None, "previous": None, "results": labels})

    # -- data

    def post_task_data(self, task: ServedTask, query: Mapping[str, str], body: bytes) -> Answer:
        if "Upload-Start" in self.headers:
            return _json({}, 202)
        if "Upload-Multiple" in self.headers:
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            parts = email.message_from_bytes(head + body, policy=email.policy.HTTP)
            for part in parts.iter_parts():
                if part.get_filename():
                    task.file = Path(part.get_filename()).name
                    task.content = part.get_payload(decode=True)
            return _json({})
        if "Upload-Length" in self.headers:
            said = dict(pair.split() for pair in self.headers["Upload-Metadata"].split(","))
            task.file, task.content = base64.b64decode(said["filename"]).decode(), b""
            location = f"{self.server.url}/api/tasks/{task.id}/data/file"
            return 201, {"Location": location, "Upload-Filename": task.file}, b""
        assert "Upload-Finish" in self.headers
        task.options = _checked(models.DataRequest, json.loads(body))
        try:
            self.decode(task)
        except Exception as error:
            rq_id = self.server.work("create", task.id, message=f"ValidationError: {error}")
            return _json(_plain(models.RqId, rq_id=rq_id), 202)
        self.server.touch(task.id)
        rq_id = self.server.work("create", task.id)
        return _json(_plain(models.RqId, rq_id=rq_id), 202)

    def patch_task_data_file(
        self, task: ServedTask, query: Mapping[str, str], body: bytes
    ) -> Answer:
        assert int(self.headers["Upload-Offset"]) == len(task.content)
        task.content += body
        return 204, {"Upload-Offset": str(len(task.content))}, b""

    @staticmethod
    def decode(task: ServedTask) -> None:
        if task.file.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(task.content)) as packed:
                task.pictures = tuple(sorted(packed.namelist()))
                sizes = {Image.open(packed.open(name)).size for name in task.pictures}
            ((width, height),) = sizes
            task.of_images, task.size, task.shape = True, len(task.pictures), (height, width)
            return
        with av.open(io.BytesIO(task.content)) as video:
            frames = list(video.decode(video=0))
        task.pictures, task.size = (task.file,), len(frames)
        task.shape = frames[0].height, frames[0].width

    def get_task_data_meta(self, task: ServedTask, query: Mapping[str, str], body: bytes) -> Answer:
        height, width = task.shape
        frames = [
            models.FrameMeta._from_openapi_data(
                name=name, related_files=0, width=width, height=height, has_related_context=False
            )
            for name in task.pictures
        ]
        meta = {
            "chunks_updated_date": task.created,
            "frames": frames,
            "deleted_frames": list(task.deleted),
            "chapters": None,
            "size": task.size,
            "image_quality": task.options.get("image_quality", 70),
            "start_frame": 0,
            "stop_frame": task.size - 1,
            "frame_filter": "",
        }
        return _json(_plain(models.DataMetaRead, **meta))

    # -- annotations

    def put_task_annotations(
        self, task: ServedTask, query: Mapping[str, str], body: bytes
    ) -> Answer:
        said = _checked(models.LabeledDataRequest, json.loads(body))
        for each in (*said["tags"], *said["shapes"], *said["tracks"]):
            if not 0 <= each["frame"] < task.size:
                return _json({"detail": f"frame {each['frame']}"}, 400)
        for track in said["tracks"]:
            frames = [shape["frame"] for shape in track["shapes"]]
            if frames != sorted(set(frames)) or frames[0] != track["frame"]:
                return _json({"detail": "frames of a track"}, 400)
            if any(shape["type"] == "mask" for shape in track["shapes"]):
                return _json({"detail": "a track of masks"}, 400)
        task.annotations = said
        self.server.touch(task.id)
        return _json(said)

    def post_task_dataset_export(
        self, task: ServedTask, query: Mapping[str, str], body: bytes
    ) -> Answer:
        assert query["format"] in _FORMS and query["location"] == "local"
        assert query["save_images"] in ("False", "false")
        number = str(self.server.number())
        self.server.files[number] = exported(task, query["format"], self.server.now())
        url = f"{self.server.url}/files/{number}"
        rq_id = self.server.work("export:dataset", task.id, url=url)
        return _json(_plain(models.RqId, rq_id=rq_id), 202)


def _json(value: Any, status: int = 200) -> Answer:
    text = json.dumps(value, default=lambda each: each.isoformat())
    return status, {"Content-Type": "application/vnd.cvat+json"}, text.encode()


# -- exports


def exported(task: ServedTask, form: str, now: datetime) -> bytes:
    """Return the zip of an export, which states its own time."""
    said = as_annotations(task)
    name = task.name
    more = {"name": name, "n_frames": task.size, "picture_shape": task.shape}
    with TemporaryDirectory() as folder:
        path = Path(folder, "annotations.xml")
        if form == _FORMS[0]:
            write_video_xml(path, said, **more)
        else:
            seen = tuple(frame for frame in range(task.size) if frame not in task.deleted)
            names = list(task.pictures) if task.of_images else None
            write_images_xml(path, replace(said, frames=seen), frame_names=names, **more)
        text = path.read_text(encoding="utf-8")
    head, end, rest = text.partition("</meta>")
    head = head.replace("<id>1</id>", f"<id>{task.id}</id>", 1)
    for tag, when in (("created", task.created), ("updated", task.updated), ("dumped", now)):
        head = re.sub(rf"<{tag}>.*</{tag}>", f"<{tag}>{when}</{tag}>", head)
    if task.of_images:
        head = head.replace("<mode>interpolation", "<mode>annotation")
        head = re.sub(r" *<original_size>.*</original_size>\n", "", head, flags=re.DOTALL)
        head = re.sub(r" *<source>.*</source>\n", "", head)
    else:
        head = re.sub(r"<source>.*</source>", f"<source>{task.file}</source>", head)
        size = f"<start_frame>0</start_frame>\n      <stop_frame>{task.size - 1}</stop_frame>"
        head = re.sub(r"<start_frame>.*</stop_frame>", size, head, flags=re.DOTALL)
        head = re.sub(r"<size>\d+</size>", f"<size>{task.size}</size>", head)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo("annotations.xml", time.gmtime(now.timestamp())[:6])
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, head + end + rest)
    return packed.getvalue()


def as_annotations(task: ServedTask) -> Annotations:
    """Return what a task holds, with what is between its key frames."""
    labels = {label["id"]: label for label in task.labels}
    tracks = [_track(k, track, labels, task) for k, track in enumerate(task.annotations["tracks"])]
    loose = [
        Track(-1, labels[shape["label_id"]]["name"], (_shape(shape, labels, {}),))
        for shape in task.annotations["shapes"]
        if shape["frame"] not in task.deleted
    ]
    tags = [
        FrameTag(tag["frame"], labels[tag["label_id"]]["name"], _values(tag, labels))
        for tag in task.annotations["tags"]
        if tag["frame"] not in task.deleted
    ]
    return Annotations(
        tuple(label["name"] for label in task.labels),
        (*tracks, *loose),
        tuple(tags),
        picture_shape=task.shape,
        attributes={label["name"]: _attributes(label) for label in task.labels},
    )


def _attributes(label: dict[str, Any], before: str = "") -> tuple[Attribute, ...]:
    own = [
        Attribute(
            before + one["name"],
            one["input_type"],
            tuple(one["values"]),
            one.get("default_value", ""),
            one["mutable"],
        )
        for one in label["attributes"]
    ]
    for point in label.get("sublabels", []):
        own += _attributes(point, f"{point['name']}.")
    return tuple(own)


def _values(said: dict[str, Any], labels: Mapping[int, dict[str, Any]]) -> dict[str, str]:
    """Return the attributes of a tag, a shape or a track, by name."""
    names = {one["id"]: one["name"] for one in labels[said["label_id"]]["attributes"]}
    return {names[each["spec_id"]]: each["value"] for each in said.get("attributes", [])}


def _track(
    number: int, said: dict[str, Any], labels: Mapping[int, dict[str, Any]], task: ServedTask
) -> Track:
    fixed = _values(said, labels)
    points = {point["id"]: point for point in labels[said["label_id"]].get("sublabels", [])}
    now: dict[str, str] = {}
    keys = []
    for shape in said["shapes"]:
        own = {**shape, "label_id": said["label_id"], "group": said["group"]}
        now = {**now, **_values(own, labels)}
        own["elements"] = [
            {
                **here,
                "label_id": element["label_id"],
                "attributes": [*element["attributes"], *here["attributes"]],
            }
            for element in said.get("elements", [])
            for here in element["shapes"]
            if here["frame"] == shape["frame"]
        ]
        keys.append(_shape({**own, "attributes": []}, {**labels, **points}, {**fixed, **now}))
    if not keys[-1].outside:
        keys.append(replace(keys[-1], frame=task.size))
    whole = interpolate(Track(number, labels[said["label_id"]]["name"], tuple(keys)))
    kept = [
        shape
        for shape in whole.shapes
        if shape.frame < task.size and (shape.outside or shape.frame not in task.deleted)
    ]
    return replace(whole, shapes=tuple(kept))


def _shape(
    said: dict[str, Any], labels: Mapping[int, dict[str, Any]], values: Mapping[str, str]
) -> Shape:
    kind = _KINDS[said["type"]]
    numbers = said["points"]
    more: dict[str, Any] = {}
    attributes = {**_values(said, labels), **values}
    if kind is Mask:
        *runs, left, top, right, bottom = numbers
        numbers = [left, top, right + 1, bottom + 1]
        more["runs"] = tuple(map(int, runs))
    elif kind is Ellipse:
        x, y, right, upper = numbers
        numbers = [x, y, right - x, y - upper]
    elif kind is Skeleton:
        numbers = [value for element in said["elements"] for value in element["points"]]
        known = {point["id"]: point for label in labels.values() for point in [label]}
        for label in labels.values():
            known |= {point["id"]: point for point in label.get("sublabels", [])}
        more["joints"] = tuple(known[element["label_id"]]["name"] for element in said["elements"])
        more["visible"] = tuple(not element["outside"] for element in said["elements"])
        more["hidden"] = tuple(element["occluded"] for element in said["elements"])
        for element, joint in zip(said["elements"], more["joints"], strict=True):
            found = _values(element, known)
            attributes |= {f"{joint}.{name}": value for name, value in found.items()}
    if kind in (Box, Ellipse):
        more["rotation"] = said["rotation"]
    return kind(
        said["frame"],
        np.array(numbers, dtype=float).reshape(-1, 2),
        outside=said["outside"],
        occluded=said["occluded"],
        z_order=said["z_order"],
        attributes=attributes,
        group=said["group"] or 0,
        **more,
    )
