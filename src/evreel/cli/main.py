"""The command line: parsing, logging, exit codes."""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
from collections.abc import Sequence

from evreel import __version__
from evreel.cli.commands import COMMANDS
from evreel.errors import EvreelError, OneLineFormatter, did_you_mean
from evreel.outputs import ended_in_order

_TO_SET = re.compile(r"\bset (?:(?P<group>[a-z_]+)[./])?(?P<name>[a-z_]+)(?=: \w)")
"""A setting in the hint of an error, such as ``set on_damage: salvage``."""
_SIGPIPE = 13
"""What POSIX calls it; `signal` of Windows does not."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 bad data or a difference, 2 usage."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options, unknown = _parser(given).parse_known_args(given)
    if unknown:
        guess = _meant(options.parser, unknown[0])
        advice = f"; {guess}" if guess else ""
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}{advice}")
    log = logging.getLogger("evreel")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLineFormatter())
    log.addHandler(handler)
    log.setLevel(logging.WARNING if options.quiet else logging.INFO)
    try:
        with ended_in_order():
            code: int = options.run(options)
    except EvreelError as error:
        said = _with_options(str(error), options.parser)
        print(f"{type(error).__name__}: {said}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of our output has gone, as `evreel info … | head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + _SIGPIPE
    except OSError as error:
        from evreel.steps import os_error

        print(os_error(error), file=sys.stderr)
        return 1
    except MemoryError as error:
        from evreel.steps import memory_error

        print(f"MemoryError: {memory_error(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        log.removeHandler(handler)
    return code


def _with_options(said: str, parser: argparse.ArgumentParser) -> str:
    """Return what an error says, with the option of each setting that it tells to set.

    Errors name settings as a config does, because most commands are also steps of a workflow. What
    the command has no option for stays as it is.
    """
    flags = {each.dest: each.option_strings[0] for each in parser._actions if each.option_strings}

    def with_option(setting: re.Match[str]) -> str:
        # The same name in another group is another setting.
        is_own = setting["group"] in (None, parser.prog.split()[-1])
        flag = flags.get(setting["name"]) if is_own else None
        return f"{setting[0]} ({flag})" if flag else setting[0]

    return _TO_SET.sub(with_option, said)


def _meant(parser: argparse.ArgumentParser, unknown: str) -> str | None:
    """Return what was probably meant by an argument that a command does not know."""
    options = parser._option_string_actions  # argparse has no other name for them
    if unknown.startswith("-"):
        return did_you_mean(unknown, options)
    if unknown.endswith((".yaml", ".yml")) and "--configfile" in options:
        return f"did you mean '--configfile {unknown}'?"
    if any(action.nargs == "*" for action in parser._get_positional_actions()):
        return f"give {unknown!r} before the options"
    return None


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser, with the options of the command that is given alone: they take imports."""
    parser = argparse.ArgumentParser(
        prog="evreel", description="Event-camera data set releases, step by step."
    )
    parser.add_argument("--version", action="version", version=f"evreel {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    asked = next((argument for argument in given if not argument.startswith("-")), None)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.text, description=command.text)
        if name == asked:
            sub.add_argument("-q", "--quiet", action="store_true", help="print errors only")
            sub.set_defaults(run=command.run, parser=sub)
            for add in command.options:
                add(sub)
    return parser
