"""Steps called with their settings by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from evreel import steps
from evreel.settings import Settings, settings_of


def with_settings(step: Callable[..., Any], *paths: object, **options: Any) -> Any:
    """Call a step; options that are settings, and not its own, go into the objects it takes."""
    own = inspect.signature(step).parameters
    for name, parameter in own.items():
        of = getattr(steps, str(parameter.annotation), None)
        if isinstance(of, type) and issubclass(of, Settings):
            free = [key for key in settings_of(of) if key in options and key not in own]
            given = {key: options.pop(key) for key in free}
            if given:
                options[name] = of(**given)
    return step(*paths, **options)
