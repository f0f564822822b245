"""Lazy commands: a command's modules are imported when it is asked for, not before.

The overview, ``--version``, shell completion of command names and the spelling of a
mistyped one need names and one sentence each; importing everything for them would take
ten times longer than what they do. What every command and option shall have in common is
given to it here: an environment variable, a help text that is shown as it is written.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Final

import typer
import typer.core
import typer.main

from fleetsim.cli.errors import Commands
from fleetsim.scenario.suggest import did_you_mean

PREFIX: Final = "FLEETSIM"
HELP_NAMES: Final = ("-h", "--help")
UNPREFIXED: Final = ("run",)
"""The command whose options need no command in the names of their variables."""
_WITHOUT_VARIABLE: Final = frozenset({"help"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LazyCommand:
    """A command that is not imported yet.

    Attributes:
        target: ``module:name`` of its function, or of its ``typer.Typer`` group.
        summary: First paragraph of its help.
        panel: Heading it stands under in the overview.
    """

    target: str
    summary: str
    panel: str

    def stub(self, name: str) -> typer.core.TyperCommand:
        """What the overview shows of it."""
        return typer.core.TyperCommand(
            name, help=self.summary, rich_help_panel=self.panel
        )

    def load(self, name: str) -> Any:
        """Import it, make it a command and dress it."""
        module, attribute = self.target.split(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            app = typer.Typer(
                context_settings={"help_option_names": list(HELP_NAMES)},
                add_completion=False,
            )
            app.command(name)(found)
            found = app
        command = typer.main.get_command(found)
        command.name = name
        for path, each in walk(command, (name,)):
            dress(each, path)
        return command


class LazyCommands(Commands):
    """A group that imports a command when its name is on the command line.

    A subclass lists its commands in :attr:`lazy`; the order is that of the overview.
    """

    lazy: ClassVar[dict[str, LazyCommand]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands, imported or not."""
        return [
            *self.lazy,
            *(n for n in super().list_commands(ctx) if n not in self.lazy),
        ]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command if it is imported, else what the overview shows of it."""
        found = super().get_command(ctx, cmd_name)
        if found is None and cmd_name in self.lazy:
            return self.lazy[cmd_name].stub(cmd_name)
        return found

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command the arguments name, importing it."""
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            ctx.fail(f"No such command {args[0]!r}{did_you_mean(args[0], known)}.")
        if args and args[0] in self.lazy:
            self.load(args[0])
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            # Imports are over: from here on an interrupt is an exception again.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return super().resolve_command(ctx, args)

    def load(self, name: str) -> Any:
        """Import a command unless that is done.

        Raises:
            KeyError: There is none of this name.
        """
        if name not in self.commands:
            self.commands[name] = self.lazy[name].load(name)
        return self.commands[name]


def walk(
    command: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give a command and all below it with their names on the command line.

    Args:
        command: A command, or a group of them; lazy ones are imported.
        path: Its own names.

    Yields:
        Names without the program's, and the command.
    """
    yield path, command
    if isinstance(command, LazyCommands):
        for name in command.lazy:
            command.load(name)
    for name, each in getattr(command, "commands", {}).items():
        yield from walk(each, (*path, name))


def dress(command: Any, path: tuple[str, ...]) -> None:
    """Give a command what all commands have.

    Args:
        command: The command; its parameters are changed.
        path: Its names, without the program's.
    """
    command.help = _shown(_flowing(command.help or ""))
    for parameter in command.params:
        if getattr(parameter, "help", None):
            parameter.help = _shown(parameter.help)
        if parameter.param_type_name == "option":
            names = _variables(parameter, path)
            # Long names do not fit beside the help text: `help environment` has them.
            parameter.show_envvar = parameter.envvar is not None or path == UNPREFIXED
            parameter.envvar = names[0] if len(names) == 1 else names or None


def long_name(option: Any) -> str:
    """Long name of an option without dashes, the positive one of a pair."""
    names = [name for name in option.opts if name.startswith("--")]
    return str(names[0] if names else option.opts[0]).lstrip("-")


def _variables(option: Any, path: tuple[str, ...]) -> list[str]:
    """``FLEETSIM_SEED``, ``FLEETSIM_LAB_PORT``: ours first, then what it names itself."""
    if long_name(option) in _WITHOUT_VARIABLE:
        return []
    given = option.envvar or []
    names = [given] if isinstance(given, str) else list(given)
    if any(name.startswith(f"{PREFIX}_") for name in names):
        return names
    words = [PREFIX, *(() if path == UNPREFIXED else path), long_name(option)]
    return ["_".join(words).replace("-", "_").upper(), *names]


def _flowing(text: str) -> str:
    """Join the lines of a paragraph that is prose; a block of examples stays as it is."""
    first, *others = (
        each if "\n " in each or each.startswith(" ") else each.replace("\n", " ")
        for each in text.split("\n\n")
    )
    # The empty paragraph keeps typer from taking the examples' indentation away.
    return "\n\n".join([first, "", *others] if others else [first])


def _shown(text: str) -> str:
    """Text that rich shows as it is: ``[ordinary]`` would be markup and vanish."""
    return text.replace("[", r"\[") if typer.core.HAS_RICH else text
