"""``fleetsim pki``: make and change a PKI folder.

Durations are written as in scenarios (``30s``, ``90d``). Every command ends with exit
code 2 and all problems on standard error when its input cannot be used; then nothing on
disk has changed. No command prints a key.

Long because most of it is options and their help texts.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetsim.cli.errors import Commands
from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.authority import create_intermediate, create_root
from fleetsim.pki.certificates import Usage, Validity
from fleetsim.pki.crl import Reason
from fleetsim.pki.files import locked, read_file
from fleetsim.pki.folder import (
    CRL_FILE,
    ROOT,
    PkiFolder,
    create_folder,
    load_folder,
    serials_from,
)
from fleetsim.pki.identities import (
    DEFAULT_POOL_SIZE,
    issue_devices,
    numbered_ids,
    parse_ids,
)
from fleetsim.pki.index import Kind
from fleetsim.pki.inventory import add_devices, add_server, revoke, write_crls
from fleetsim.pki.keys import KeyType, PrivateKey, parse_key_pem
from fleetsim.pki.leaves import issue_server
from fleetsim.pki.listing import CertificateRow, list_certificates
from fleetsim.scenario.quantities import parse_duration

_DAY_S = 86400.0
_CA_LIFETIME_S = 3650 * _DAY_S
_LEAF_LIFETIME_S = 90 * _DAY_S
_DEVICE_LIFETIME_S = 3650 * _DAY_S
_CRL_LIFETIME_S = 7 * _DAY_S
_SHOWN_DEVICES = 10
_NO_TERMINAL_WIDTH = 200

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Certificate authorities, server and device certificates, revocation lists.",
)
issue_app = typer.Typer(
    no_args_is_help=True, help="Issue server and device certificates."
)
app.add_typer(issue_app, name="issue")


def _duration(text: str | float) -> float:
    try:
        return parse_duration(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc


def _offset(text: str | float) -> float:
    try:
        return parse_duration(text, signed=True)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The PKI folder.")]
StartsIn = Annotated[
    float,
    typer.Option(
        parser=_offset,
        metavar="DURATION",
        show_default="now",
        help="Start of validity relative to now; -2d = two days ago.",
    ),
]
AllowExpired = Annotated[
    bool,
    typer.Option(
        "--allow-expired", help="Go on with a CA that is not valid at the moment."
    ),
]


@app.command("init")
def init_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Missing or empty.")],
    *,
    ca_name: Annotated[
        str, typer.Option("--ca-name", help="First words of the CAs' common names.")
    ] = "fleetsim",
    key_type: Annotated[KeyType, typer.Option(help="Kind of the CAs' keys.")] = (
        KeyType.RSA_2048
    ),
    root_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Key for the root instead of a new one."),
    ] = None,
    no_intermediate: Annotated[
        bool,
        typer.Option("--no-intermediate", help="Issue everything from the root."),
    ] = False,
    lifetime: Annotated[
        float,
        typer.Option(
            parser=_duration,
            metavar="DURATION",
            show_default="3650d",
            help="Lifetime of the CA certificates.",
        ),
    ] = _CA_LIFETIME_S,
    starts_in: StartsIn = 0.0,
    seed: Annotated[
        int | None,
        typer.Option(help="Make serial numbers repeatable; keys are always random."),
    ] = None,
) -> None:
    """Make a PKI: a root, an intermediate for servers, one for devices, an empty CRL.

    Examples:
      fleetsim pki init pki
      fleetsim pki init pki-p256 --key-type p256 --no-intermediate
      fleetsim pki init short --lifetime 10m
    """
    now = datetime.now(UTC)
    validity = Validity.lasting(now, lifetime, starts_in_s=starts_in)
    serials = serials_from(seed, 0)
    root = create_root(
        validity=validity,
        common_name=f"{ca_name} root",
        key_type=key_type,
        key=_key_in(root_key),
        path_length=None,
        serials=serials,
    )
    authorities = {ROOT: root}
    if not no_intermediate:
        for name in ("intermediate", "devices-ca"):
            authorities[name] = create_intermediate(
                root,
                validity=validity,
                common_name=f"{ca_name} {name}",
                key_type=key_type,
                serials=serials,
            )
    create_folder(
        folder,
        authorities,
        server_authority=ROOT if no_intermediate else "intermediate",
        device_authority=ROOT if no_intermediate else "devices-ca",
        created=now,
        crl_validity=Validity.lasting(now, _CRL_LIFETIME_S),
        serial_seed=seed,
    )
    typer.echo(f"{folder}: {', '.join(authorities)}, valid {_period(validity)}")


@issue_app.command("server")
def issue_server_command(
    folder: Folder,
    *,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="DNS name; may be given several times."),
    ] = None,
    ip: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="IP address; several times."),
    ] = None,
    key_type: Annotated[KeyType, typer.Option(help="Kind of key.")] = (
        KeyType.RSA_2048
    ),
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Key to use, for example an RSA-512 one."),
    ] = None,
    lifetime: Annotated[
        float,
        typer.Option(
            parser=_duration,
            metavar="DURATION",
            show_default="90d",
            help="Lifetime; seconds are fine.",
        ),
    ] = _LEAF_LIFETIME_S,
    starts_in: StartsIn = 0.0,
    no_common_name: Annotated[
        bool, typer.Option("--no-common-name", help="Leave the subject empty.")
    ] = False,
    no_key_encipherment: Annotated[
        bool,
        typer.Option(
            "--no-key-encipherment", help="Break TLS key exchange by RSA, as some CAs."
        ),
    ] = False,
    usage: Annotated[
        list[Usage] | None,
        typer.Option(help="Extended key usage; several times.  [default: serverAuth]"),
    ] = None,
    allow_expired: AllowExpired = False,
) -> None:
    """Issue a server certificate.

    Examples:
      fleetsim pki issue server pki --name localhost --ip 127.0.0.1
      fleetsim pki issue server pki --name s3.example.com --lifetime 30s
      fleetsim pki issue server pki --name localhost --no-common-name --key-type p256
    """
    with locked(folder):
        now = datetime.now(UTC)
        pki = load_folder(folder, issuing_at=None if allow_expired else now)
        names, ips = tuple(name or ()), tuple(ip or ())
        leaf = issue_server(
            pki.server_authority,
            validity=Validity.lasting(now, lifetime, starts_in_s=starts_in),
            names=names,
            ips=ips,
            with_common_name=not no_common_name,
            with_key_encipherment=not no_key_encipherment,
            usages=tuple(usage) if usage else (Usage.SERVER_AUTH,),
            key_type=key_type,
            key=_key_in(key),
            serials=pki.next_serials(),
        )
        pki = add_server(pki, (*names, *ips)[0], leaf)
        entry = pki.index.certificates[-1]
        typer.echo(f"certificate {folder / entry.certificate}")
        typer.echo(f"key         {folder / entry.key}")


@issue_app.command("devices")
def issue_devices_command(
    folder: Folder,
    *,
    count: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="How many, ids counted up in hex."),
    ] = None,
    first_id: Annotated[
        str, typer.Option(metavar="HEX", help="Where --count begins.")
    ] = "00000001",
    ids: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Device ids, one a line, # comments."),
    ] = None,
    key_type: Annotated[KeyType, typer.Option(help="Kind of the devices' keys.")] = (
        KeyType.RSA_2048
    ),
    pool: Annotated[
        int, typer.Option(min=1, help="How many keys the devices share.")
    ] = DEFAULT_POOL_SIZE,
    unique_keys: Annotated[
        bool,
        typer.Option("--unique-keys", help="A key of its own each: slow with RSA."),
    ] = False,
    lifetime: Annotated[
        float,
        typer.Option(
            parser=_duration,
            metavar="DURATION",
            show_default="3650d",
            help="Lifetime; seconds are fine.",
        ),
    ] = _DEVICE_LIFETIME_S,
    starts_in: StartsIn = 0.0,
    allow_expired: AllowExpired = False,
) -> None:
    """Issue client certificates for devices: common name = device id.

    Examples:
      fleetsim pki issue devices pki --count 10000
      fleetsim pki issue devices pki --ids fleet.txt --key-type p256 --unique-keys
    """
    with locked(folder):
        now = datetime.now(UTC)
        pki = load_folder(folder, issuing_at=None if allow_expired else now)
        device_ids = _device_ids(count, first_id, ids)
        identities = issue_devices(
            pki.device_authority,
            device_ids,
            validity=Validity.lasting(now, lifetime, starts_in_s=starts_in),
            key_type=key_type,
            pool_size=pool,
            unique_keys=unique_keys,
            serials=pki.next_serials(),
        )
        pki = add_devices(
            pki, identities, key_type=key_type, unique_keys=unique_keys, issued_at=now
        )
        batch = pki.index.batches[-1]
        typer.echo(
            f"{folder / 'devices'}: {batch.devices} certificates, "
            f"{batch.keys} {batch.key_type} keys"
        )


@app.command("revoke")
def revoke_command(
    folder: Folder,
    which: Annotated[
        list[str],
        typer.Argument(
            metavar="ID_OR_SERIAL...", help="Device ids, server names, hex serials."
        ),
    ],
    *,
    reason: Annotated[Reason, typer.Option(help="Why.")] = Reason.UNSPECIFIED,
    no_crl: Annotated[
        bool, typer.Option("--no-crl", help="Leave crl.pem as it is.")
    ] = False,
    allow_expired: AllowExpired = False,
) -> None:
    """Revoke certificates and write crl.pem anew (valid 7 days).

    A name revokes every certificate of that name, a serial number exactly one.

    Examples:
      fleetsim pki revoke pki 00000007 00000008 --reason keyCompromise
      fleetsim pki revoke pki 5cebce30bca05923af44f7762f02b5d9128b284a
    """
    with locked(folder):
        now = datetime.now(UTC)
        pki = load_folder(folder, issuing_at=None if allow_expired else now)
        pki, revoked = revoke(pki, which, reason=reason, at=now)
        for entry in revoked:
            typer.echo(f"revoked {entry.name} {entry.serial}")
        if not no_crl:
            _write_crls(pki, Validity.lasting(now, _CRL_LIFETIME_S))


@app.command("crl")
def crl_command(
    folder: Folder,
    *,
    lifetime: Annotated[
        float,
        typer.Option(
            parser=_duration,
            metavar="DURATION",
            show_default="7d",
            help="From this update to next update.",
        ),
    ] = _CRL_LIFETIME_S,
    starts_in: StartsIn = 0.0,
    allow_expired: AllowExpired = False,
) -> None:
    """Write crl.pem anew: one list per CA, with the next CRL number.

    Examples:
      fleetsim pki crl pki --lifetime 1h
      fleetsim pki crl pki --starts-in -8d --lifetime 7d   (an expired list)
    """
    with locked(folder):
        now = datetime.now(UTC)
        pki = load_folder(folder, issuing_at=None if allow_expired else now)
        _write_crls(pki, Validity.lasting(now, lifetime, starts_in_s=starts_in))


@app.command("show")
def show_command(
    folder: Folder,
    *,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Everything, as one JSON document.",
            envvar="FLEETSIM_JSON",
        ),
    ] = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="Every device, not only the first ten.")
    ] = False,
) -> None:
    """Show what a PKI folder holds.

    Examples:
      fleetsim pki show pki
      fleetsim pki show pki --json
    """
    pki = load_folder(folder)
    entries = pki.index.certificates
    if not (as_json or show_all):
        devices = pki.index.of_kind(Kind.DEVICE)[:_SHOWN_DEVICES]
        entries = tuple(
            each for each in entries if each.kind is not Kind.DEVICE
        ) + tuple(devices)
    rows = list_certificates(pki, entries)
    if as_json:
        document = pki.index.model_dump(mode="json", exclude={"certificates"})
        document["certificates"] = [each.as_json() for each in rows]
        typer.echo(json.dumps(document, indent=2))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_NO_TERMINAL_WIDTH)
    console.print(_table(rows))
    hidden = len(pki.index.certificates) - len(rows)
    if hidden:
        typer.echo(f"{hidden} more devices (--all)")


def _write_crls(pki: PkiFolder, validity: Validity) -> None:
    pki = write_crls(pki, validity)
    revoked = sum(each.revoked_at is not None for each in pki.index.certificates)
    typer.echo(
        f"{pki.path / CRL_FILE}: number {pki.index.crl_number}, "
        f"{revoked} revoked, valid {_period(validity)}"
    )


def _device_ids(count: int | None, first_id: str, ids: Path | None) -> tuple[str, ...]:
    if (count is None) == (ids is None):
        raise InputError(Problem("devices", "give either --count or --ids"))
    if ids is not None:
        return parse_ids(read_file(ids), str(ids))
    try:
        first = int(first_id, 16)
    except ValueError as exc:
        raise InputError(Problem("--first-id", f"{first_id!r} is not hex")) from exc
    return numbered_ids(count or 0, first)


def _key_in(file: Path | None) -> PrivateKey | None:
    if file is None:
        return None
    return parse_key_pem(read_file(file, is_secret=True), str(file))


def _period(validity: Validity) -> str:
    return (
        f"{validity.not_before:%Y-%m-%dT%H:%M:%SZ} to "
        f"{validity.not_after:%Y-%m-%dT%H:%M:%SZ}"
    )


def _table(rows: tuple[CertificateRow, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in (
        "name", "subject", "issuer", "serial", "not before", "not after", "key",
        "usage", "SHA-256", "revoked",
    ):  # fmt: skip
        table.add_column(title, overflow="fold")
    for row in rows:
        revoked = f"{row.revoked_at:%Y-%m-%d} {row.reason}" if row.revoked_at else ""
        cells = (
            row.name,
            row.subject,
            row.issuer,
            row.serial,
            f"{row.not_before:%Y-%m-%d %H:%M:%S}",
            f"{row.not_after:%Y-%m-%d %H:%M:%S}",
            row.key,
            " ".join(row.usage),
            f"{row.sha256[:16]}…",
            revoked,
        )
        # Text, not markup: a subject may hold square brackets.
        table.add_row(*(Text(cell) for cell in cells))
    return table
