"""numba loops only: plain arrays in, a given array filled. Imports nothing of ours.

Kernels trust, their callers check. A kernel calls only helpers of its own file, because numba's
cache follows the edits of one file and no others.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a loop; the one place of numba's flags.

    ``cache`` saves 0.5 to 2 s of compilation a process; ``nogil`` lets a thread compress while
    another accumulates. No ``fastmath``: it would let results differ between processors.
    Where no folder can be written to for the cache, each process compiles anew.
    """
    try:
        return cast(Function, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        return cast(Function, numba.njit(nogil=True)(function))
