"""Steps called with their settings by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from evreel import steps
from evreel.settings import Settings, settings_of


def with_settings(step: Callable[..., Any], *paths: object, **options: Any) -> Any:
    """Call a step; options that are settings go into the objects that it takes."""
    for name, parameter in inspect.signature(step).parameters.items():
        of = getattr(steps, str(parameter.annotation), None)
        if isinstance(of, type) and issubclass(of, Settings):
            given = {key: options.pop(key) for key in settings_of(of) if key in options}
            if given:
                options[name] = of(**given)
    return step(*paths, **options)
