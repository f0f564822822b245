"""Names of TLS: alerts as IANA registers them, verdicts as OpenSSL numbers them.

Sources: IANA registry "TLS Alerts" (RFC 8446 6, RFC 5246 7.2, RFC 6066, RFC 7301,
RFC 7507, RFC 8446, RFC 9146, RFC 9849), where ``_RESERVED`` is left off the names that
older versions of TLS still send; OpenSSL 4.0 ``x509_vfy.h`` and ``sslerr.h``.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ALERTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "close_notify",
        10: "unexpected_message",
        20: "bad_record_mac",
        21: "decryption_failed",
        22: "record_overflow",
        30: "decompression_failure",
        40: "handshake_failure",
        41: "no_certificate",
        42: "bad_certificate",
        43: "unsupported_certificate",
        44: "certificate_revoked",
        45: "certificate_expired",
        46: "certificate_unknown",
        47: "illegal_parameter",
        48: "unknown_ca",
        49: "access_denied",
        50: "decode_error",
        51: "decrypt_error",
        52: "too_many_cids_requested",
        60: "export_restriction",
        70: "protocol_version",
        71: "insufficient_security",
        80: "internal_error",
        86: "inappropriate_fallback",
        90: "user_canceled",
        100: "no_renegotiation",
        109: "missing_extension",
        110: "unsupported_extension",
        111: "certificate_unobtainable",
        112: "unrecognized_name",
        113: "bad_certificate_status_response",
        114: "bad_certificate_hash_value",
        115: "unknown_psk_identity",
        116: "certificate_required",
        117: "general_error",
        120: "no_application_protocol",
        121: "ech_required",
    }
)


def alert_name_of(number: int) -> str:
    """Registered name of an alert number 0..255; ``unassigned_<n>`` when it has none."""
    return ALERTS.get(number) or f"unassigned_{number}"


_VERIFY_NAMES = """
ok unspecified unable_to_get_issuer_cert unable_to_get_crl
unable_to_decrypt_cert_signature unable_to_decrypt_crl_signature
unable_to_decode_issuer_public_key cert_signature_failure crl_signature_failure
cert_not_yet_valid cert_has_expired crl_not_yet_valid crl_has_expired
error_in_cert_not_before_field error_in_cert_not_after_field
error_in_crl_last_update_field error_in_crl_next_update_field out_of_mem
depth_zero_self_signed_cert self_signed_cert_in_chain
unable_to_get_issuer_cert_locally unable_to_verify_leaf_signature
cert_chain_too_long cert_revoked no_issuer_public_key path_length_exceeded
invalid_purpose cert_untrusted cert_rejected subject_issuer_mismatch
akid_skid_mismatch akid_issuer_serial_mismatch keyusage_no_certsign
unable_to_get_crl_issuer unhandled_critical_extension keyusage_no_crl_sign
unhandled_critical_crl_extension invalid_non_ca proxy_path_length_exceeded
keyusage_no_digital_signature proxy_certificates_not_allowed invalid_extension
invalid_policy_extension no_explicit_policy different_crl_scope
unsupported_extension_feature unnested_resource permitted_violation
excluded_violation subtree_minmax application_verification
unsupported_constraint_type unsupported_constraint_syntax unsupported_name_syntax
crl_path_validation_error path_loop suite_b_invalid_version
suite_b_invalid_algorithm suite_b_invalid_curve
suite_b_invalid_signature_algorithm suite_b_los_not_allowed
suite_b_cannot_sign_p_384_with_p_256 hostname_mismatch email_mismatch
ip_address_mismatch dane_no_match ee_key_too_small ca_key_too_small
ca_md_too_weak invalid_call store_lookup no_valid_scts
proxy_subject_name_violation ocsp_verify_needed ocsp_verify_failed
ocsp_cert_unknown unsupported_signature_algorithm signature_algorithm_mismatch
signature_algorithm_inconsistency invalid_ca pathlen_invalid_for_non_ca
pathlen_without_ku_key_cert_sign ku_key_cert_sign_invalid_for_non_ca
issuer_name_empty subject_name_empty missing_authority_key_identifier
missing_subject_key_identifier empty_subject_alt_name
empty_subject_san_not_critical ca_bcons_not_critical
authority_key_identifier_critical subject_key_identifier_critical
ca_cert_missing_key_usage extensions_require_version_3 ec_key_explicit_params
rpk_untrusted ocsp_resp_invalid ocsp_signature_failure ocsp_not_yet_valid
ocsp_has_expired ocsp_no_response crl_verify_failed
empty_authority_key_identifier akid_issuer_serial_not_paired
idp_only_user_ca_attr_exclusive
"""

VERIFY_CODES: Final[Mapping[int, str]] = MappingProxyType(
    dict(enumerate(_VERIFY_NAMES.split()))
)
"""``X509_V_ERR_`` names in lower case by code; 0 is ``ok``."""


def verify_name_of(code: int) -> str:
    """Name of a verification code; ``code_<n>`` for one newer than this table."""
    return VERIFY_CODES.get(code) or f"code_{code}"


CERTIFICATE_VERIFY_FAILED: Final = 134
PEER_DID_NOT_RETURN_A_CERTIFICATE: Final = 199
UNEXPECTED_EOF_WHILE_READING: Final = 294

NO_SHARED_CIPHER: Final = frozenset(
    {
        161,  # library has no ciphers
        181,  # no ciphers available
        183,  # no ciphers specified
        185,  # no cipher match
        193,  # no shared cipher
        230,  # ssl library has no ciphers
    }
)
"""``SSL_R_`` reasons that mean: no cipher suite is left to talk with."""

OWN_CERTIFICATE: Final = frozenset(
    {
        118,  # no suitable signature algorithm
        177,  # no certificate assigned
        179,  # no certificate set
        190,  # no private key assigned
        288,  # private key mismatch
        397,  # ca key too small
        398,  # ca md too weak
        399,  # ee key too small
    }
)
"""``SSL_R_`` reasons that mean: our own key or certificate is of no use here.

The peer's weak keys never show here: they are verdicts (``ee_key_too_small``).
"""
