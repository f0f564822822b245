"""``fleetsim log-format``: what makes a server's log tell what a run can compare."""

from enum import StrEnum
from typing import Annotated

import typer

from fleetsim.target.observer import haproxy_log, nginx_log, rgw


class Server(StrEnum):
    """Servers whose word can be put beside the devices'."""

    NGINX = "nginx"
    HAPROXY = "haproxy"
    RGW = "rgw"


def log_format_command(
    server: Annotated[Server, typer.Argument(help="Whose configuration.")],
) -> None:
    """Print what to put into a server's configuration so that a run can read its log.

    A scenario then names the files, and its summary shows both sides of every handshake
    and request:

      target: {bucket: fleet, observe: {nginx_log: [fleetsim.log, fleetsim-errors.log]}}

    For example:

      fleetsim log-format nginx

      fleetsim log-format haproxy
    """
    match server:
        case Server.NGINX:
            typer.echo(nginx_log.settings(), nl=False)
        case Server.HAPROXY:
            typer.echo(haproxy_log.settings(), nl=False)
        case Server.RGW:
            typer.echo(rgw.settings(), nl=False)
