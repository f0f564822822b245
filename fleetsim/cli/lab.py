"""``fleetsim lab``: serve an S3 endpoint alone, in the foreground."""

import json
import os
import shlex
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from fleetsim.core.settings import Credentials, Security
from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.settings import LabAddress
from fleetsim.lab.standalone import (
    Standalone,
    StandaloneOptions,
    is_loopback,
    prepare,
    serve,
)
from fleetsim.scenario.quantities import parse_size

_MEMORY = "memory"
_LIMIT_BYTES = 2 * 1024**3


def _size(text: str | int) -> int:
    try:
        return parse_size(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from exc


def lab_command(
    *,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on.", envvar="FLEETSIM_LAB_HOST"),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Port; 0 = any.", envvar="FLEETSIM_LAB_PORT"
        ),
    ] = 9443,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="Host name or address clients will use; for a new server certificate. "
            "May be given several times.",
        ),
    ] = None,
    security: Annotated[
        Security,
        typer.Option(help="low = HTTP, medium = HTTPS, high = mutual TLS."),
    ] = Security.MEDIUM,
    bucket: Annotated[str, typer.Option(help="Bucket that exists.")] = "fleet",
    region: Annotated[
        str,
        typer.Option(
            help="Region to sign for.", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"]
        ),
    ] = "us-east-1",
    pki: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="PKI folder, see `fleetsim pki`; made when missing. Without this "
            "option a private one is made and removed at the end.",
        ),
    ] = None,
    store: Annotated[
        str, typer.Option(metavar="memory|DIR", help="Where objects are kept.")
    ] = _MEMORY,
    limit: Annotated[
        int,
        typer.Option(
            parser=_size,
            metavar="SIZE",
            show_default="2GiB",
            help="Most bytes of objects.",
        ),
    ] = _LIMIT_BYTES,
    discard_bodies: Annotated[
        bool,
        typer.Option(
            "--discard-bodies", help="Keep size and ETag of objects only: load tests."
        ),
    ] = False,
    ciphers: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="TLS 1.2 suites, OpenSSL syntax.", show_default="all"
        ),
    ] = "",
    tls_versions: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Versions, comma between.", show_default="1.2,1.3"
        ),
    ] = "",
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one JSON object when ready.", envvar="FLEETSIM_JSON"
        ),
    ] = False,
) -> None:
    """Serve an S3 endpoint until Ctrl-C.

    Credentials are made up at every start, unless AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY are set. SIGHUP reads certificates and revocation lists again.

    Examples:
      fleetsim lab
      fleetsim lab --security high --pki pki
      fleetsim lab --security low --port 9000 --store objects --limit 20GiB
      fleetsim lab --ciphers AES128-SHA --tls-versions 1.2
    """
    given = _environment_credentials()
    options = StandaloneOptions(
        host=host,
        port=port,
        names=tuple(name or ()),
        security=security,
        bucket=bucket,
        region=region,
        credentials=given,
        store_folder=None if store == _MEMORY else Path(store),
        limit_bytes=limit,
        keep_bodies=not discard_bodies,
        cipher_list=ciphers,
        tls_versions=tuple(part for part in tls_versions.split(",") if part),
    )
    if not is_loopback(host):
        _warn(f"listening on {host}: other machines can reach this lab")
    # Whatever ends the program shall remove the private keys it made.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="fleetsim-lab-") as private:
        lab = prepare(options, pki or Path(private) / "pki", datetime.now(UTC))

        def on_ready(address: LabAddress) -> None:
            for note in lab.notes:
                _warn(note)
            if as_json:
                typer.echo(json.dumps(_facts(lab, address, is_ours=given is None)))
            else:
                for line in _lines(lab, address, is_ours=given is None):
                    typer.echo(line)

        stats = uvloop.run(
            serve(
                lab,
                clock=lambda: time.time_ns() / 1e9,
                on_ready=on_ready,
                on_reload=lambda text: typer.echo(text, err=True),
            )
        )
    typer.echo(_farewell(stats), err=True)


def _environment_credentials() -> Credentials | None:
    access_key = os.environ.get("AWS_ACCESS_KEY_ID", "")
    secret_key = os.environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not access_key and not secret_key:
        return None
    if not access_key or not secret_key:
        missing = "AWS_SECRET_ACCESS_KEY" if access_key else "AWS_ACCESS_KEY_ID"
        raise InputError(Problem(missing, "is not set, but its counterpart is"))
    return Credentials(
        access_key=access_key,
        secret_key=secret_key,
        session_token=os.environ.get("AWS_SESSION_TOKEN", ""),
    )


def _facts(lab: Standalone, address: LabAddress, *, is_ours: bool) -> dict[str, Any]:
    """What a script needs. A secret that came from the environment is not repeated."""
    options = lab.options
    facts: dict[str, Any] = {
        "endpoint": lab.endpoint(address),
        "bucket": options.bucket,
        "region": options.region,
        "security": options.security.value,
        "access_key_id": lab.credentials.access_key,
    }
    if is_ours:
        facts["secret_access_key"] = lab.credentials.secret_key
    if lab.ca_path is not None:
        facts["ca_path"] = str(lab.ca_path.resolve())
    if lab.client_files is not None:
        certificate, key = lab.client_files
        facts["client_certificate_path"] = str(certificate.resolve())
        facts["client_key_path"] = str(key.resolve())
    return facts


def _lines(lab: Standalone, address: LabAddress, *, is_ours: bool) -> Iterator[str]:
    """What a person copies into a shell."""
    facts = _facts(lab, address, is_ours=is_ours)
    endpoint, bucket = facts["endpoint"], facts["bucket"]
    yield f"# S3 endpoint {endpoint}, bucket {bucket}, security {facts['security']}"
    variables = {
        "AWS_ACCESS_KEY_ID": facts["access_key_id"] if is_ours else None,
        "AWS_SECRET_ACCESS_KEY": facts.get("secret_access_key"),
        "AWS_REGION": facts["region"],
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_CA_BUNDLE": facts.get("ca_path"),
    }
    if not is_ours:
        yield f"# credentials {facts['access_key_id']}, taken from the environment"
    for variable, value in variables.items():
        if value is not None:
            yield f"export {variable}={shlex.quote(value)}"
    yield "# for example:"
    if "client_key_path" in facts:
        yield (
            f"curl --cacert {shlex.quote(facts['ca_path'])} "
            f"--cert {shlex.quote(facts['client_certificate_path'])} "
            f"--key {shlex.quote(facts['client_key_path'])} "
            f"--aws-sigv4 aws:amz:{facts['region']}:s3 "
            '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" '
            f"--upload-file FILE {endpoint}/{bucket}/FILE"
        )
    else:
        yield f"aws s3 cp FILE s3://{bucket}/"


def _farewell(stats: Mapping[str, Any]) -> str:
    requests = stats["requests"]
    handshakes: dict[str, int] = {}
    for front in stats["fronts"].values():
        for result, count in front["handshakes"].items():
            handshakes[result] = handshakes.get(result, 0) + count
    parts = [
        f"{requests['total']} requests",
        *(f"{count} x {status}" for status, count in requests["by_status"].items()),
        f"{stats['store']['objects']} objects",
        *(f"{count} handshakes {result}" for result, count in handshakes.items()),
        f"{stats['cpu_s']:.1f} s CPU in {stats['uptime_s']:.1f} s",
    ]
    return "lab stopped: " + ", ".join(parts)


def _warn(text: str) -> None:
    typer.echo(f"warning: {text}", err=True)
