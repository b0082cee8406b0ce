"""numba loops only: plain arrays in, a given array filled. Imports nothing of ours.

Kernels trust, their callers check. A kernel calls only helpers of its own file, because numba's
cache notices edits of that file only.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from evreel.kernels.cache import SharedCache

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a loop; the one place with numba's flags.

    The cache on the disk saves 0.5 to 2 s of compilation per process; ``nogil`` lets one thread
    compress while another accumulates. No ``fastmath``: results would differ between processors.
    No entry for C, which nobody calls: that saves a twentieth of the compilation.
    If no folder for the cache is writable, each process compiles again.
    """
    flags: Any = {"nogil": True, "no_cfunc_wrapper": True}
    made: Any = numba.njit(**flags)(function)
    if made is not function:  # as it is with NUMBA_DISABLE_JIT
        try:
            made._cache = SharedCache(function)  # as ``cache=True`` does with numba's own
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
    return cast(Function, made)
