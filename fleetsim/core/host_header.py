"""Host header: how an endpoint is named in a request (RFC 9110 7.2, RFC 3986 3.2.2)."""

import ipaddress
from typing import Final

from fleetsim.core.settings import Endpoint, RequestStyle
from fleetsim.exceptions import InputError, Problem

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def host_header(endpoint: Endpoint) -> str:
    """Write the ``Host`` of requests to an endpoint.

    IPv6 literals are bracketed, without zone; the scheme's default port is left out;
    in virtual-hosted style the bucket is the first label.

    Raises:
        InputError: Virtual-hosted style with an IP literal: a bucket name cannot be
            put in front of an address.
    """
    host = endpoint.host.partition("%")[0] if ":" in endpoint.host else endpoint.host
    is_literal = _is_ip_literal(host)
    if endpoint.style is RequestStyle.VIRTUAL:
        if is_literal:
            raise InputError(
                Problem(
                    "endpoint",
                    f"virtual-hosted style needs a host name, {host!r} is an address:"
                    " use path style",
                )
            )
        host = f"{endpoint.bucket}.{host}"
    elif is_literal and ":" in host:
        host = f"[{host}]"
    if endpoint.port == _DEFAULT_PORTS.get(endpoint.scheme):
        return host
    return f"{host}:{endpoint.port}"


def _is_ip_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
