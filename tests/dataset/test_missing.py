"""Which recordings a release leaves out: those of which a job failed, while nothing changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from evreel.dataset.dataset import DataSet
from evreel.dataset.failures import reasons
from evreel.dataset.memory import Memory
from evreel.dataset.missing import Ran, keep_failures, left_out, tried_again, what_is_missing
from evreel.dataset.plan import release_plan
from evreel.dataset.settings import Config
from evreel.settings import all_contradictions, read
from support.dataset import CONFIG

FAILED = Path(".snakemake/evreel/failed.json")
RELEASE = {"name": "n", "version": "1", "licence": "CC0-1.0", "include": ["events"]}
ROWS = {"a": {"source": "raw/a.raw"}, "b": {"source": "raw/b.raw"}, "c": {"source": "raw/c.raw"}}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("raw").mkdir()
    for name in "abc":
        Path(f"raw/{name}.raw").write_text(name)


def of(rows=ROWS, incomplete="allow", **config):
    """Return a data set of rows, which its release may lack unless it says otherwise."""
    config = CONFIG | {"release": RELEASE | {"incomplete": incomplete}} | config
    rows = {id_: {"id": id_, "md5": "0" * 32, "split": "train"} | row for id_, row in rows.items()}
    return DataSet(read(Config, config), rows)


def jobs(undone=(), archive=None, names="abc"):
    """Return the jobs of a run: of each recording, then those of all; some are not done."""
    found: list[Ran] = []

    def add(output, is_of_some=True, needs=()):
        found.append(Ran((output,), is_of_some, output not in undone, ()))
        for k in needs:
            found[k] = found[k]._replace(followers=(*found[k].followers, len(found) - 1))
        return len(found) - 1

    first = [] if archive is None else [add(archive)]
    lasts = []
    for name in names:
        last = first
        for output in ("recordings/{}.raw", "events/{}.h5", "published/events/{}.json"):
            last = [add(f"results/{output.format(name)}", needs=last)]
        add(f"results/slices/{name}.qa.mp4", needs=last)
        lasts += last
    release = add("results/release/n-1.sha256", is_of_some=False, needs=lasts)
    add("results/samples.tsv", is_of_some=False, needs=lasts)
    for name in names:
        add(f"results/samples/{name}.h5", needs=[release + 1])
    return found


OF_B = ("results/events/b.h5", "results/published/events/b.json", "results/slices/b.qa.mp4")


def fail(dataset, undone=OF_B, failed=None, **options):
    failed = {undone[0]: "events: FormatError: b"} if failed is None else failed
    return keep_failures(dataset, FAILED, Memory(), jobs(undone, **options), failed)


def test_failed_recording__is_left_out_of_the_release_and_tried_again():
    dataset = of()
    assert fail(dataset) == {"b": "events: FormatError: b"}
    out = left_out(dataset, FAILED, Memory())
    assert out == {"b": "events: FormatError: b"}
    rest = dataset.without(out)
    assert {row["id"] for row in release_plan(rest)} == {"a", "c"}
    assert rest.missing == {"b": {"split": "train", "reason": "events: FormatError: b"}}
    assert [*rest.description(str)["recordings"]] == ["a", "c"]
    assert tried_again(dataset, out) == ["results/published/events/b.json"]
    assert dataset.without({}) is dataset
    assert "missing" not in dataset.description(str)


def test_reason__names_files_and_not_their_folders():
    said = {OF_B[0]: "events: FormatError: raw/b.raw: bad; results/events/b.h5 is not written"}
    assert fail(of(), failed=said) == {
        "b": "events: FormatError: b.raw: bad; events/b.h5 is not written"
    }


def test_failed_recording__is_waited_for_unless_it_may_be_missing():
    fail(of())
    assert left_out(of(incomplete="refuse"), FAILED, Memory()) == {}


@pytest.mark.parametrize(
    "mended",
    [
        lambda: Path("raw/b.raw").write_text("B"),
        lambda: Path("raw/b.raw").unlink(),
        lambda: of(ROWS | {"b": {"source": "raw/b.raw", "format": "evt3"}}),
        lambda: of(events={"start_us": 5}),
        lambda: of({"a": ROWS["a"]}),
        lambda: of(results="elsewhere"),
        lambda: FAILED.write_text('{"version": 1, "failed": {"results": {"b": 3}}}'),
        lambda: FAILED.write_text("{"),
    ],
)
def test_failed_recording__is_waited_for_once_anything_that_it_is_made_of_changes(mended):
    fail(of())
    changed = mended()
    dataset = changed if hasattr(changed, "recordings") else of()
    assert left_out(dataset, FAILED, Memory()) == {}


def test_failed_recording__stays_out_when_only_the_release_or_another_recording_changes():
    fail(of())
    Path("raw/a.raw").write_text("A")
    dataset = of(release=RELEASE | {"incomplete": "allow", "version": "2"}, dataset={"title": "T"})
    assert [*left_out(dataset, FAILED, Memory())] == ["b"]


def test_failed_archive__leaves_out_all_its_recordings():
    undone = ("results/archives/x.zip", *(f"results/published/events/{id_}.json" for id_ in "ab"))
    found = fail(of(), undone, archive="results/archives/x.zip", names="ab")
    assert [*found] == ["a", "b"]


def test_failures__that_the_release_does_not_need_or_that_are_of_all_leave_out_nothing():
    assert fail(of(), ("results/slices/b.qa.mp4",)) == {}
    assert fail(of(), ("results/release/n-1.sha256",)) == {}
    assert fail(of(), ("results/samples.tsv", "results/samples/a.h5")) == {}
    assert not FAILED.exists()


def test_everything_failed__leaves_out_nothing_and_says_so():
    undone = ("results/archives/x", *(f"results/published/events/{id_}.json" for id_ in "abc"))
    found = fail(of(), undone, archive="results/archives/x")
    assert [*found] == ["a", "b", "c"]
    assert left_out(of(), FAILED, Memory()) == {}
    assert what_is_missing(of(), [], found, done=False) == (
        "There is no new release: it would lack 3 of 3 recordings: 'a', 'b', 'c'. Nothing would "
        "remain."
    )


def test_recording__that_a_later_run_makes_is_in_the_next_release():
    dataset = of()
    fail(dataset)
    # A run of the release alone does not try.
    assert [*keep_failures(dataset, FAILED, Memory(), jobs(names="ac"), {})] == ["b"]
    # An interrupted one did not come to it.
    assert [*fail(dataset, OF_B, failed={})] == ["b"]
    assert fail(dataset, OF_B[:2], failed={OF_B[0]: "events: MemoryError"}) == {
        "b": "events: MemoryError"
    }
    assert keep_failures(dataset, FAILED, Memory(), jobs(), {}) == {}
    assert not FAILED.exists()
    assert what_is_missing(dataset, ["b"], [], done=True) == (
        "The release lacks 1 of 3 recordings: 'b'. Run the same command again, and the release has "
        "what is made now: 1 of 3 recordings: 'b'."
    )


def test_failed_of_those_that_share_jobs__is_left_out_also_where_older_files_of_it_are():
    dataset, shared = of(), {"b": ("events", "FormatError: b")}
    older = Path("results/published/events/b.json")
    older.parent.mkdir(parents=True)
    older.touch()

    def failed(shared, of_batches):
        return keep_failures(dataset, FAILED, Memory(), [], {}, shared, of_batches)

    said = {"b": "events: FormatError: b"}
    assert failed(shared, []) == said
    assert failed({}, []) == said, "an interrupted run did not come to it"
    assert left_out(dataset, FAILED, Memory()) == said
    assert failed(shared, [str(older)]) == {}, "a release needs nothing that failed"


def test_end_of_a_run__says_how_to_release_the_others():
    start = "There is no new release: it would lack 1 of 3 recordings: 'b'. "
    assert what_is_missing(of(), [], ["b"], done=False) == (
        f"{start}Run the same command again to release the others."
    )
    assert what_is_missing(of(incomplete="refuse"), [], ["b"], done=False) == (
        f"{start}To release the others, set release/incomplete: allow, and run it again."
    )
    assert what_is_missing(of(), ["b"], ["b"], done=True) == (
        "The release lacks 1 of 3 recordings: 'b'."
    )
    assert what_is_missing(of(), ["b"], ["b"], done=False) == "", "its own error says why"
    assert what_is_missing(of(), [], [], done=True) == ""


def test_samples__of_a_recording_that_is_left_out_are_not_tried_as_they_have_no_split():
    cut = {"by": "intervals", "columns": {"label": "l", "start": "s", "stop": "e"}}
    rows = {id_: row | {"samples": f"raw/{id_}.csv"} for id_, row in ROWS.items()}
    include = {"include": ["events", "samples"], "incomplete": "allow"}
    dataset = of(rows, samples=cut, release=RELEASE | include)
    assert tried_again(dataset, ["b"]) == ["results/published/events/b.json", "results/cuts/b.tsv"]
    assert dataset.without({"b": "x"}).fixed_splits() == {"a": "train", "c": "train"}
    undone = "results/cuts/b.tsv"
    ran = [Ran((undone,), True, False, (1,)), Ran(("results/samples.tsv",), False, False, (2,))]
    ran.append(Ran(("results/published/samples/a.json",), True, False, ()))
    found = keep_failures(dataset, FAILED, Memory(), ran, {undone: "cut: AnnotationError: l"})
    assert [*found] == ["b"]


def test_recipe__with_lists_of_splits_needs_all_recordings():
    for data, found in (("all", []), ("none", [("release", "incomplete")])):
        dataset = of(
            samples={
                "by": "intervals",
                "columns": {"label": "l", "start": "s", "stop": "e"},
                "split": {"files": {"train": "raw/train.txt"}},
            },
            release=RELEASE | {"incomplete": "allow", "data": data},
        )
        assert [place for place, _ in all_contradictions(dataset.config)] == found


def test_reasons__name_the_step_and_its_error_without_folders_of_this_machine():
    Path("job.log").write_text("SourceError: '/home/ada/my/b.raw' of https://a.org/x/b.raw: bad\n")
    Path("run.log").write_text(
        "Error in rule features:\n    jobid: 7\n"
        "    output: results/features/h/b.h5 (update), results/features/.made/b\n"
        "    log: job.log (check log file(s) for error details)\n"
    )
    reason = "features: SourceError: 'b.raw' of https://a.org/x/b.raw: bad"
    assert reasons(["run.log"]) == {"results/features/h/b.h5": reason}
