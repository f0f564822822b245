"""Names: subjects and subject alternative names, checked before anything is signed."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from fleetsim.exceptions import InputError, Problem

COMMON_NAME_MAX: Final = 64  # ub-common-name, RFC 5280 appendix A.1

_HOST_MAX: Final = 253  # RFC 1035 2.3.4: 255 octets on the wire
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")


def subject(common_name: str) -> x509.Name:
    """Make a name with one CommonName; empty text makes the empty name.

    Raises:
        InputError: When longer than 64 bytes (UTF-8) or holding control characters.
    """
    if not common_name:
        return x509.Name([])
    problems = tuple(_common_name_problems(common_name))
    if problems:
        raise InputError(problems)
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def ca_subject(common_name: str) -> x509.Name:
    """Make the name of an authority, which must not be empty (RFC 5280 4.1.2.4).

    Raises:
        InputError: When empty or unusable as a common name.
    """
    if not common_name:
        raise InputError(Problem("common name of a CA", "must not be empty"))
    return subject(common_name)


def common_name_of(name: x509.Name) -> str:
    """Read the first CommonName of a name, or its RFC 4514 text when there is none."""
    attributes = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attributes[0].value) if attributes else name.rfc4514_string()


def server_names(
    names: Sequence[str],
    ips: Sequence[str],
    common_name: str | None = None,
    *,
    with_common_name: bool = True,
) -> tuple[x509.Name, x509.SubjectAlternativeName]:
    """Make subject and alternative names of a server certificate.

    Args:
        names: DNS names in ASCII; ``*`` is allowed as the whole first label.
        ips: IPv4 and IPv6 addresses.
        common_name: Subject; ``None`` = the first name or address.
        with_common_name: ``False`` = empty subject.

    Raises:
        InputError: With everything that is wrong.
    """
    problems: list[Problem] = []
    if not names and not ips:
        problems.append(Problem("server", "needs at least one DNS name or IP address"))
    chosen = common_name if common_name is not None else next(iter((*names, *ips)), "")
    if with_common_name:
        problems.extend(_common_name_problems(chosen))
    general: list[x509.GeneralName] = []
    for name in names:
        what = _host_problem(name)
        if what:
            problems.append(Problem(f"name {name!r}", what))
        else:
            general.append(x509.DNSName(name))
    for text in ips:
        try:
            general.append(x509.IPAddress(ip_address(text)))
        except ValueError:
            problems.append(Problem(f"ip {text!r}", "is not an IPv4 or IPv6 address"))
    if problems:
        raise InputError(problems)
    return subject(chosen if with_common_name else ""), x509.SubjectAlternativeName(
        general
    )


def _common_name_problems(common_name: str) -> Iterator[Problem]:
    where = f"common name {common_name!r}"
    # The RFC counts characters, the cryptography library bytes: the stricter rules.
    length = len(common_name.encode("utf-8", "surrogatepass"))
    if length > COMMON_NAME_MAX:
        yield Problem(where, f"has {length} bytes, {COMMON_NAME_MAX} at most")
    if not common_name.isprintable():
        yield Problem(where, "holds control characters")


def _host_problem(name: str) -> str:
    """Say what is wrong with a DNS name, or nothing."""
    if not name.isascii():
        return "is not ASCII; write the xn-- form of an international name"
    if _is_address(name):
        return "is an IP address, not a DNS name"
    labels = name.removeprefix("*.").split(".")
    if len(name) > _HOST_MAX or not all(_LABEL.match(label) for label in labels):
        return "is not a DNS name"
    return ""


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
