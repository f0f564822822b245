"""``fleetsim init``: a scenario file to start from.

Either a copy of a scenario that comes with the package, or one made from the
configuration of a real device. Nothing is written unless it is a valid scenario.
"""

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from fleetsim.cli.options import LibraryScenario
from fleetsim.cli.scenario_files import find_scenario, library_names, read_scenario
from fleetsim.core import device_config
from fleetsim.core.settings import DeviceProfile
from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.files import problem_of, read_file, replace_file, write_new
from fleetsim.profiles import catalog
from fleetsim.scenario.from_config import scenario_from_config
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.suggest import did_you_mean

_STANDARD_OUTPUT: Final = "-"
_DEFAULT_COUNT: Final = 100
_LONGEST_NAME: Final = 63


def init_command(
    name: LibraryScenario = None,
    *,
    from_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Make a scenario from a device configuration (config-01.0x.json). "
            "Secrets in it are not taken over.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1_000_000,
            show_default=str(_DEFAULT_COUNT),
            help="Devices, with --from-config.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default="NAME.yaml or fleet.yaml",
            help="File to write; - = standard output.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite an existing file.")
    ] = False,
) -> None:
    """Write a scenario file to start from.

    Examples:
      fleetsim init quickstart
      fleetsim init --from-config config-01.07.json --count 500 -o fleet.yaml
    """
    target = output or ("fleet.yaml" if name is None else f"{name}.yaml")
    if from_config is None:
        text = _library_text(name, count)
    elif name is not None:
        what = "give the name of a library scenario or --from-config, not both"
        raise InputError(Problem("init", what))
    else:
        stem = "fleet" if target == _STANDARD_OUTPUT else Path(target).stem
        text = _config_text(from_config, stem, count or _DEFAULT_COUNT)
    if target == _STANDARD_OUTPUT:
        typer.echo(text, nl=False)
        return
    _write(Path(target), text, force=force)
    typer.echo(f"wrote {target}; look at it with: fleetsim check {target}", err=True)


def _library_text(name: str | None, count: int | None) -> str:
    known = library_names()
    library = "'fleetsim list' shows them"
    if count is not None:
        what = "--count goes with --from-config only; change the copy instead"
        raise InputError(Problem("--count", what))
    if name is None:
        what = f"give the name of a library scenario or --from-config FILE; {library}"
        raise InputError(Problem("init", what))
    if name not in known:
        near = did_you_mean(name, known)
        what = f"there is no library scenario {name[:200]!r}{near}; {library}"
        raise InputError(Problem("init", what))
    return read_scenario(find_scenario(name))


def _config_text(source: Path, stem: str, count: int) -> str:
    data = read_file(source)
    text = scenario_from_config(
        device_config.parse(data, str(source)),
        name=_scenario_name(stem),
        count=count,
        source=source.name,
        checksum=device_config.crc32(data),
    )
    # The lines are those of the scenario that would have been written.
    parse_scenario(text, f"scenario from {source.name}", _load_profile)
    return text


def _load_profile(name: str) -> DeviceProfile:
    return catalog.load(name).profile


def _scenario_name(stem: str) -> str:
    """A scenario name made of a file name."""
    words = re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_")
    return words[:_LONGEST_NAME] or "fleet"


def _write(path: Path, text: str, *, force: bool) -> None:
    data = text.encode()
    if force:
        replace_file(path, data)
        return
    try:
        write_new(path, data)
    except FileExistsError:
        what = "exists already; --force overwrites it"
        raise InputError(Problem(str(path), what)) from None
    except OSError as exc:
        raise InputError(problem_of(path, exc)) from exc
