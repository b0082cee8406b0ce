"""The page of a release says what is in it, and how that is read."""

from __future__ import annotations

import pytest

from evreel.cards.readme import about, readme
from evreel.cards.told import Told
from evreel.release.manifest import ListedFile


def page(*files: ListedFile, story: str = "", compression: str = "portable") -> str:
    told = Told(
        *("street", "1.0", "CC0-1.0", compression, files, ()), dataset={"description": story}
    )
    return readme(told)["README.md"].decode()


def listed(path: str, kind: str) -> ListedFile:
    return ListedFile(path, 1_500_000, "", "", kind, "park", "train")


def test_page__begins_with_the_name_and_what_the_data_set_is():
    assert page(story="Streets at night.").startswith(
        "# street 1.0\n\nStreets at night.\n\nLicence"
    )
    assert page().startswith("# street 1.0\n\nLicence of the data: CC0-1.0")


def test_page__counts_the_files_of_each_folder():
    text = page(listed("train/h/a.h5", "features"), listed("train/h/a_bbox.npy", "features"))
    assert "| `train/h/` | 2 | 3.0 | features |" in text


@pytest.mark.parametrize("kind", ["features", "boxes", "samples", "slices"])
def test_page__explains_only_what_the_release_has(kind):
    told = {
        "features": "(windows, channels, height, width)",
        "boxes": "`start_us < t <= stop_us`",
        "samples": "`samples/window_start`",
        "slices": "`labelled/start_us`",
    }
    text = page(listed("train/x/a.h5", kind))
    assert {name for name, words in told.items() if words in text} == {kind}


def test_page__says_if_a_plugin_is_needed():
    assert "h5py alone" in page()
    assert "hdf5plugin" not in page()
    assert "pip install hdf5plugin" in page(compression="fast")


def test_about__leaves_out_what_is_unknown():
    assert about({}) == ""
    streets = about({"description": " Streets. ", "citation": "A.  B.\n2020"})
    assert streets == "Streets.\n\nTo cite: A. B. 2020"
    assert about({"page": "https://x.org"}) == "Made from <https://x.org>."
