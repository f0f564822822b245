import subprocess

import pytest
from OpenSSL import SSL

from fleetsim.transport.tls_suites import (
    VERSIONS,
    known_suites,
    set_curves,
    set_modes,
    set_suites,
    split_suites,
    store_of,
    trust,
    version_problems,
)
from tests.integration.tls_wire import program
from tests.transport.pumps import ROOT

# The suites of the WINC module, in the order of its header (device.md 1.3).
WINC = (
    "AES128-SHA",
    "AES128-SHA256",
    "DHE-RSA-AES128-SHA",
    "DHE-RSA-AES128-SHA256",
    "AES128-GCM-SHA256",
    "DHE-RSA-AES128-GCM-SHA256",
    "AES256-SHA",
    "AES256-SHA256",
    "DHE-RSA-AES256-SHA",
    "DHE-RSA-AES256-SHA256",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
)


def offered(tls12: tuple[str, ...], tls13: tuple[str, ...], level: int) -> list[str]:
    """What a context with these suites has on its list."""
    context = SSL.Context(SSL.TLS_METHOD)
    set_suites(context, tls12, tls13, level)
    return SSL.Connection(context, None).get_cipher_list()


@pytest.mark.parametrize("suites", [WINC, WINC[::-1], WINC[5:9]], ids=str)
def test_order_is_kept(suites: tuple[str, ...]) -> None:
    """Suites are offered in the group's order, none added, none lost."""
    assert offered(suites, (), 0) == list(suites)


def test_tls13_comes_first() -> None:
    """Of a mixed group OpenSSL offers TLS 1.3 first; each part keeps its order."""
    mixed = ("AES128-SHA", "TLS_AES_256_GCM_SHA384", "AES256-SHA", TLS13)
    tls12, tls13 = split_suites(mixed)
    assert (tls12, tls13) == (
        ("AES128-SHA", "AES256-SHA"),
        ("TLS_AES_256_GCM_SHA384", TLS13),
    )
    assert offered(tls12, tls13, 0) == [*tls13, *tls12]


TLS13 = "TLS_AES_128_GCM_SHA256"


@pytest.mark.parametrize(
    "name",
    [
        "HIGH",
        "ALL:!RSA",
        "RC4-SHA",
        "DES-CBC3-SHA",
        "ADH-AES128-SHA",
        "NULL-SHA256",
        "AECDH-AES128-SHA",
        "TLS_FANCY_SHA512",
        "TLS_RSA_WITH_AES_128_CBC_SHA",
        "",
        "aes128-sha",
        "@SECLEVEL=0",
        "COMPLEMENTOFALL",
    ],
)
def test_what_is_no_suite(name: str) -> None:
    """Words of the cipher language, dropped and anonymous suites are not known."""
    tls12, tls13 = split_suites((name, "AES128-SHA"))
    assert name not in known_suites(tls12, tls13, 0)
    tls12, tls13 = split_suites((name,))
    assert name not in known_suites(tls12, tls13, 0)


def test_known_names_are_openssls() -> None:
    """Another OpenSSL knows every suite of the device by the same name."""
    listed = subprocess.run(
        [program("openssl"), "ciphers", "ALL:@SECLEVEL=0"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split(":")
    assert set(WINC) <= set(listed)
    assert set(WINC) <= known_suites(WINC, (), 0)


@pytest.mark.parametrize(
    ("lowest", "highest", "problems"),
    [
        ("TLSv1.2", "TLSv1.2", 0),
        ("TLSv1", "TLSv1.3", 0),
        ("TLSv1.3", "TLSv1.2", 1),
        ("TLSv1.4", "TLSv1.2", 1),
        ("SSLv3", "tls1.2", 2),
    ],
)
def test_version_ranges(lowest: str, highest: str, problems: int) -> None:
    """Unknown names and empty ranges are told, each one."""
    assert len(version_problems("profile", lowest, highest)) == problems


def test_versions_are_in_order() -> None:
    """The table runs from the oldest version to the newest."""
    assert list(VERSIONS.values()) == sorted(VERSIONS.values())


def test_curves() -> None:
    """An empty list leaves the default; unknown groups are a problem, not a crash."""
    context = SSL.Context(SSL.TLS_METHOD)
    assert set_curves(context, "") == ()
    assert set_curves(context, "P-256:X25519") == ()
    (problem,) = set_curves(context, "P-256:curve9")
    assert "curve9" in problem.what


def test_modes_and_trust() -> None:
    """Contexts keep no sessions and trust exactly what they are given."""
    context = SSL.Context(SSL.TLS_METHOD)
    set_modes(context)
    assert context.get_session_cache_mode() == SSL.SESS_CACHE_OFF
    trust(context, (ROOT.certificate,))
    assert store_of(context) is not None
