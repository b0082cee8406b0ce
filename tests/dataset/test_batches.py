"""Which recordings share jobs, and what is known of what these made."""

from __future__ import annotations

import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evreel import steps
from evreel.dataset.batches import (
    batches_of,
    divided,
    forget_changed_batches,
    is_seen,
    manifest_of,
    params_in_batches,
)
from evreel.dataset.config import read_config
from evreel.dataset.dataset import DataSet
from evreel.dataset.ledger import Entry, Ledger, Manifest, ledger_of, made
from evreel.dataset.members import Deferred, Member, Named, Names, Step
from evreel.dataset.outdated import age
from evreel.errors import EvreelError
from support.dataset import CONFIG, write_table

IDS = [f"r{k:04}" for k in range(1000)]


def data_set(folder, sizes, config=CONFIG):
    """Return a data set whose recordings have these stated sizes."""
    url = "https://example.org/{}.raw"
    rows = [("id", "source", "md5", "split", "size_bytes")]
    rows += [(i, url.format(i), "0" * 32, "train", str(size or "")) for i, size in sizes.items()]
    write_table(folder, rows)
    return DataSet(*read_config(config))


@given(st.dictionaries(st.sampled_from(IDS), st.floats(0.005, 2), max_size=200))
def test_divided__has_each_id_once_and_no_group_above_the_limit(weights):
    groups = list(divided(weights))
    assert [id_ for ids in groups for id_ in ids] == sorted(weights)
    assert all(len(ids) == 1 or sum(weights[i] for i in ids) <= 1.001 for ids in groups)


def test_divided__is_the_same_far_from_a_row_that_is_added():
    weights = dict.fromkeys(IDS, 1 / 50)
    before = [tuple(ids) for ids in divided(weights)]
    assert 20 < len(before) < 40
    after = [tuple(ids) for ids in divided(weights | {"r0500x": 1 / 50})]
    assert len({*before} - {*after}) <= 4


def test_batches__are_of_many_short_recordings_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = data_set(tmp_path, dict.fromkeys(IDS[:99], 1000))
    assert batches_of(few) == {}
    sizes = dict.fromkeys(IDS[:300], 1000) | {"long": 5_000_000, "unknown": 0}
    batches = batches_of(data_set(tmp_path, sizes))
    assert sorted(i for ids in batches.values() for i in ids) == IDS[:300]
    assert all(name == ids[0] and len(ids) <= 200 for name, ids in batches.items())
    larger = batches_of(data_set(tmp_path, dict.fromkeys(IDS[:300], 3_000_000)))
    assert max(map(len, larger.values())) == 64 // 3
    own = CONFIG | {"batches": {"recordings": 2}}
    assert {*map(len, batches_of(data_set(tmp_path, sizes, own)).values())} == {2}
    assert batches_of(data_set(tmp_path, sizes, CONFIG | {"batches": {"recordings": 1}})) == {}


def test_batches__have_no_recording_that_several_jobs_share(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = CONFIG | {"batches": {"recordings": 3}, "parts": {"features": 1, "annotate": 1}}
    dataset = data_set(tmp_path, dict.fromkeys(IDS[:3], 1000), own)
    assert batches_of(dataset) == {IDS[0]: IDS[:3]}
    sizes = {IDS[0]: 1000, IDS[1]: 1000, IDS[2]: 40 << 30}
    assert batches_of(data_set(tmp_path, sizes, own)) == {IDS[0]: IDS[:3]}
    del own["parts"]["features"]
    assert batches_of(data_set(tmp_path, sizes, own)) == {IDS[0]: IDS[:2]}


def test_named__is_found_by_number_and_name_also_in_another_process():
    files = pickle.loads(pickle.dumps(Named([("a", ["x", "y"]), (None, "z"), ("b", [])])))
    assert (files[2], files.a, files.b, list(files)) == ("z", ["x", "y"], [], ["x", "y", "z"])
    with pytest.raises(AttributeError):
        _ = files.c
    assert pickle.loads(pickle.dumps(Deferred(lambda: 3))) == 3


class Items(list):
    """What a rule has, as Snakemake keeps it."""

    def _allitems(self):
        return iter(self)


class Rule:
    name = "step"
    input = Items([("store", "events/{id,[a-z]{1,3}}.h5"), ("more", lambda w: [f"{w.id}.xml"])])
    output = Items([("made", ["{id}.h5", "{id}.{feature}"])])
    log = Items([(None, "{id}.log")])
    params = Items(
        [
            ("text", "of {id}"),
            ("number", 3),
            ("own", lambda wildcards: {"a": wildcards.id}),
            ("silent", lambda wildcards, threads: threads),
        ]
    )


def test_step__fills_patterns_and_functions_and_compares_what_snakemake_would():
    step = Step("features", Rule, lambda id_: [Names(id=id_, feature="f")])
    (member,) = step.members(["b"])
    assert (member.input.store, member.input.more) == ("events/b.h5", ["b.xml"])
    assert list(member.output) == ["b.h5", "b.f"] and member.log[0] == "b.log"
    assert dict(member.params.items()) == {
        "text": "of b", "number": 3, "own": {"a": "b"}, "silent": 1
    }  # fmt: skip
    assert member.compared == sorted(["'of b'", "3", "{'a': 'b'}"])
    assert step.digest(["b"]) != step.digest(["c"])
    wildcards = pickle.loads(pickle.dumps(member)).wildcards  # as its script has them
    assert (wildcards.id, wildcards.feature, [*wildcards.keys()]) == ("b", "f", ["id", "feature"])
    with pytest.raises(AttributeError):
        _ = wildcards.part


def member(name, *, output=None):
    return Member(
        name,
        name,
        input=Named([(None, f"{name}.in")]),
        output=Named([(None, output or f"{name}.out")]),
        params=Named(),
        log=Named([(None, f"logs/{name}.log")]),
        compared=["1"],
    )


def done(members, run, before=()):
    return steps.batch("copy", members, run, "manifest.json", "ledger.json", before=before)


def test_batch__does_again_only_what_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = []

    def copy(one):
        ran.append(one.id)
        (tmp_path / one.output[0]).write_bytes((tmp_path / one.input[0]).read_bytes())

    for name in "abc":
        (tmp_path / f"{name}.in").write_text(name)
    members = [member(name) for name in "abc"]
    first = done(members, copy)
    assert (ran, first.failed, len(first.files)) == (["a", "b", "c"], {}, 3)
    bytes_first = (tmp_path / "manifest.json").read_bytes()
    os.utime("a.out")  # of the same content
    (tmp_path / "b.in").write_text("other")
    (tmp_path / "c.out").unlink()
    assert done(members, copy).files != first.files
    assert ran[3:] == ["b", "c"]
    (tmp_path / "b.in").write_text("b")
    done(members, copy)
    assert (tmp_path / "manifest.json").read_bytes() == bytes_first
    members[0].compared = ["2"]
    done(members, copy)
    assert ran[5:] == ["b", "a"]


def test_batch__that_is_ended_does_again_only_what_it_had_not_done(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = []

    def copy(one):
        ran.append(one.id)
        if ran == ["a", "b"]:
            raise SystemExit(143)  # as SIGTERM ends it
        (tmp_path / one.output[0]).write_text(one.id)

    members = [member(name) for name in "abc"]
    with pytest.raises(SystemExit):
        done(members, copy)
    assert not (tmp_path / "manifest.json").exists()
    assert len(done(members, copy).files) == 3
    assert ran == ["a", "b", "b", "c"]


def test_batch__names_what_failed_and_leaves_it_out_of_the_next_step(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def copy(one):
        if one.id == "a":
            steps.LOG.error("UsageError: a.in: is not it")
            raise SystemExit(2)
        if one.id == "b":
            raise KeyError("surprise")
        if one.id == "c":
            (tmp_path / one.output[0]).write_text("made")

    for name in "abc":
        (tmp_path / f"{name}.out").write_text("older")
    made_ = done([member(name) for name in "abcd"], copy)
    assert made_.failed == {
        "a": ("copy", "UsageError: a.in: is not it"),
        "b": ("copy", "KeyError: 'surprise'"),
        "d": ("copy", "did not make d.out"),
    }
    assert list(made_.files) == ["c.out"] and not (tmp_path / "a.out").exists()
    (tmp_path / "manifest.json").rename(tmp_path / "before.json")
    after = done([member(name) for name in "ac"], copy, before=["before.json"])
    assert after.failed == made_.failed and list(after.files) == ["c.out"]


def test_batch__keeps_what_waits_for_a_mended_step_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = []

    def copy(one):
        ran.append(one.id)
        (tmp_path / one.output[0]).write_text(one.id)

    members = [member(name) for name in "ab"]
    first = done(members, copy)
    Manifest({}, {"a": ("before", "wrong sum")}).write("before.json")
    assert list(done(members, copy, before=["before.json"]).files) == ["b.out"]
    Manifest({}, {}).write("before.json")
    assert done(members, copy, before=["before.json"]) == first
    assert ran == ["a", "b"]


def test_ledger__is_read_as_written_and_a_damaged_one_is_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text("a")
    ledger = Ledger("ledger.json")
    ledger.entries["a"] = Entry("a", ["1", "2"], {"in": "sha256:0"}, made(["a"]))
    ledger.save()
    assert Ledger("ledger.json").entries == ledger.entries
    for text in ('{"params": [], "entries": {"a": {}}}', '{"params": [], "entries": null}'):
        (tmp_path / "ledger.json").write_text(text)
        assert Ledger("ledger.json").entries == {}


def a_batch(folder, batch, text):
    """Write what a batch made of a recording of its name, and return the file."""
    path = folder / f"{batch}.h5"
    path.write_text(text)
    files = made([str(path)])
    Manifest({name: digest for name, (digest, *_) in files.items()}, {}).write(
        manifest_of(str(folder), "events", batch)
    )
    ledger = Ledger(ledger_of(str(folder), "events", batch))
    ledger.entries[batch] = Entry(batch, [], {}, files)
    ledger.save()
    return path


def test_changed_batches__are_those_of_which_a_file_is_aged_or_gone_also_without_ledger(tmp_path):
    results = str(tmp_path)
    files = {name: a_batch(tmp_path, name, name) for name in ("as_is", "aged", "gone", "unknown")}
    age(files["aged"])
    for name in ("gone", "unknown"):
        ledger_of(results, "events", name).unlink()
    files["gone"].unlink()
    said = [*forget_changed_batches(results, ["events"], files)]
    assert [line.partition(":")[0] for line in said] == [str(files["aged"]), str(files["gone"])]
    left = [name for name in files if manifest_of(results, "events", name).exists()]
    assert left == ["as_is", "unknown"]


def test_params__of_a_batch_of_now_come_before_those_of_an_older_one(tmp_path):
    results = str(tmp_path)
    for batch, text in (("older", "1"), ("a", "2")):
        ledger = Ledger(ledger_of(results, "acquire", batch))
        ledger.entries["b"] = Entry("b", [text], {})
        ledger.save()
    assert params_in_batches(results, "acquire", ["a"]) == {"b": ["2"]}
    assert params_in_batches(results, "acquire", ["c", "older"]) == {"b": ["1"]}


def test_files_of_batches__are_seen_while_snakemake_makes_or_knows_their_manifest(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = str(a_batch(tmp_path, "one", "1"))
    results = str(tmp_path)
    assert not is_seen(results, ["events"], ["one"])(path)
    manifest_of(results, "events", "one").unlink()
    assert is_seen(results, ["events"], ["one"])(path)
    assert not is_seen(results, ["events"], [])(path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"files": 1, "failed": 2}'])
def test_manifest__that_is_none_is_refused(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(EvreelError, match="not the manifest of a batch"):
        Manifest.read(tmp_path / "m.json")
