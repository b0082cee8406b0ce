"""What is in no config any more is found and removed; anything else stays."""

from __future__ import annotations

import base64
import json
import re
import zipfile
from pathlib import Path

import pytest

from evreel import cli, steps
from evreel.dataset import leftovers
from evreel.errors import EvreelError, UsageError
from support import ROOT
from support.dataset import CONFIG, write_table

MD5 = "0" * 32


def configured(folder, ids, features=("histogram",), name="config.yaml", **more):
    """Write a config with these features, and a table of these recordings."""
    table = f"{name}.tsv"
    write_table(folder, [("id", "source", "md5", "split", "rois"), *rows(ids)])
    (folder / "recordings.tsv").rename(folder / table)
    kinds = dict.fromkeys(features, CONFIG["features"]["histogram"])
    config = CONFIG | {"recordings": table, "features": kinds} | more
    (folder / name).write_text(json.dumps(config), encoding="utf-8")  # which is YAML, too


def rows(ids):
    return [(id_, f"https://example.org/{id_}.raw", MD5, "train", "") for id_ in ids]


def written(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"1234")


def recorded(folder, *paths):
    """Have Snakemake know of files, which are made."""
    written(folder, *paths)
    keys = (base64.urlsafe_b64encode(path.encode()).decode() for path in paths)
    written(folder, *(f".snakemake/metadata/{key}" for key in keys))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The results of two recordings and two features, and a config with one of each."""
    monkeypatch.chdir(tmp_path)
    for id_ in ("one", "two"):
        written(
            tmp_path,
            *(f"results/logs/{rule}/{id_}.log" for rule in ("events", "video", "features")),
            f"results/logs/acquire/{id_}.raw.log",
            f"results/recordings/{id_}.raw",
            f"results/benchmarks/events/{id_}.tsv",
            f"results/events/{id_}.h5",
            f"results/features/.made/{id_}",
            f"results/video/{id_}.mp4",
        )
        recorded(tmp_path, *(f"results/features/{each}/{id_}.h5" for each in ("histogram", "old")))
    recorded(tmp_path, "results/release/tiny-1.0.tsv", "results/release/tiny-0.9.tsv")
    written(tmp_path, "results/release/tiny-0.9/manifest.json", "results/logs/release.log")
    configured(tmp_path, ["one"])
    return tmp_path


LEFT = {
    *("events/two.h5", "features/.made/two", "features/histogram/two.h5", "features/old/one.h5"),
    *("features/old/two.h5", "recordings/two.raw", "release/tiny-0.9.tsv", "video/two.mp4"),
    *("benchmarks/events/two.tsv", "logs/acquire/two.raw.log", "logs/events/two.log"),
    *("logs/features/two.log", "logs/video/two.log"),
}


def there(folder):
    return {
        path.relative_to(folder / "results").as_posix()
        for path in (folder / "results").rglob("*")
        if not path.is_dir() or path.is_symlink()
    }


def test_tidy__lists_what_no_config_names_and_removes_exactly_that_when_asked_to(folder):
    before = there(folder)
    [found] = steps.tidy()
    assert {path.relative_to("results").as_posix() for path in found.files} == LEFT
    assert (found.sizes, found.unknown) == ((4,) * len(LEFT), ())
    assert there(folder) == before, "a listing removed something"
    assert steps.told([found])[-1] == (
        "results: 13 files, 52 B, in no config any more; evreel tidy --remove removes them"
    )
    steps.tidy(remove=True)
    assert there(folder) == before - LEFT
    assert not (folder / "results" / "features" / "old").exists(), "an empty folder is left"
    assert steps.told(steps.tidy()) == ["results: is tidy"]


def test_tidy__that_was_cut_off_goes_on(folder, monkeypatch):
    unlink = Path.unlink

    def cut_off(path, **options):
        if path.name == "two.mp4":
            raise KeyboardInterrupt
        unlink(path, **options)

    before = there(folder)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "unlink", cut_off)
        steps.tidy(remove=True)
    assert before > there(folder) > before - LEFT
    [found] = steps.tidy(remove=True)
    assert found.unknown == (), "what tells whose a file is was removed before it"
    assert there(folder) == before - LEFT


def test_parts__of_another_number_of_jobs_are_in_no_config(folder):
    configured(folder, ["one"], parts={"features": 2})
    steps.tidy(remove=True)
    parts = [f"{k}of{n}" for n in (2, 3) for k in range(1, n + 1)]
    written(folder, *(f"results/logs/features_part/one/{part}.log" for part in parts))
    written(folder, *(f"results/parts/features/one/{part}.h5" for part in parts))
    [found] = steps.tidy()
    assert found.unknown == ()
    assert {path.name.partition(".")[0] for path in found.files} == {"1of3", "2of3", "3of3"}
    assert len(found.files) == 6


def test_files_of_a_person__stay_and_are_told(folder):
    own = ("notes.txt", "events/mine.h5", "video/two_annotated.mp4", "features/mine/one.h5")
    written(folder, *(f"results/{path}" for path in own), "results/release/my-notes.tsv")
    written(folder, "results/.evreel-downloads/x.part")
    [found] = steps.tidy(remove=True)
    names = {path.relative_to("results").as_posix() for path in found.unknown}
    assert names == {*own, "release/my-notes.tsv"}
    assert names | {".evreel-downloads/x.part"} <= there(folder)
    assert "5 files not known to be of the workflow, left alone: " in steps.told([found])[-1]


def test_zip__beside_a_video_is_a_persons_unless_it_has_pictures_alone(folder):
    place = folder / "results" / "video" / "one.zip"
    for name, is_ours in (("annotations.xml", False), ("000000_0.png", True)):
        with zipfile.ZipFile(place, "w") as archive:
            archive.writestr(name, b"1234")
        [found] = steps.tidy()
        known = Path("results/video/one.zip")
        assert (known in found.files, known in found.unknown) == (is_ours, not is_ours)


def test_listing__names_the_command_that_removes_it_with_all_configs(folder):
    configured(folder, ["two"], ("old",), name="my second.yaml")
    configs = ["config.yaml", "my second.yaml"]
    command = "evreel tidy --configfile config.yaml 'my second.yaml' --remove removes them"
    assert steps.told(steps.tidy(configs), configs)[-1].endswith(command)


def test_links__are_removed_and_what_they_lead_to_stays(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    written(other, "two.raw", "events/two.h5")
    link = folder / "results" / "recordings" / "two.raw"
    link.unlink()
    link.symlink_to(other / "two.raw")
    (folder / "results" / "samples").symlink_to(other / "events")
    written(folder, "results/logs/samples/two.log")
    [found] = steps.tidy(remove=True)
    assert Path("results/samples") in found.unknown
    assert (other / "two.raw").exists()
    assert (other / "events" / "two.h5").exists()
    assert not link.is_symlink()


def test_results__of_several_configs_have_what_any_of_them_names(folder):
    configured(folder, ["two"], ("old",), name="second.yaml")
    [found] = steps.tidy(["config.yaml", "second.yaml"])
    assert [path.as_posix() for path in found.files] == ["results/release/tiny-0.9.tsv"]
    configured(folder, ["two"], name="third.yaml", results="other")
    assert [each.results for each in steps.tidy(["config.yaml", "third.yaml"])] == [
        Path("results"),
        Path("other"),
    ]
    Path("link").symlink_to("results")
    configured(folder, ["two"], ("old",), name="linked.yaml", results="link")
    [found] = steps.tidy(["config.yaml", "linked.yaml"])
    assert len(found.files) == 1, "one folder, by two names"


@pytest.mark.parametrize("together", [True, False], ids=["one flag", "a flag each"])
def test_configfile__may_be_repeated_and_each_is_counted(folder, together, capsys):
    configured(folder, ["two"], ("old",), name="second.yaml")
    flags = ["config.yaml"] if together else ["config.yaml", "--configfile"]
    assert cli.main(["tidy", "--configfile", *flags, "second.yaml"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "counted: config.yaml, second.yaml"
    assert told[-1].startswith("results: 1 file, 4 B, in no config any more")
    assert cli.main(["tidy", "--configfile", *flags, "second.yaml", "--remove"]) == 0
    assert "features/old/two.h5" in there(folder)


@pytest.mark.parametrize("configs", [["config.yaml"], ["my/first.yaml"]])
def test_config_of_the_same_results__that_is_not_counted_is_told_and_nothing_removed(
    folder, configs, capsys
):
    configured(folder, ["two"], ("old",), name="second.yml")
    configured(folder, ["two"], name="third.yaml", results="other")
    for name, text in (("over", "video: {crf: 30}"), ("bad", "["), ("list", "[a]")):
        Path(f"{name}.yaml").write_text(text, encoding="utf-8")
    Path("my").mkdir()
    Path("my/first.yaml").write_bytes(Path("config.yaml").read_bytes())
    Path("my/first.yaml" if configs == ["config.yaml"] else "config.yaml").unlink()
    before = there(folder)
    both = f"evreel tidy --configfile {configs[0]} second.yml"
    assert cli.main(["tidy", "--configfile", *configs]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-2:] == [
        "results: 13 files, 52 B, not of what is counted",
        f"results: not counted, of the same results: second.yml; {both} counts all",
    ]
    assert cli.main(["tidy", "--configfile", *configs, "--remove"]) == 2
    assert capsys.readouterr().err == (
        "UsageError: results: nothing is removed: second.yml names the same results and is not "
        f"counted. Count all: {both}. To go on without: --only-these.\n"
    )
    assert there(folder) == before
    assert cli.main(["tidy", "--configfile", *configs, "--remove", "--only-these"]) == 0
    assert there(folder) == before - LEFT


@pytest.mark.parametrize("path", [".snakemake/locks/0.input.lock", "results/.evreel-tmp/r/j/x"])
def test_tidy__removes_nothing_while_a_run_may_work_there(folder, path):
    written(folder, path)
    before = there(folder)
    with pytest.raises(EvreelError, match=r"is locked|has unfinished files"):
        steps.tidy(remove=True)
    assert there(folder) == before
    assert steps.tidy()[0].files, "it may be listed"


def test_config__with_a_mistake_removes_nothing(folder):
    before = there(folder)
    configured(folder, ["one"], sliced={})
    with pytest.raises(UsageError, match="unknown key 'sliced'"):
        steps.tidy(remove=True)
    with pytest.raises(UsageError, match=r"nosuch\.yaml: does not exist in "):
        steps.tidy(["nosuch.yaml"], remove=True)
    assert there(folder) == before


def test_forms__are_of_every_path_that_a_rule_makes():
    assert len(leftovers.forms()) > 30
    text = "".join(path.read_text("utf-8") for path in (ROOT / "workflow/rules").glob("*.smk"))
    roots = {*re.findall(r'"<(\w+)>/', text)}
    assert roots == {"results", "logs", "benchmarks"}
    named = {name for form in leftovers.forms() for name in form.matches.groupindex}
    assert named <= {*leftovers._FORMS}
    made, _ = leftovers._forms_of(
        'rule published:\n    output:\n        "<results>/published/events/{id}.h5",\n'
        '    log:\n        "<logs>/published/{id}.log",\n'
    )
    assert made.matches.fullmatch("published/events/one.h5")["id"] == "one"
