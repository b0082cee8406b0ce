"""Digests of functions: of what they do, not of what they are called."""

from __future__ import annotations

import builtins
import contextlib
import copyreg
import dis
import enum
import functools
import hashlib
import importlib
import importlib.metadata
import random
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np

from evreel.errors import ParameterError
from evreel.provenance import sha256

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
_LIBRARIES = tuple(
    Path(folder).resolve()
    for name, folder in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_SITES = {"site-packages", "dist-packages"}
"""Folders that packages are installed into, wherever they are: also a user's own, or Debian's."""
_EVREEL = __name__.partition(".")[0]
_OPERATIONS = (
    ("LOAD_GLOBAL", "LOAD_NAME"),
    ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"),
    ("IMPORT_NAME",),
)
"""Of Python's byte code: what reads a global, an attribute, a module."""
_RANDOM = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
"""What changes with every use."""
_AS_ARGUMENT = (
    "Give it to the function as an argument of plain values or arrays, or leave out cache."
)
_BY_TEXT = ("globals", "eval", "exec")
"""Built-in functions that read by a text what code does not name."""


def digest_of_function(function: Callable[..., Any]) -> str:
    """Return ``sha256:…`` of what a function does.

    Covered are its code, its defaults, what it keeps from where it was made (closure, partial
    arguments, attributes of a callable object), the values of the globals that it reads, and
    likewise all functions and classes that it calls. Of an installed library, the version counts;
    and of the module that the function itself is of, also if installed, the code.
    What a function reads from files, or draws from a random generator, is not seen.

    Parameters
    ----------
    function
        Any callable.

    Raises
    ------
    ParameterError
        If a part has no digest, such as an open file; the message names it.

    Examples
    --------
    >>> square, again, cube = partial(pow, exp=2), partial(pow, exp=2), partial(pow, exp=3)
    >>> digest_of_function(square) == digest_of_function(again)
    True
    >>> digest_of_function(square) == digest_of_function(cube)
    False
    """
    walk = _Walk(_home_of(function))
    place = getattr(function, "__qualname__", type(function).__qualname__)
    try:
        walk.add(function, place)
    except RecursionError:
        raise _no_digest(place, "nested too deeply") from None
    return f"sha256:{walk.hash.hexdigest()}"


class _Walk:
    """Goes through a value and all that it depends on, in a fixed order.

    Parameters
    ----------
    own
        Module that is no library here: the one that the function is of.
    """

    def __init__(self, own: str) -> None:
        self._own = own
        self.hash = hashlib.sha256()
        self._met: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no id is used twice
        self._above: list[int] = []

    def say(self, *words: object) -> None:
        """Add words, each with its length, so that no two lists of words are alike."""
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
            self.hash.update(b"%d:" % len(data))
            self.hash.update(data)

    def add(self, value: Any, place: str) -> None:
        """Add a value, which errors call by its `place`."""
        if type(value) in _PLAIN or isinstance(value, (PurePath, np.dtype)):
            self.say(type(value).__qualname__, repr(value))
        elif id(value) in self._above:
            self.say("above", len(self._above) - self._above.index(id(value)))
        elif id(value) in self._met:
            self.say("again", self._met[id(value)])
        else:
            self._above.append(id(value))
            self._add(value, place)
            self._above.pop()

    def _add(self, value: Any, place: str) -> None:
        if type(value) is np.ndarray or isinstance(value, np.generic):
            self._add_array(np.asarray(value), place)
        elif type(value) in (tuple, list):
            self._add_all(value, place)
        elif type(value) in (set, frozenset):
            self.say(type(value).__qualname__, *sorted(self._alone(item, place) for item in value))
        elif type(value) in (dict, types.MappingProxyType):
            self._add_all([*value.items()], place)
        elif isinstance(value, types.CodeType):
            self._add_code(value, place)
        elif isinstance(value, types.ModuleType):
            self._add_library(value, place)
        else:
            # Others may be shared or not, as the compiler likes, in code that is the same.
            self._met[id(value)] = len(self._met)
            self._kept.append(value)
            self._add_callable(value, place)

    def _add_all(self, values: Any, place: str) -> None:
        self.say(type(values).__qualname__, len(values))
        for item in values:
            self.add(item, place)

    def _alone(self, value: Any, place: str) -> str:
        """Return the digest of a value on its own."""
        walk = _Walk(self._own)
        walk.add(value, place)
        return walk.hash.hexdigest()

    def _add_array(self, array: np.ndarray[Any, Any], place: str) -> None:
        if array.dtype.hasobject:
            raise _no_digest(place, "an array of objects")
        self.say("array", array.dtype.str, array.dtype.descr, array.shape, np.isfortran(array))
        self.say(array.tobytes())

    def _add_callable(self, value: Any, place: str) -> None:
        """Add a function or class, or an object by its class and attributes."""
        if isinstance(value, types.MethodType):
            self.say("method")
            self.add(value.__func__, place)
            self.add(value.__self__, place)
        elif isinstance(value, partial):
            self._add_all([value.func, value.args, value.keywords], place)
        elif isinstance(value, enum.Enum):
            self.say("enum", type(value).__qualname__, value.name)
            self.add(value.value, place)
            self.add(type(value), place)
        elif isinstance(value, (functools._lru_cache_wrapper, functools.cached_property)):
            self.say("cached")
            self.add(getattr(value, "__wrapped__", None) or getattr(value, "func", None), place)
        elif isinstance(getattr(value, "registry", None), types.MappingProxyType):
            self.say("dispatched")  # by functools.singledispatch
            self.add(value.registry, place)
        elif isinstance(getattr(value, "py_func", None), types.FunctionType):  # numba's
            self.say("compiled", repr(getattr(value, "targetoptions", None)))
            self.add(value.py_func, place)
        elif _is_of_library(self._own, value):
            self._add_library(value, place)
        elif isinstance(value, types.FunctionType):
            self._add_function(value, place)
        elif isinstance(value, type):
            self._add_class(value, place)
        elif isinstance(value, (staticmethod, classmethod, property)):
            parts = ("__func__", "fget", "fset", "fdel")
            self._add_all([getattr(value, name, None) for name in parts], place)
        else:
            self._add_object(value, place)

    def _add_object(self, value: Any, place: str) -> None:
        """Add an object by how a copy of it is made."""
        parts: Any = None
        if not isinstance(value, _RANDOM):
            with contextlib.suppress(Exception):
                registered = copyreg.dispatch_table.get(type(value))
                parts = registered(value) if registered else value.__reduce_ex__(4)
        if not isinstance(parts, tuple):
            raise _no_digest(place, f"a {type(value).__qualname__}")
        self.say("object", len(parts))
        for part in parts:
            self.add(list(part) if isinstance(part, Iterator) else part, place)

    def _add_function(self, function: types.FunctionType, place: str) -> None:
        wrapped = getattr(function, "__wrapped__", None)
        if wrapped is not None:
            self.add(wrapped, place)
        self.add(function.__code__, place)
        self.add(function.__defaults__, place)
        self.add(function.__kwdefaults__, place)
        for name, value in vars(function).items():
            if name != "__wrapped__":
                self.say("has", name)
                self.add(value, f"{place}.{name}")
        cells = function.__closure__ or ()
        for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
            with contextlib.suppress(ValueError):  # not set yet
                self.add(cell.cell_contents, f"{place}: {name}")
        named, attributes, imported, texts = _names_in(function.__code__)
        if "getattr" in named:
            attributes = attributes | texts
        for name in imported:
            module = _imported(name, function.__globals__.get("__package__"))
            if module is None or _is_of_library(self._own, module):
                self.say("import", name, "" if module is None else _version(module.__name__))
            else:
                self._add_used(module, attributes, f"{place}: {name}")
        for name in named:
            if name in function.__globals__:
                self.say("global", name)
                found = function.__globals__[name]
                if isinstance(found, types.ModuleType) and not _is_of_library(self._own, found):
                    self._add_used(found, attributes, f"{place}: {name}")
                else:
                    self.add(found, f"{place}: {name}")
            elif name in _BY_TEXT:
                raise _no_digest(
                    place,
                    f"a function that calls {name}()",
                    hint="Name in its code what it reads, or leave out cache.",
                )
            else:
                self.say("builtin" if hasattr(builtins, name) else "missing", name)

    def _add_used(self, module: types.ModuleType, attributes: Iterable[str], place: str) -> None:
        """Add what code may use of a module that is no library's."""
        for name in attributes:
            if hasattr(module, name):
                found = getattr(module, name)
                self.say("attribute", name)
                if isinstance(found, types.ModuleType) and not _is_of_library(self._own, found):
                    self._add_used(found, attributes, f"{place}.{name}")
                else:
                    self.add(found, f"{place}.{name}")

    def _add_code(self, code: types.CodeType, place: str) -> None:
        self.say("code", code.co_code, code.co_flags, code.co_argcount, code.co_kwonlyargcount)
        self.say(code.co_posonlyargcount, code.co_exceptiontable)
        for names in (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars):
            self.say(*names)
        self._add_all(code.co_consts, place)

    def _add_class(self, kind: type, place: str) -> None:
        self.say("class")
        if type(kind) is not type:
            self.add(type(kind), place)
        for base in kind.__bases__:
            self.add(base, place)
        for name, value in vars(kind).items():
            if name in _OF_ANY_CLASS or isinstance(value, _SLOTS):
                continue
            self.say(name)
            self.add(value, f"{place}.{name}")

    def _add_library(self, value: Any, place: str) -> None:
        """Add what is installed by its name and version."""
        is_module = isinstance(value, types.ModuleType)
        if is_module and not _is_of_library(self._own, value):
            raise _no_digest(place, f"the module {value.__name__}, passed on as a whole")
        owner = value.__name__ if is_module else _module_of(value)
        name = getattr(value, "__qualname__", getattr(value, "__name__", ""))
        self.say("library", owner, name, _version(owner))
        bound = getattr(value, "__self__", None)
        if bound is not None and not isinstance(bound, types.ModuleType):
            self.add(bound, place)


_SLOTS = (types.GetSetDescriptorType, types.MemberDescriptorType)
_OF_ANY_CLASS = (
    "__module__",
    "__qualname__",
    "__doc__",
    "__dict__",
    "__weakref__",
    "__annotations__",
    "__abstractmethods__",
    "_abc_impl",
    "__dataclass_fields__",
    "__dataclass_params__",
    "__firstlineno__",
    "__static_attributes__",
)


def _home_of(function: Any) -> str:
    """Return the module that a function, or the class of a callable object, is of.

    Empty for compiled code, and where the version of a library stands for all of it.
    """
    while isinstance(function, partial):
        function = function.func
    function = getattr(function, "__func__", getattr(function, "py_func", function))
    code = function if isinstance(function, types.FunctionType) else type(function)
    module = _module_of(code)
    top = module.partition(".")[0]
    return "" if top in (_EVREEL, "numpy", *sys.stdlib_module_names) else module


def _module_of(value: Any) -> str:
    module = getattr(value, "__module__", None)
    if module is None and isinstance(getattr(value, "__self__", None), types.ModuleType):
        module = value.__self__.__name__
    return module or ("numpy" if isinstance(value, np.ufunc) else "")


def _is_of_library(own: str, value: Any) -> bool:
    """Tell whether a module, function or class is installed, and not somebody's own code.

    What is of module `own` is not a library's.
    """
    if isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType | np.ufunc):
        return True
    if isinstance(value, types.WrapperDescriptorType | types.MethodDescriptorType):
        return True
    # NumPy's functions that others can override are objects with a name.
    named = callable(value) and isinstance(getattr(value, "__qualname__", None), str)
    if not named and not isinstance(value, types.ModuleType):
        return False
    if isinstance(value, types.FunctionType | type) and "<locals>" in value.__qualname__:
        return False  # made while the program runs, of values that no version tells
    name = value.__name__ if isinstance(value, types.ModuleType) else _module_of(value)
    top = name.partition(".")[0]
    if top in ("__main__", "__mp_main__", "") or name == own:
        return False
    if top in (_EVREEL, "builtins") or top in sys.builtin_module_names:
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return top in sys.stdlib_module_names if file is None else _is_installed(file)


@functools.cache
def _is_installed(file: str) -> bool:
    place = Path(file).resolve()
    return not _SITES.isdisjoint(place.parts) or any(map(place.is_relative_to, _LIBRARIES))


def _version(module: str) -> str:
    """Return the version of the library that a module is of; of Python's own, that of Python.

    Where nothing says it, and for compiled modules of one's own, it is the module's bytes.
    """
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(module), "__file__", None)
    if top in sys.stdlib_module_names or (file is None and top not in sys.modules):
        return sys.version
    if file is not None and top != _EVREEL and not _is_installed(file):
        return sha256(file)
    said = getattr(sys.modules.get(top), "__version__", None) or _installed_version(top)
    return str(said or (sys.version if file is None else sha256(file)))


@functools.cache
def _installed_version(package: str) -> str | None:
    """Return the version of what a package was installed with, None if that is unknown."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    names = importlib.metadata.packages_distributions().get(package)  # of what is installed: slow
    return importlib.metadata.version(names[0]) if names else None


def _imported(name: str, package: str | None) -> types.ModuleType | None:
    """Return the module that code imports when it runs, None if it cannot be found."""
    for called in (name, f"{package}.{name}"):
        with contextlib.suppress(Exception):
            return importlib.import_module(called)
    return None


class _Names(NamedTuple):
    """What code reads by name: globals, attributes, modules that it imports; as sets in order.

    `texts` are its own texts, which may be names for `getattr`.
    """

    named: dict[str, None]
    attributes: dict[str, None]
    imported: dict[str, None]
    texts: dict[str, None]


def _names_in(code: types.CodeType) -> _Names:
    """Return what code reads by name, also in functions within it."""
    found = _Names({}, {}, {}, dict.fromkeys(c for c in code.co_consts if isinstance(c, str)))
    for step in dis.get_instructions(code):
        for names, operations in zip(found, _OPERATIONS, strict=False):
            if step.opname in operations:
                names[step.argval] = None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            for names, more in zip(found, _names_in(constant), strict=True):
                names.update(more)
    return found


def _no_digest(place: str, what: str, hint: str = _AS_ARGUMENT) -> ParameterError:
    return ParameterError(
        f"is {what}, of which no digest can be had, so that kept frames could be of another one",
        place=place,
        hint=hint,
    )
