"""Failure words: what every failure kind means and where to look, for people.

Members of the open families have words of their own where they are common; the others
share those of their family. Sources: RFC 5246 7.2 and RFC 8446 6 (alerts), OpenSSL
``X509_STORE_CTX_get_error(3)`` (verdicts), "Error responses" of the Amazon S3 API
Reference (S3 codes).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fleetsim.core.failure import OPEN_FAMILIES, Kind


@dataclass(frozen=True, slots=True)
class KindWords:
    """What a failure kind means.

    Attributes:
        meaning: What happened, in one sentence.
        look_at: Where its cause usually is.
    """

    meaning: str
    look_at: str


_KINDS: Final[Mapping[str, KindWords]] = {
    Kind.DNS_NOT_FOUND: KindWords(
        "The name of the endpoint has no address.",
        "Spelling of the endpoint; the zone; with virtual-hosted style the wildcard "
        "record for bucket names.",
    ),
    Kind.DNS_TIMEOUT: KindWords(
        "No answer to the name within the deadline of the profile.",
        "Resolver of this machine; packet loss on the way to it.",
    ),
    Kind.DNS_FAILED: KindWords(
        "The resolver answered with an error (SERVFAIL and its like).",
        "Resolver and zone; DNSSEC.",
    ),
    Kind.TCP_REFUSED: KindWords(
        "The host answered that nobody listens on the port.",
        "Is the server up, on this port and address? A firewall that rejects looks the "
        "same.",
    ),
    Kind.TCP_RESET: KindWords(
        "The connection was reset while it was being made.",
        "Full accept queue (tcp_abort_on_overflow); a load balancer without a backend.",
    ),
    Kind.TCP_TIMEOUT: KindWords(
        "No answer to the connection request within the deadline.",
        "A firewall that drops; a full accept queue; packet loss.",
    ),
    Kind.TCP_UNREACHABLE: KindWords(
        "No route to the host or its network.", "Routing; interface that is down."
    ),
    Kind.TCP_LOCAL_PORTS: KindWords(
        "This machine has no free port towards the endpoint: the generator's limit, not "
        "the target's.",
        "--source-address with several addresses; net.ipv4.ip_local_port_range; "
        "keep-alive in the profile.",
    ),
    Kind.TCP_LOCAL_FILES: KindWords(
        "This process may not open more files: the generator's limit, not the target's.",
        "ulimit -n; limits.in_flight.",
    ),
    Kind.TLS_NO_SHARED_CIPHER: KindWords(
        "There is no cipher suite that both sides would use.",
        "The device's cipher group against what the server offers; keys and signatures "
        "of its certificate also decide which suites are left.",
    ),
    Kind.TLS_RESET: KindWords(
        "The connection was lost in the handshake without an alert.",
        "Servers that close instead of sending an alert; a load balancer in TCP mode; "
        "handshake limits of the server.",
    ),
    Kind.TLS_TIMEOUT: KindWords(
        "The handshake did not end within the deadline.",
        "CPU of whatever ends TLS: handshakes are what costs it most.",
    ),
    Kind.TLS_PROTOCOL: KindWords(
        "What came was not proper TLS.",
        "HTTP on the HTTPS port; a proxy in between; parameters that OpenSSL refuses, "
        "such as small Diffie-Hellman groups.",
    ),
    Kind.TLS_OWN_CERTIFICATE: KindWords(
        "The device's own certificate or key cannot be used.",
        "Key and certificate that do not match; key too small; signature algorithm that "
        "the handshake does not allow.",
    ),
    Kind.HTTP_TIMEOUT: KindWords(
        "The request was not answered within the deadline.",
        "Storage behind the server; queues; deadlines of the profile.",
    ),
    Kind.HTTP_RESET: KindWords(
        "The connection was lost before the response was complete.",
        "Idle and request timeouts of servers and load balancers; restarts; size limits.",
    ),
    Kind.HTTP_MALFORMED: KindWords(
        "The response does not follow HTTP/1.1.",
        "Proxies; servers of another protocol.",
    ),
    Kind.HTTP_STATUS: KindWords(
        "An error status without an S3 error document.",
        "Who answered? Proxies and load balancers write pages of their own; the status "
        "and the first words are in the records.",
    ),
    Kind.DEVICE_NO_TRUST: KindWords(
        "The device trusts nobody: its bundle holds no certificate that it accepts.",
        "The bundle that was pushed, by the rules of the profile: size, count, format.",
    ),
    Kind.DEVICE_CARD_FULL: KindWords(
        "The card has no room for another file.",
        "Reserved: a full card deletes its oldest file instead, counted as files.lost.",
    ),
    Kind.DEVICE_POWER_CYCLE: KindWords(
        "Power was taken away during the attempt.",
        "The scenario does that; it is no fault of the target.",
    ),
    Kind.DEVICE_BAD_CONFIG: KindWords(
        "The configuration that was fetched cannot be used and was not taken over.",
        "The object in the bucket: its name, its checksum, its JSON.",
    ),
    Kind.DEVICE_BAD_FIRMWARE: KindWords(
        "The firmware file that was fetched is none and was not installed.",
        "The object in the bucket.",
    ),
    Kind.RUN_STOPPED: KindWords(
        "The run ended while the attempt was under way.",
        "Nothing: a longer drain lets more attempts end.",
    ),
    Kind.UNCLASSIFIED: KindWords(
        "A failure that fleetsim has no name for: a bug of fleetsim.",
        "Please report it with the detail from the records.",
    ),
}

_MEMBERS: Final[Mapping[str, KindWords]] = {
    "tls.alert.handshake_failure": KindWords(
        "The server accepts none of what the device offers.",
        "Cipher group against the server's cipher list; with mutual TLS also a missing "
        "client certificate (TLS 1.2). The device tries its next group.",
    ),
    "tls.alert.protocol_version": KindWords(
        "The server does not speak the device's TLS version.",
        "Lowest version of the server; these devices speak TLS 1.2.",
    ),
    "tls.alert.insufficient_security": KindWords(
        "The server demands stronger suites than were offered.",
        "Cipher list and security level of the server.",
    ),
    "tls.alert.unknown_ca": KindWords(
        "The server does not know who issued the device's certificate.",
        "The CA file for clients on the server; intermediates that devices do not send.",
    ),
    "tls.alert.bad_certificate": KindWords(
        "The server found the device's certificate broken or not acceptable.",
        "Its signature, its usage, its key size.",
    ),
    "tls.alert.certificate_expired": KindWords(
        "The device's certificate has expired for the server.",
        "Its notAfter; the server's clock.",
    ),
    "tls.alert.certificate_revoked": KindWords(
        "The device's certificate is on the server's revocation list.",
        "The list; was that device meant?",
    ),
    "tls.alert.certificate_required": KindWords(
        "The server wants a client certificate and got none (TLS 1.3).",
        "Security mode of the cohort: high needs a certificate per device.",
    ),
    "tls.alert.certificate_unknown": KindWords(
        "The server could not accept the device's certificate for another reason.",
        "Log of the server.",
    ),
    "tls.alert.unrecognized_name": KindWords(
        "The server has no certificate for the name that the device asked for (SNI).",
        "Host names configured on the server.",
    ),
    "tls.alert.decrypt_error": KindWords(
        "A signature of the handshake could not be verified.",
        "Keys and certificates that do not match.",
    ),
    "tls.alert.internal_error": KindWords(
        "The server failed by itself.", "Log of the server; its memory and CPU."
    ),
    "tls.verify.cert_has_expired": KindWords(
        "A certificate of the server's chain has expired by the device's clock.",
        "notAfter of every certificate of the chain, roots and cross-signs too; the "
        "device's clock.",
    ),
    "tls.verify.cert_not_yet_valid": KindWords(
        "A certificate of the chain is not valid yet by the device's clock.",
        "Clocks that fell back to a factory date (flat battery); notBefore of a new "
        "certificate.",
    ),
    "tls.verify.unable_to_get_issuer_cert_locally": KindWords(
        "The bundle has nobody who vouches for the chain.",
        "Was the CA changed before the bundle? Does the server send its intermediates?",
    ),
    "tls.verify.unable_to_verify_leaf_signature": KindWords(
        "The server sent its certificate alone and the bundle does not have its issuer.",
        "The server must send its intermediates.",
    ),
    "tls.verify.unable_to_get_issuer_cert": KindWords(
        "The chain is broken above a certificate that the bundle has.",
        "Bundles that hold an intermediate but not its root.",
    ),
    "tls.verify.self_signed_cert_in_chain": KindWords(
        "The chain ends in a root that the bundle does not have.",
        "The bundle; a new root that was rolled out too early.",
    ),
    "tls.verify.depth_zero_self_signed_cert": KindWords(
        "The server's certificate is self-signed and not in the bundle.",
        "Default certificate of a server, shown for an unknown name.",
    ),
    "tls.verify.hostname_mismatch": KindWords(
        "The certificate does not name the host that the device dialled.",
        "Subject alternative names; common names do not count where there are any.",
    ),
    "tls.verify.ip_address_mismatch": KindWords(
        "The certificate does not name the address that the device dialled.",
        "An iPAddress entry among the subject alternative names.",
    ),
    "tls.verify.invalid_purpose": KindWords(
        "A certificate is not meant for this use.",
        "Extended key usage: serverAuth for servers, clientAuth for devices.",
    ),
    "tls.verify.ee_key_too_small": KindWords(
        "The key of the certificate is too small.", "Key size; security level."
    ),
    "tls.verify.ca_md_too_weak": KindWords(
        "A CA signed with a digest that is not accepted any more.", "SHA-1, MD5."
    ),
    "tls.verify.cert_revoked": KindWords(
        "A certificate of the chain is revoked.", "The revocation list."
    ),
    "s3.SignatureDoesNotMatch": KindWords(
        "The server computed another signature.",
        "Secret key; region and service of the scope; proxies that change the path, the "
        "Host or signed headers.",
    ),
    "s3.InvalidAccessKeyId": KindWords(
        "The server does not know the access key.", "Keys that were rotated or deleted."
    ),
    "s3.AccessDenied": KindWords(
        "The keys are known and may not do this.",
        "Policy of the bucket and of the keys; with keys just rotated, old ones.",
    ),
    "s3.RequestTimeTooSkewed": KindWords(
        "The device's clock is more than 15 minutes from the server's.",
        "Device clocks (flat battery, no network time); the server's clock.",
    ),
    "s3.ExpiredToken": KindWords(
        "The temporary credentials have expired.", "AWS_SESSION_TOKEN of the run."
    ),
    "s3.NoSuchBucket": KindWords(
        "There is no such bucket.", "target.bucket; addressing style; --create-bucket."
    ),
    "s3.NoSuchKey": KindWords(
        "There is no such object: for an over-the-air check an ordinary answer.",
        "Names of the objects that were pushed.",
    ),
    "s3.SlowDown": KindWords(
        "The server asks for fewer requests.",
        "Its request limits; a herd of devices with the same phase.",
    ),
    "s3.ServiceUnavailable": KindWords(
        "The server is overloaded or not ready.", "The backend; its gateways' limits."
    ),
    "s3.InternalError": KindWords(
        "The server failed by itself.", "Log of the backend."
    ),
    "s3.RequestTimeout": KindWords(
        "The server waited too long for the body.",
        "Slow uplinks of the devices; the server's body timeout.",
    ),
    "s3.BadDigest": KindWords(
        "The body that arrived does not have the checksum that was signed.",
        "Proxies that change bodies.",
    ),
    "s3.XAmzContentSHA256Mismatch": KindWords(
        "The body that arrived does not have the SHA-256 that was signed.",
        "Proxies that change bodies.",
    ),
    "s3.EntityTooLarge": KindWords(
        "The object is larger than the server takes.",
        "workload.file_size against the server's limit.",
    ),
    "s3.AuthorizationHeaderMalformed": KindWords(
        "The server expects another region in the signature.",
        "AWS_REGION, target.region.",
    ),
    "s3.PermanentRedirect": KindWords(
        "The bucket is elsewhere; devices do not follow redirects.",
        "target.endpoint must be that of the bucket's region.",
    ),
}

_FAMILIES: Final[Mapping[str, KindWords]] = {
    "tls.alert.": KindWords(
        "The server ended the handshake with this TLS alert.",
        'The registry "TLS Alerts" (IANA), RFC 8446 6; log of the server.',
    ),
    "tls.verify.": KindWords(
        "The device refused the server's chain by this check of OpenSSL.",
        "X509_STORE_CTX_get_error(3); the chain and the device's bundle.",
    ),
    "s3.": KindWords(
        "The server answered with this S3 error code.",
        '"Error responses" of the Amazon S3 API Reference; manual of the backend.',
    ),
}


def failure_words(kind: str) -> KindWords | None:
    """What a failure kind means, ``None`` = it is no member of the taxonomy."""
    found = _KINDS.get(kind) or _MEMBERS.get(kind)
    if found is not None:
        return found
    return next((_FAMILIES[f] for f in OPEN_FAMILIES if kind.startswith(f)), None)


def known_kinds() -> tuple[str, ...]:
    """Kinds with words of their own, family by family; ``*`` stands for any member."""
    by_family: dict[str, list[str]] = {}
    for kind in (*_KINDS, *_MEMBERS, *(f"{family}*" for family in _FAMILIES)):
        by_family.setdefault(kind.partition(".")[0], []).append(kind)
    return tuple(kind for kinds in by_family.values() for kind in kinds)
