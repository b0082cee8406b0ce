"""Digests of functions: another one for whatever they do differently, the same for the same."""

from __future__ import annotations

import functools
import importlib
import logging
import py_compile
import re
import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest

from evreel.errors import ParameterError
from evreel.loaders import code_digest
from evreel.loaders.code_digest import digest_of_function
from evreel.representations import Histogram, tensor
from support import run_python


def module(text: str, name: str = "mine") -> types.ModuleType:
    """Return a module of somebody's own with this text."""
    made = types.ModuleType(name)
    code = compile(text, f"/somewhere/{name}.py", "exec", dont_inherit=True)
    exec(code, made.__dict__)
    return made


BASE = """
import numpy as np
SIZE = 3
TABLE = {"a": [1, 2], "b": np.arange(3)}
class Box:
    gain = 2
    def scaled(self, x):
        return self.gain * x
def helper(x, y=1):
    return x * SIZE + y
def integrate(events, H, W):
    \"\"\"Return frames.\"\"\"
    inner = lambda k: helper(k) in {1, 2, 3}
    return np.add(Box().scaled(len(events)), TABLE["b"].sum()), inner
"""


def digest(text: str) -> str:
    return digest_of_function(module(text).integrate)


def test_digest__is_the_same_for_the_same_code_wherever_it_is():
    text = BASE + "\n"
    assert digest(text) == digest(BASE) == digest("\n\n# a comment\n" + BASE)
    one, other = module(BASE).integrate, module(BASE, "elsewhere").integrate
    assert digest_of_function(one) == digest_of_function(other)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SIZE = 3", "SIZE = 4"),
        ("SIZE = 3", "SIZE = 3.0"),
        ("y=1", "y=2"),
        ("SIZE + y", "SIZE - y"),
        ("gain = 2", "gain = 5"),
        ("self.gain * x", "self.gain + x"),
        ("arange(3)", "arange(4)"),
        ("[1, 2]", "[2, 1]"),
        ("{1, 2, 3}", "{1, 2, 4}"),
        ("len(events)", "sum(events)"),
        ("np.add", "np.subtract"),
        ("helper(k)", "helper(k, 1)"),
        ('TABLE["b"]', 'TABLE["a"]'),
    ],
)
def test_digest__is_another_one_after_an_edit_anywhere_below(before, after):
    assert before in BASE
    assert digest(BASE.replace(before, after)) != digest(BASE)


F = "\ndef integrate(e, h, w):\n    return "
CLASS = "class A:\n    v = 0\n"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("def g(): pass\ng.k = 1" + F + "g.k", "g.k = 2"),
        ("import functools as f\n@f.lru_cache\ndef g(): return 1" + F + "g()", "return 2"),
        (
            "import functools as f\n@f.singledispatch\ndef g(x): return 0\n"
            "@g.register\ndef _(x: int): return 1" + F + "g(2)",
            "return 2",
        ),
        ("import functools as f\nclass A:\n    @f.cached_property\n    def v(self): return 1" + F
         + "A().v", "return 2"),
        (CLASS + "    @property\n    def x(self): return 0\n    @x.setter\n"
         "    def x(self, x): self.v = 1" + F + "A()", "self.v = 2"),
        ("class M(type):\n    def __call__(cls): return 1\nclass A(metaclass=M): pass" + F
         + "A()", "return 2"),
        ("from enum import IntEnum\nclass A(IntEnum):\n    X = 5\n    def g(self): return 1\n"
         "x = A.X" + F + "x.g()", "return 2"),
        ("class A(float):\n    def g(self): return 1\nx = A(5)" + F + "x.g()", "return 2"),
        ("import numpy as np\nx = np.ma.array([5, 6], mask=[0, 1])" + F + "x.sum()",
         "mask=[0, 0]"),
        ("import numpy as np\nx = np.ones((2, 3), order='C')" + F + "x.ravel('K')", "order='F'"),
    ],
)  # fmt: skip
def test_digest__sees_what_python_hides(text, after):
    before = after.replace("2", "1").replace("0, 0", "0, 1").replace("'F'", "'C'")
    assert before in text
    assert digest(text.replace(before, after)) != digest(text) == digest(text)


def test_digest__sees_what_a_function_keeps():
    def made(n, *, plus=0):
        return lambda events, height, width: (n, plus)

    def with_default(events, height, width, n=1):
        return n

    digests = [
        digest_of_function(made(1)),
        digest_of_function(made(2)),
        digest_of_function(made(1, plus=1)),
        digest_of_function(with_default),
        digest_of_function(functools.partial(with_default, n=1)),
        digest_of_function(functools.partial(with_default, n=2)),
    ]
    assert len(set(digests)) == len(digests)
    assert digest_of_function(made(1)) == digests[0]


@dataclass(frozen=True)
class Scaled:
    """A function with a parameter."""

    gain: int = 1

    def __call__(self, events, height, width):
        return self.gain

    def method(self, events, height, width):
        return self.gain


def test_digest__sees_the_attributes_of_a_callable_object():
    assert digest_of_function(Scaled(2)) == digest_of_function(Scaled(2))
    assert digest_of_function(Scaled(2)) != digest_of_function(Scaled(3))
    assert digest_of_function(Scaled(2).method) != digest_of_function(Scaled(3).method)
    assert digest_of_function(Scaled(2).method) != digest_of_function(Scaled(2))


def test_digest__sees_a_module_that_is_imported_within_a_function(tmp_path, monkeypatch):
    (tmp_path / "beside_it.py").write_text("GAIN = 2\ndef scaled(x):\n    return x * GAIN\n")
    monkeypatch.syspath_prepend(tmp_path)
    texts = (
        "def integrate(e, h, w):\n    import beside_it\n    return beside_it.scaled(1)\n",
        "def integrate(e, h, w):\n    from beside_it import scaled\n    return scaled(1)\n",
        "import beside_it\ndef integrate(e, h, w):\n    return beside_it.scaled(1)\n",
        "from beside_it import scaled\ndef integrate(e, h, w):\n    return scaled(1)\n",
    )
    functions = [module(text).integrate for text in texts]
    before = [digest_of_function(function) for function in functions]
    sys.modules["beside_it"].GAIN = 3
    after = [digest_of_function(function) for function in functions]
    monkeypatch.delitem(sys.modules, "beside_it")
    assert [old != new for old, new in zip(before, after, strict=True)] == [True] * 4


def test_digest__sees_what_is_got_by_a_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "beside_it", module("GAIN = 2", "beside_it"))

    def integrate(events, height, width):
        import beside_it

        return getattr(beside_it, "GAIN")  # noqa: B009

    before = digest_of_function(integrate)
    sys.modules["beside_it"].GAIN = 3
    assert digest_of_function(integrate) != before
    for text in ("globals()['GAIN']", "eval('GAIN')"):
        with pytest.raises(ParameterError, match=r"integrate: is a function that calls .*Name in"):
            digest("GAIN = 1" + F + text)


def test_digest__sees_what_a_librarys_function_was_made_with(tmp_path, monkeypatch):
    text = "def of(gain):\n    def scaled(x):\n        return x * gain\n    return scaled\n"
    made = module(text, "some_library")
    made.__file__ = str(tmp_path / "site-packages" / "some_library.py")
    monkeypatch.setitem(sys.modules, "some_library", made)

    def using(scaled):
        return lambda events, height, width: scaled(events)

    one, two, again = (digest_of_function(using(made.of(gain))) for gain in (1, 2, 1))
    assert one != two and one == again


def test_digest__sees_the_version_of_a_library_that_does_not_say_it(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    found = []
    for text in ("def f(x): return 1\n", "def f(x): return 2\n"):
        path = folder / "some_library.py"
        path.write_text(text)
        made = module(text, "some_library")
        made.__file__ = str(path)
        monkeypatch.setitem(sys.modules, "some_library", made)

        def integrate(events, height, width, made=made):
            return made.f(events)

        found.append(digest_of_function(integrate))
    assert found[0] != found[1]


LOG, PATTERN = logging.getLogger("some"), re.compile("a+")
VECTOR = np.vectorize(lambda x: x + 1)


def test_digest__takes_what_libraries_make():
    def function(events, height, width):
        LOG.info("%s", PATTERN)
        return VECTOR(np.bincount(events)), tensor(Histogram(), events, None), Scaled

    nested: list[object] = []
    for _ in range(5_000):
        nested = [nested]
    with pytest.raises(ParameterError, match="nested too deeply"):
        digest_of_function(lambda events, height, width: nested)

    def recursive(n):
        return recursive(n - 1) if n else 0

    assert digest_of_function(function) == digest_of_function(function)
    assert digest_of_function(recursive) != digest_of_function(function)
    assert digest_of_function(np.add) != digest_of_function(np.subtract)
    assert digest_of_function(len) != digest_of_function(max)


def test_digest__of_what_has_none_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "open.txt"
    random = np.random.default_rng(0)
    objects = np.array([object()], dtype=object)
    with path.open("w") as opened:
        cases = {
            "opened": lambda events, height, width: opened.name,
            "random": lambda events, height, width: random.normal(),
            "objects": lambda events, height, width: objects,
        }
        for name, function in cases.items():
            with pytest.raises(ParameterError, match=f"{name}: is a.*Give it to the function as"):
                digest_of_function(function)


def test_digest__is_the_same_in_another_process_and_from_compiled_code(tmp_path):
    path = tmp_path / "someones.py"
    path.write_text(BASE)
    py_compile.compile(str(path))
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import someones;"
        "from evreel.loaders.code_digest import digest_of_function as d;"
        "print(d(someones.integrate))"
    )
    assert run_python(code).stdout.strip() == digest(BASE)


def test_digest__of_a_function_of_an_installed_package_sees_its_edits(tmp_path, monkeypatch):
    monkeypatch.setattr(code_digest, "_LIBRARIES", (tmp_path.resolve(),))
    monkeypatch.syspath_prepend(tmp_path)
    texts = {
        "gains_of": "GAIN = 1\n",
        "used_by": "import gains_of\ndef f():\n    return gains_of.GAIN",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    import_module = importlib.import_module
    used_by, gains_of = import_module("used_by"), import_module("gains_of")
    before = digest_of_function(used_by.f)
    gains_of.GAIN = 2  # of another library, whose version counts
    assert digest_of_function(used_by.f) == before
    exec("def f():\n    return gains_of.GAIN + 1", used_by.__dict__)
    assert digest_of_function(used_by.f) != before
    for name in texts:
        monkeypatch.delitem(sys.modules, name)
