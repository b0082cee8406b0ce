"""What another workflow says of the results of a data set that is its module."""

from __future__ import annotations

import pytest

from evreel.dataset.hosted import Modules, check_storage, place_of, with_results
from evreel.errors import UsageError


def results(values, said=None, by_all=None, moved=lambda path: path):
    return with_results({"labels": ["car"], **values}, "street", said or {}, by_all or {}, moved)


@pytest.mark.parametrize(
    ("values", "said", "by_all", "expected"),
    [
        ({}, {}, {}, "results"),
        ({"results": "a"}, {}, {"results": "b"}, "a"),
        ({}, {"results": "c"}, {"results": "b"}, "c"),
        ({}, {}, {"results": "b"}, "b"),
        ({"results": "a/"}, {"results": "./a"}, {}, "./a"),
        ({"pathvars": {"results": "c"}}, {"results": "c"}, {}, "c"),
        ({"results": "/"}, {}, {}, "/"),
    ],
)
def test_results__are_those_said_nearest_to_the_module(values, said, by_all, expected):
    made = results(values, said, by_all)
    assert made == {"labels": ["car"], "results": expected}


def test_results__go_where_a_prefix_moves_them():
    assert results({"results": "a/"}, moved="pre/{}".format)["results"] == "pre/a"
    assert results({"results": 3}, moved="pre/{}".format)["results"] == 3


def test_two_modules__have_two_folders():
    modules = Modules()
    assert modules.enter("street", "built")
    assert not modules.enter("street", "built")
    assert modules.enter("yard", "other")
    with pytest.raises(UsageError, match=r"street and hall both build in '\./built'"):
        modules.enter("hall", "./built")
    assert modules.run == modules.run


def test_place_of__is_that_of_the_group_itself():
    one, two = {"a": 1}, {"a": 1}
    assert place_of(two, {"x": {"one": one, "two": two}}) == ("x", "two")
    assert place_of({"a": 1}, {"x": one}) is None


def test_default_storage__is_refused_with_what_to_do_instead():
    check_storage(None)
    with pytest.raises(UsageError, match=r"--default-storage-provider s3: results.*evreel upload"):
        check_storage("s3")
