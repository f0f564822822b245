"""Oracle: the ``openssl`` program builds the bundles and knows the suites."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import botocore
import pytest
from cryptography import x509

from fleetsim.core.bundle_file import BundleForm
from fleetsim.core.cipher_groups import SUITES, KeyExchange, is_tls13
from fleetsim.core.settings import BundleRules, DistinctBy
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, load_bundle

Openssl = Callable[..., bytes]


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> Openssl:
    """Runs ``openssl`` in a folder of its own; gives back standard output."""
    program = shutil.which("openssl")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is not installed")
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("openssl")

    def run(*arguments: str, data: bytes = b"") -> bytes:
        done = subprocess.run(
            [program, *arguments],
            cwd=folder,
            input=data,
            capture_output=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return run


@pytest.fixture(scope="module")
def folder(openssl: Openssl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Self-signed certificates ``<name>.pem`` of every key kind, and a CRL."""
    kinds = {
        "rsa512": ["-newkey", "rsa:512"],
        "rsa1024": ["-newkey", "rsa:1024"],
        "rsa2048": ["-newkey", "rsa:2048"],
        "rsa3072": ["-newkey", "rsa:3072"],
        "p256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "ed25519": ["-newkey", "ed25519"],
        "explicit": [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-pkeyopt",
            "ec_param_enc:explicit",
        ],
    }
    made = tmp_path_factory.mktemp("certificates")
    for name, key in kinds.items():
        openssl(
            *("req", "-x509", "-nodes", "-days", "30", "-subj", f"/CN={name}"),
            *("-keyout", f"{made}/{name}.key", "-out", f"{made}/{name}.pem"),
            *key,
        )
    (made / "index.txt").touch()
    (made / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=me\n[me]\ndatabase={made}/index.txt\n"
        "default_md=sha256\ndefault_crl_days=30\n"
    )
    openssl(
        *("ca", "-gencrl", "-config", f"{made}/ca.cnf", "-out", f"{made}/crl.pem"),
        *("-cert", f"{made}/rsa2048.pem", "-keyfile", f"{made}/rsa2048.key"),
    )
    return made


def _certificate(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())


def _certfiles(folder: Path, *names: str) -> list[str]:
    return [part for name in names for part in ("-certfile", f"{folder}/{name}.pem")]


@pytest.mark.parametrize(
    ("encoding", "form"),
    [("PEM", BundleForm.PKCS7_PEM), ("DER", BundleForm.PKCS7_DER)],
)
def test_documented_command(
    openssl: Openssl, folder: Path, encoding: str, form: BundleForm
) -> None:
    """A bundle made by the documented command loads whole, in file order."""
    names = ("rsa512", "rsa1024", "rsa2048")
    data = openssl(
        *("crl2pkcs7", "-nocrl", "-outform", encoding, *_certfiles(folder, *names))
    )
    outcome = load_bundle(data, BundleRules(), EMPTY_BUNDLE)
    assert outcome.refusals == ()
    assert outcome.form is form
    assert outcome.changed
    assert outcome.bundle.certificates == tuple(
        _certificate(folder, name) for name in names
    )
    assert outcome.bundle.digests == tuple(
        openssl(
            "x509", "-noout", "-fingerprint", "-sha1", "-in", f"{folder}/{name}.pem"
        )
        .decode()
        .strip()
        .partition("=")[2]
        .replace(":", "")
        for name in names
    )


def test_order_is_that_of_openssl(openssl: Openssl, folder: Path) -> None:
    """Certificates come in the order in which openssl prints them."""
    data = openssl(
        *("crl2pkcs7", "-nocrl", *_certfiles(folder, "p256", "rsa3072", "rsa512"))
    )
    printed = openssl("pkcs7", "-print_certs", data=data)
    rules = BundleRules(distinct_by=DistinctBy.NOTHING, rsa_bits=(), ec_curves=("*",))
    outcome = load_bundle(data, rules, EMPTY_BUNDLE)
    assert outcome.bundle.certificates == tuple(
        x509.load_pem_x509_certificates(printed)
    )


@pytest.mark.parametrize("encoding", ["PEM", "DER"])
def test_revocation_list_is_passed_over(
    openssl: Openssl, folder: Path, encoding: str
) -> None:
    """A revocation list in the bundle changes nothing."""
    data = openssl(
        *("crl2pkcs7", "-in", f"{folder}/crl.pem", "-outform", encoding),
        *_certfiles(folder, "rsa2048"),
    )
    outcome = load_bundle(data, BundleRules(), EMPTY_BUNDLE)
    assert outcome.refusals == ()
    assert outcome.bundle.certificates == (_certificate(folder, "rsa2048"),)


@pytest.mark.parametrize("encoding", ["PEM", "DER"])
def test_bundle_without_certificates(openssl: Openssl, encoding: str) -> None:
    """A bundle in form, with nothing in it, is bad: only an empty file clears."""
    data = openssl("crl2pkcs7", "-nocrl", "-outform", encoding)
    outcome = load_bundle(data, BundleRules(), EMPTY_BUNDLE)
    assert [one.rule for one in outcome.refusals] == ["no_certificates"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("rsa3072", "rsa_bits"),
        ("p256", "key_type"),
        ("ed25519", "key_type"),
        ("explicit", "key_type"),
    ],
)
def test_key_kinds(openssl: Openssl, folder: Path, name: str, rule: str) -> None:
    """Keys that the reference device cannot use are refused by certificate."""
    data = openssl("crl2pkcs7", "-nocrl", *_certfiles(folder, "rsa2048", name))
    outcome = load_bundle(data, BundleRules(), EMPTY_BUNDLE)
    assert [(one.certificate, one.rule) for one in outcome.refusals] == [
        (f"certificate 2 (CN={name})", rule)
    ]


def test_single_files(openssl: Openssl, folder: Path) -> None:
    """One certificate renamed works in PEM, in DER and with openssl's text before."""
    expected = (_certificate(folder, "rsa1024"),)
    for arguments in (("-outform", "PEM"), ("-outform", "DER"), ("-text",)):
        data = openssl("x509", "-in", f"{folder}/rsa1024.pem", *arguments)
        outcome = load_bundle(data, BundleRules(), EMPTY_BUNDLE)
        assert outcome.refusals == ()
        assert outcome.bundle.certificates == expected


def test_ber_bundle(openssl: Openssl, folder: Path) -> None:
    """A signed CMS file in BER with indefinite lengths loads its certificates."""
    data = openssl(
        *("cms", "-sign", "-stream", "-indef", "-outform", "DER", "-nodetach"),
        *("-signer", f"{folder}/rsa2048.pem", "-inkey", f"{folder}/rsa2048.key"),
        data=b"hello",
    )
    assert data[:2] == b"\x30\x80"
    outcome = load_bundle(data, BundleRules(), EMPTY_BUNDLE)
    assert outcome.refusals == ()
    assert outcome.bundle.certificates == (_certificate(folder, "rsa2048"),)


def test_cut_off_anywhere(openssl: Openssl, folder: Path) -> None:
    """No beginning of a bundle passes for a bundle."""
    data = openssl(
        *("crl2pkcs7", "-nocrl", "-outform", "DER"),
        *_certfiles(folder, "rsa512", "rsa1024"),
    )
    for length in range(1, len(data)):
        outcome = load_bundle(data[:length], BundleRules(), EMPTY_BUNDLE)
        assert outcome.refusals
        assert outcome.bundle.is_empty


def test_public_roots_are_readable() -> None:
    """No root of a public list is called damaged: strictness costs no real anchor."""
    data = (Path(botocore.__file__).parent / "cacert.pem").read_bytes()
    rules = BundleRules(
        max_certificates=10_000,
        max_bytes=1 << 24,
        distinct_by=DistinctBy.NOTHING,
        rsa_bits=(),
        ec_curves=("*",),
    )
    outcome = load_bundle(data, rules, EMPTY_BUNDLE)
    assert outcome.refusals == ()
    assert len(outcome.bundle.certificates) > 100


def test_suites_are_openssl_suites(openssl: Openssl) -> None:
    """Both names, version and key exchange of every suite are those of openssl."""
    listed = {}
    for line in (
        openssl("ciphers", "-V", "-stdname", "ALL:@SECLEVEL=0").decode().splitlines()
    ):
        # 0xC0,0x2F - TLS_ECDHE_… - ECDHE-… TLSv1.2 Kx=ECDH Au=RSA …
        _, iana, rest = line.split(" - ")
        openssl_name, version, exchange, authentication, *_ = rest.split()
        listed[openssl_name] = (iana.strip(), version, exchange, authentication)
    exchanges = {
        KeyExchange.RSA: ("Kx=RSA", "Au=RSA"),
        KeyExchange.DHE_RSA: ("Kx=DH", "Au=RSA"),
        KeyExchange.ECDHE_RSA: ("Kx=ECDH", "Au=RSA"),
        KeyExchange.ECDHE_ECDSA: ("Kx=ECDH", "Au=ECDSA"),
        KeyExchange.TLS13: ("Kx=any", "Au=any"),
    }
    ccm = {"TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"}  # not in "ALL"
    for suite in SUITES:
        if suite.openssl in ccm:
            continue
        iana, version, exchange, authentication = listed[suite.openssl]
        assert iana == suite.iana
        assert (version == "TLSv1.3") == is_tls13(suite.openssl)
        assert (exchange, authentication) == exchanges[suite.key_exchange]
    for name in ccm:
        assert openssl("ciphers", "-stdname", "-s", "-tls1_3", "-ciphersuites", name)
