"""Bundle file: which certificates a ``certs_server.p7b`` holds, before any rule.

The device documentation admits three kinds of file under that one name: a PKCS#7
structure made by ``openssl crl2pkcs7 -nocrl`` (PEM; DER is the same structure without
armour), a single certificate renamed (PEM or DER), and an empty file. Several PEM
certificates in a row are read too, because that is what people try next.

Only the frame is read here: the ``SignedData`` of a PKCS#7 file (RFC 2315 9.1, kept by
RFC 5652 5.1) is walked down to its certificates so that one broken certificate can be
named; a loader that takes the file as a whole could only refuse all of it. The
certificates themselves are left to ``cryptography``. A PKCS#7 file in BER with
indefinite lengths (some Java tools write it) is handed to ``cryptography`` whole.
"""

import base64
import binascii
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum, unique

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7


@unique
class BundleForm(StrEnum):
    """What kind of file a bundle is."""

    EMPTY = "empty"
    PKCS7_PEM = "pkcs7-pem"
    PKCS7_DER = "pkcs7-der"
    PEM = "pem"
    DER = "der"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class FileProblem:
    """A part of the file that is no certificate.

    Attributes:
        rule: ``unreadable``, ``no_certificates``, ``not_a_certificate`` or
            ``trailing_data``.
        detail: What was found, one sentence.
    """

    rule: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    """The certificates of a file, still unparsed.

    Attributes:
        form: Kind of file.
        certificates: DER bytes of each certificate, in file order. Each is framed as
            one ASN.1 SEQUENCE at most; whether it is a certificate is not known yet.
        problems: Everything in the file that is not a certificate.
    """

    form: BundleForm
    certificates: tuple[bytes, ...]
    problems: tuple[FileProblem, ...] = ()


_SEQUENCE = 0x30
_SET_OF = 0x31
_OBJECT_IDENTIFIER = 0x06
_CONTEXT_0 = 0xA0  # [0], constructed
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")  # 1.2.840.113549.1.7.2

_PEM_EDGE = re.compile(rb"^-----(BEGIN|END) ([^\r\n-]*)-----[ \t]*\r?$", re.MULTILINE)
_CERTIFICATE_LABELS = frozenset({b"CERTIFICATE", b"X509 CERTIFICATE"})
_PKCS7_LABELS = frozenset({b"PKCS7", b"CMS", b"PKCS #7 SIGNED DATA"})
_CRL_LABEL = b"X509 CRL"


class _NotDerError(ValueError):
    """The bytes are not DER; the message says where."""


def read_bundle_file(data: bytes) -> BundleFile:
    """Take a bundle file apart. Never raises, whatever the bytes.

    Args:
        data: Whole content of ``certs_server.p7b``.

    Returns:
        The certificates found and a problem for everything else. Revocation lists in
        the file are passed over: no documentation says that the device uses them.
    """
    if not data:
        return BundleFile(form=BundleForm.EMPTY, certificates=())
    # A PEM file may begin with a comment, and a comment with "0", which is 0x30.
    if _PEM_EDGE.search(data) and not _is_one_element(data):
        return _read_pem(data)
    if data[:1] == b"\x30":
        return _read_der(data)
    if not data.strip():
        detail = "only white space; the file that clears all certificates has 0 bytes"
    else:
        detail = "neither PEM (no BEGIN line) nor DER (does not start with 0x30)"
    return _unreadable(detail)


def _unreadable(detail: str) -> BundleFile:
    return BundleFile(
        form=BundleForm.UNREADABLE,
        certificates=(),
        problems=(FileProblem("unreadable", detail),),
    )


# ---------------------------------------------------------------- PEM


def _read_pem(data: bytes) -> BundleFile:
    """Read the blocks of a PEM file (RFC 7468); text between blocks is a comment."""
    certificates: list[bytes] = []
    problems: list[FileProblem] = []
    form = BundleForm.PEM
    for label, body in _pem_blocks(data):
        name = label.decode("ascii", "replace")
        if body is None:
            problems.append(
                FileProblem("unreadable", f"the {name} block is cut off or nested")
            )
        elif label in _CERTIFICATE_LABELS:
            # A body that is not base64 stays in the list as a certificate that cannot
            # be read: it keeps its number in the messages.
            certificates.append(_armour_removed(body) or b"")
        elif label in _PKCS7_LABELS:
            form = BundleForm.PKCS7_PEM
            inner = _armour_removed(body)
            if inner is None:
                problems.append(
                    FileProblem("unreadable", f"the {name} block is not base64")
                )
                continue
            found, wrong = _read_pkcs7(inner)
            certificates += found
            problems += wrong
        elif label != _CRL_LABEL:
            problems.append(
                FileProblem("not_a_certificate", f"a {name} block has no place here")
            )
    if not certificates and not problems:
        problems.append(FileProblem("no_certificates", "no certificate in the file"))
    return BundleFile(
        form=form, certificates=tuple(certificates), problems=tuple(problems)
    )


def _pem_blocks(data: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield label and body of each block; the body of a damaged block is ``None``."""
    open_label: bytes | None = None
    body_start = 0
    for edge in _PEM_EDGE.finditer(data):
        is_begin, label = edge[1] == b"BEGIN", edge[2]
        if not is_begin and label == open_label:
            yield label, data[body_start : edge.start()]
            open_label = None
            continue
        if open_label is not None or not is_begin:
            yield open_label or label, None
        open_label = label if is_begin else None
        body_start = edge.end()
    if open_label is not None:
        yield open_label, None


def _armour_removed(body: bytes) -> bytes | None:
    """Decode the base64 of a block; ``None`` when it is not base64 or empty."""
    try:
        return base64.b64decode(b"".join(body.split()), validate=True) or None
    except binascii.Error:
        return None


# ---------------------------------------------------------------- DER


def _read_der(data: bytes) -> BundleFile:
    """Read one DER certificate or one PKCS#7 structure without armour."""
    try:
        outer = _element(data, 0, len(data))
        is_pkcs7 = data[outer.start : outer.start + 1] == b"\x06"
    except _NotDerError as exc:
        if data[:2] == b"\x30\x80":
            return _read_ber_pkcs7(data)
        return _unreadable(f"damaged or cut off: {exc}")
    if not is_pkcs7:
        return BundleFile(
            form=BundleForm.DER,
            certificates=(data[: outer.end],),
            problems=tuple(_trailing(data, outer)),
        )
    found, wrong = _read_pkcs7(data)
    return BundleFile(
        form=BundleForm.PKCS7_DER, certificates=tuple(found), problems=tuple(wrong)
    )


@dataclass(frozen=True, slots=True)
class _Element:
    """One ASN.1 element: its tag and where its content starts and ends."""

    tag: int
    start: int
    end: int


def _element(data: bytes, at: int, limit: int) -> _Element:
    """Read tag and length at ``at`` (X.690 8.1); definite lengths only."""
    if at + 2 > limit:
        raise _NotDerError(f"no element at byte {at}")
    length = data[at + 1]
    start = at + 2
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or start + count > limit:
            raise _NotDerError(f"bad length at byte {at}")
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    if start + length > limit:
        missing = start + length - limit
        raise _NotDerError(f"{missing} bytes are missing after byte {limit}")
    return _Element(data[at], start, start + length)


def _is_one_element(data: bytes) -> bool:
    try:
        outer = _element(data, 0, len(data))
    except _NotDerError:
        return False
    return outer.tag == _SEQUENCE and outer.end == len(data)


def _expect(data: bytes, at: int, limit: int, tag: int, what: str) -> _Element:
    element = _element(data, at, limit)
    if element.tag != tag:
        raise _NotDerError(f"no {what} at byte {at}")
    return element


def _read_pkcs7(data: bytes) -> tuple[list[bytes], list[FileProblem]]:
    """Walk down to the certificates of a ``SignedData`` (RFC 5652 5.1)."""
    certificates: list[bytes] = []
    try:
        outer = _expect(data, 0, len(data), _SEQUENCE, "ContentInfo")
        kind = _expect(data, outer.start, outer.end, _OBJECT_IDENTIFIER, "content type")
        if data[outer.start : kind.end] != _SIGNED_DATA:
            detail = "a PKCS#7 file of another type than signed data"
            return [], [FileProblem("unreadable", detail)]
        content = _expect(data, kind.end, outer.end, _CONTEXT_0, "content")
        signed = _expect(data, content.start, content.end, _SEQUENCE, "SignedData")
        version = _expect(data, signed.start, signed.end, 0x02, "version")
        digests = _expect(data, version.end, signed.end, _SET_OF, "digest algorithms")
        inner = _expect(data, digests.end, signed.end, _SEQUENCE, "inner content")
        if inner.end < signed.end:
            bag = _element(data, inner.end, signed.end)
            if bag.tag == _CONTEXT_0:
                at = bag.start
                while at < bag.end:
                    one = _element(data, at, bag.end)
                    certificates.append(data[at : one.end])
                    at = one.end
    except _NotDerError as exc:
        return certificates, [FileProblem("unreadable", f"damaged PKCS#7: {exc}")]
    if not certificates:
        detail = "a PKCS#7 file that holds no certificate"
        return [], [FileProblem("no_certificates", detail)]
    return certificates, _trailing(data, outer)


def _trailing(data: bytes, outer: _Element) -> list[FileProblem]:
    rest = len(data) - outer.end
    detail = f"{rest} bytes follow the end of the content"
    return [FileProblem("trailing_data", detail)] if rest else []


def _read_ber_pkcs7(data: bytes) -> BundleFile:
    try:
        with warnings.catch_warnings():
            # The loader warns that BER is not DER; that is why it is asked.
            warnings.simplefilter("ignore")
            loaded = pkcs7.load_der_pkcs7_certificates(data)
        found = tuple(one.public_bytes(Encoding.DER) for one in loaded)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        return _unreadable(f"PKCS#7 in BER that cannot be read: {exc}")
    return BundleFile(form=BundleForm.PKCS7_DER, certificates=found)
