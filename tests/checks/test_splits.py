"""An audit tells splits by the names of lists and folders, and finds what they share."""

from __future__ import annotations

from evreel.checks.run import audit


def test_audit__compares_lists_that_are_named_alike(tmp_path):
    (tmp_path / "train_1.csv").write_text("file,label\na.dat,3\n\nb.dat,4\n")
    (tmp_path / "valid_1.csv").write_text("file,label\nc.dat,3\n# b.dat\nb.dat,3\n")
    (tmp_path / "test_2.csv").write_text("a.dat,1\n")
    [finding] = audit(tmp_path).findings
    assert (finding.check, finding.path, finding.place) == (
        "split_recording",
        "valid_1.csv",
        "line 4",
    )
    (tmp_path / "valid_1.csv").write_bytes(b"\xff\xfe\x00")
    assert [finding.check for finding in audit(tmp_path).findings] == ["readable"]
    (tmp_path / "valid_1.csv").write_bytes(b"x" * 70_000)
    assert "more than 65536" in audit(tmp_path).findings[0].problem


def test_audit__asks_if_names_in_two_lists_differ_only_in_suffix_or_folder(tmp_path):
    def findings(train, test):
        (tmp_path / "train.txt").write_text(train)
        (tmp_path / "test.txt").write_text(test)
        return [(f.check, f.place) for f in audit(tmp_path).findings]

    assert findings("a\nb.h5\ndir/c.raw\n", "b\nc\n") == [("split_name", "line 2")]
    assert findings("train/a.h5\n", "test/a.h5\n") == [("split_name", "line 1")]
    assert not findings("day1/a.h5\n", "day2/a.h5\n"), "folders tell recordings apart"
    assert findings("day1/a.h5\n", "day1/a.raw\n") == [("split_name", "line 1")]
    assert findings("a\n", "a\n") == [("split_recording", "line 1")], "equal names are no question"
    assert not findings("name\na\n", "name\nb\n")
    assert not findings("name label\na 1\n", "name label\nb 1\n"), "no recording is called so"
    assert findings("name label\na 1\n", "name label\na 2\n") == [("split_recording", "line 2")]


def test_audit__recognizes_folders_of_splits_by_the_words_of_their_names(tmp_path):
    for folder in ("dsec_train", "dsec_test", "other_test", "latest"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.npz").write_bytes(b"k" * 5_000)
    assert [(f.check, f.path) for f in audit(tmp_path).findings] == [
        ("split_bytes", "dsec_train/x.npz"),
        ("split_name", "dsec_train/x.npz"),
    ]


def test_audit__leaves_papers_and_small_files_alike_in_splits_alone(tmp_path):
    for split in ("train", "Test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "README.md").write_bytes(b"z" * 5_000)
        (tmp_path / split / f"{split}.npy").write_bytes(b"z" * 500)
    assert not audit(tmp_path).findings
    for split in ("train", "Test"):
        (tmp_path / split / f"{split}.npy").write_bytes(b"z" * 5_000)
    [finding] = audit(tmp_path).findings
    assert (finding.check, finding.path) == ("split_bytes", "train/train.npy")
