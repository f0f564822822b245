"""Reports speak IANA."""

import os
import shutil
import subprocess

import pytest

from fleetsim.report.suite_names import iana_name


@pytest.mark.parametrize(
    ("openssl_name", "iana"),
    [
        ("", ""),
        ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
        ("AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"),
        ("DHE-RSA-AES256-SHA256", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256"),
        (
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
        (
            "ECDHE-RSA-CHACHA20-POLY1305",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        ),
    ],
)
def test_names_of_the_registry(openssl_name: str, iana: str) -> None:
    """The names are those of the IANA registry "TLS Cipher Suites"."""
    assert iana_name(openssl_name) == iana


def test_every_suite_openssl_knows() -> None:
    """Every suite the installed OpenSSL lists gets the name OpenSSL gives as standard."""
    program = shutil.which("openssl")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is not installed")
        pytest.skip("openssl is not installed")
    listed = subprocess.run(
        [program, "ciphers", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    assert len(rows) > 100
    wrong = [
        (row[2], row[0], iana_name(row[2]))
        for row in rows
        if iana_name(row[2]) != row[0]
    ]
    assert wrong == []
