"""An audit looks into recordings that evreel did not make, and into their labels."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

from evreel import steps
from evreel.checks.run import audit, check
from evreel.errors import UsageError
from evreel.events import Sensor
from evreel.recordings import read_events
from support import ROOT, shared_file
from support.checks import write_boxes


def test_audit__compares_boxes_with_the_recording_of_their_name(made, tmp_path):
    shutil.copyfile(made / "raw" / "one.aedat4", tmp_path / "one_td.aedat4")
    boxes, times = tmp_path / "one_bbox.npy", np.array([20_000, 50_000, 110_000])

    def found_with(t, **columns_):
        write_boxes(boxes, t, **columns_)
        return [finding.check for finding in audit(tmp_path).findings]

    assert not found_with(times)
    on_camera = times + 1_700_000_000_000_000
    assert not found_with(on_camera), "the camera's clock is one that boxes may have"
    expected = ["box_outside", "label_span"]
    assert found_with([20_000, 30_000, 40_000], x=[0, 60, 0]) == expected
    assert "beyond" in found_with([20_000, 30_000, 400_000], x=[0, 60, 0])


def test_audit__of_a_damaged_recording_is_a_finding(made, tmp_path):
    whole = (made / "raw" / "one.aedat4").read_bytes()
    path = tmp_path / "one.aedat4"
    for length in (0, 5, 11, 300, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:length])
        if length == 5:
            with pytest.raises(UsageError):
                audit(path)
            continue
        assert [finding.check for finding in audit(path).findings] == ["readable"], length


def test_audit__of_real_recordings_finds_nothing():
    folder = shared_file("recordings")
    for name in ("aestream_davis.aedat4", "aermanager_class1_test.aedat4"):
        assert not audit(folder / name).findings


def of_clocks(report):
    """Return the findings about clocks and their unit."""
    return [f for f in report.findings if f.check in ("clock_jump", "time_unit", "quantum")]


def test_audit__suspects_no_clock_of_a_real_or_simulated_recording(made):
    assert not of_clocks(audit(ROOT / "demo" / "recordings"))
    assert not of_clocks(audit(made))
    folder = shared_file("recordings")
    for path in sorted(folder.glob("*.*")):
        if path.suffix not in (".tsv", ".csv"):
            sensor = {".bin": Sensor(34, 34), ".dat": Sensor(100, 120)}.get(path.suffix)
            assert not of_clocks(audit(path, sensor=sensor)), path


@pytest.mark.parametrize(
    ("unit_us", "said"),
    [(1_000, "are they ms"), (33_333, "numbers of frames"), (1 / 1_000, "a grid of 1000 µs.*ns")],
)
def test_audit__suspects_another_unit_of_time(made, tmp_path, unit_us, said):
    events = read_events(made / "raw" / "one.aedat4")
    t = (events.t / unit_us).astype(np.int64)
    path = tmp_path / "r.npz"
    np.savez(path, t=t, x=events.x, y=events.y, p=events.p)
    problems = [f.problem for f in of_clocks(audit(path, sensor=events.sensor))]
    assert any(re.search(said, problem) for problem in problems), problems
    steps.events(path, tmp_path / "s.h5", sensor="{1}x{0}".format(*events.sensor))
    assert problems == [f.problem for f in of_clocks(check(tmp_path / "s.h5"))]


def test_audit__shows_jumps_of_the_clock_and_strange_codings(tmp_path):
    path, k = tmp_path / "r.npz", np.arange(5_000)
    columns = {"t": np.append(k[:50] + 2 * 10**9, k[50:] * 100), "x": k % 48, "y": k % 40}
    np.savez(path, **columns, p=k % 2)
    [finding] = audit(path, sensor=Sensor(40, 48)).findings
    assert (finding.check, finding.severity) == ("clock_jump", "error")
    assert "number 50 from here, is 1999.995049 s before t=2000000049" in finding.problem
    np.savez(path, **columns | {"t": k * 100}, p=k % 4)
    [finding] = audit(path, sensor=Sensor(40, 48)).findings
    assert finding.check == "readable"
    assert "of 5,000 events, 1,250 have 2, 1,250 have 3" in finding.problem
