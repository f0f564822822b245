"""``fleetsim forecast``: who trusts whom, when, and until when it is safe to switch."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509

from fleetsim.cli.forecast_text import print_forecast
from fleetsim.cli.options import (
    OptionalScenarioName,
    ProfileName,
    Settings,
    load_scenario,
)
from fleetsim.core.settings import CipherTable, DeviceProfile
from fleetsim.exceptions import InputError, Problem
from fleetsim.forecast.coverage import NamedChain
from fleetsim.forecast.forecast import Question, forecast_data, make_forecast
from fleetsim.pki.certificates import parse_certificates_pem
from fleetsim.pki.files import read_file
from fleetsim.profiles import catalog
from fleetsim.report.console import make_console
from fleetsim.runner.forecasting import (
    ANY_SERVER,
    questions_of,
    run_start,
    with_files,
)
from fleetsim.scenario.dates import parse_date
from fleetsim.scenario.plan import make_plan
from fleetsim.scenario.suggest import did_you_mean

_YEARS: Final = 3
_PROFILE: Final = "canedge2"


def forecast_command(
    ctx: typer.Context,
    scenario: OptionalScenarioName = None,
    *,
    bundle: Annotated[
        list[Path] | None,
        typer.Option(help="Trust bundle of the devices (certs_server.p7b); several."),
    ] = None,
    chain: Annotated[
        list[Path] | None,
        typer.Option(
            help="What the server sends, PEM, leaf first; several, in the order of "
            "their use. No key is needed."
        ),
    ] = None,
    profile: ProfileName = _PROFILE,
    cipher_table: Annotated[
        str | None,
        typer.Option(
            help="Cipher table of the profile.", show_default="the first of it"
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Host name or address of the endpoint.",
            show_default="the first name of the first chain",
        ),
    ] = None,
    ciphers: Annotated[
        str,
        typer.Option(help="TLS 1.2 suites the server takes, OpenSSL's syntax."),
    ] = ANY_SERVER.cipher_list,
    from_date: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DATE", help="First day, UTC.", show_default="today"
        ),
    ] = None,
    to_date: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="DATE",
            help="End, UTC.",
            show_default=f"{_YEARS} years later",
        ),
    ] = None,
    settings: Settings = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object.", envvar="FLEETSIM_JSON"),
    ] = False,
) -> None:
    """Forecast who trusts whom, when: bundles x chains x dates, by real handshakes.

    Prints for every bundle and chain from when to when each cipher group of the device
    connects and why not, what in the files asks for trouble, and when it is safe to
    switch from one chain to the next.

    Examples:
      fleetsim forecast --bundle certs_server.p7b --chain server.pem
      fleetsim forecast --bundle certs_server.p7b --chain old.pem --chain new.pem \
--host s3.example.com --from 2026-01-01 --to 2028-01-01
      fleetsim forecast my-rotation.yaml --json
    """
    if scenario is None:
        start, end = _window(from_date, to_date, datetime.now(UTC))
        question = Question(
            title="devices",
            profile=catalog.load(profile).profile,
            table=_table(catalog.load(profile).profile, cipher_table),
            host="",
            bundles=(),
            chains=(),
            base=replace(ANY_SERVER, cipher_list=ciphers),
            window=(start, end),
        )
        questions: tuple[Question, ...] = (question,)
    else:
        questions = _scenario_questions(
            ctx, scenario, settings or [], from_date, to_date
        )
    chains = _chains(chain or [])
    questions = tuple(
        _with_host(with_files(each, bundle or [], chains), host) for each in questions
    )
    _require_complete(questions)
    forecasts = [make_forecast(each) for each in questions]
    if as_json:
        document = {"forecasts": [forecast_data(each) for each in forecasts]}
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    console = make_console(sys.stdout)
    for each in forecasts:
        print_forecast(each, console)


def _scenario_questions(
    ctx: typer.Context,
    scenario: str,
    settings: list[str],
    from_date: str | None,
    to_date: str | None,
) -> tuple[Question, ...]:
    path, parsed, load_profile = load_scenario(ctx, scenario, settings)
    plan = make_plan(parsed, load_profile)
    now = run_start(plan, datetime.now(UTC))
    return questions_of(plan, path.parent, now, _window(from_date, to_date, now))


def _window(
    from_date: str | None, to_date: str | None, now: datetime
) -> tuple[int, int]:
    problems: list[Problem] = []

    def read(option: str, text: str | None, default: int) -> int:
        if text is None:
            return default
        try:
            return parse_date(text)
        except ValueError as exc:
            problems.append(Problem(option, str(exc)))
            return default

    start = read("--from", from_date, int(now.timestamp()))
    later = timedelta(days=365 * _YEARS).total_seconds()
    end = read("--to", to_date, start + int(later))
    if not problems and end <= start:
        problems.append(Problem("--to", "is not after --from"))
    if problems:
        raise InputError(problems)
    return start, end


def _table(profile: DeviceProfile, name: str | None) -> CipherTable:
    names = [table.name for table in profile.cipher_tables]
    if name is None:
        return profile.cipher_tables[0]
    if name not in names:
        what = (
            f"profile {profile.name} has no table {name!r}"
            f"{did_you_mean(name, names)}; it has {', '.join(names)}"
        )
        raise InputError(Problem("--cipher-table", what))
    return profile.cipher_tables[names.index(name)]


def _chains(paths: list[Path]) -> list[NamedChain]:
    problems: list[Problem] = []
    found: list[NamedChain] = []
    for path in paths:
        try:
            certificates = parse_certificates_pem(read_file(path), str(path))
        except InputError as exc:
            problems += exc.problems
            continue
        found.append(NamedChain(name=path.name, certificates=certificates))
    if problems:
        raise InputError(problems)
    return found


def _with_host(question: Question, host: str | None) -> Question:
    if host:
        return replace(question, host=host)
    if question.host or not question.chains:
        return question
    return replace(question, host=_first_name(question.chains[0].certificates[0]))


def _first_name(leaf: x509.Certificate) -> str:
    try:
        names = leaf.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except x509.ExtensionNotFound:
        common = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return str(common[0].value) if common else ""
    return next((str(name.value).replace("*", "any") for name in names), "")


def _require_complete(questions: tuple[Question, ...]) -> None:
    problems = [
        Problem(option, f"{question.title}: {what}")
        for question in questions
        for option, is_there, what in (
            ("--bundle", question.bundles, "which certificates do they trust?"),
            ("--chain", question.chains, "what does the server send?"),
            ("--host", question.host, "which host do they connect to?"),
        )
        if not is_there
    ]
    if not questions:
        problems = [Problem("scenario", "no cohort speaks TLS: nothing can expire")]
    if problems:
        raise InputError(problems)
