"""nginx: its access log in a format of ours, and its error log as it is.

nginx completes the handshake of a client whose certificate it will not have, and answers
its first request with 400: such a line counts as refused, by the verdict in it. A
connection that never carried a request is in neither log.

Source: nginx.org documentation, modules core, http_log and http_ssl.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from fleetsim.core.failure import Kind
from fleetsim.target.observer.seen import (
    Seen,
    Words,
    fields_of,
    number,
    openssl_reason,
    seconds,
)

FIELDS: Final[Mapping[str, str]] = {
    "unix_s": "$msec",
    "peer": "$remote_addr:$remote_port",
    "nth": "$connection_requests",
    "version": "$ssl_protocol",
    "suite": "$ssl_cipher",
    "reused": "$ssl_session_reused",
    "server_name": "$ssl_server_name",
    "verify": "$ssl_client_verify",
    "subject": "$ssl_client_s_dn",
    "serial": "$ssl_client_serial",
    "method": "$request_method",
    "uri": "$request_uri",
    "status": "$status",
}
"""Variables of the access log's format."""

_FAILED: Final = re.compile(
    r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[[a-z]+\] .*? \*\d+ "
    r"(.*) while SSL handshaking(?:, client: ([^,]+))?"
)


def settings() -> str:
    """What belongs into nginx's configuration, level ``http``."""
    return (
        "# behind a balancer that speaks the PROXY protocol: let peer be\n"
        "# $proxy_protocol_addr:$proxy_protocol_port\n"
        f"log_format fleetsim escape=json '{json.dumps(FIELDS)}';\n"
        "access_log /var/log/nginx/fleetsim.log fleetsim;\n"
        "error_log /var/log/nginx/fleetsim-errors.log info;\n"
    )


def local_time(said: str) -> float:
    """Read the time of day in an error log, this machine's, as seconds since 1970.

    Raises:
        ValueError: There is no such day.
    """
    return datetime.strptime(said, "%Y/%m/%d %H:%M:%S").astimezone().timestamp()


class NginxReader:
    """Reads lines of both logs.

    Args:
        words: The words of OpenSSL.
        local_time: Reads the time of day of the error log.
    """

    def __init__(
        self, words: Words, local_time: Callable[[str], float] = local_time
    ) -> None:
        self._words = words
        self._local_time = local_time

    def read(self, line: str) -> Seen | None:
        """Read one line; ``None`` = it is about something else.

        Raises:
            UnreadableLineError: It is in our format and makes no sense.
        """
        failed = _FAILED.match(line)
        if failed is not None:
            return self._failed(*failed.groups())
        values = fields_of(line)
        return None if values is None or "unix_s" not in values else self._of(values)

    def _failed(self, said: str, detail: str, client: str | None) -> Seen | None:
        try:
            unix_s = self._local_time(said)
        except (ValueError, OverflowError):
            return None
        reason = openssl_reason(detail)
        if "timed out" in detail:
            kind: str = Kind.TLS_TIMEOUT
        elif detail.startswith("peer closed"):
            kind = Kind.TLS_RESET
        else:
            kind = self._words.failure_kind(reason)
        # A socket of its own stands for a client behind the PROXY protocol.
        peer = "" if client is None or client.startswith("unix:") else client
        return Seen(unix_s=unix_s, peer=peer, result=kind, detail=detail.strip()[:200])

    def _of(self, values: Mapping[str, str]) -> Seen:
        verify, status = values.get("verify", ""), number(values.get("status", ""))
        result, detail = "ok", ""
        if verify.startswith("FAILED:"):
            detail = verify.removeprefix("FAILED:")
            verdict = self._words.verdict_of(detail) or "unspecified"
            # nginx lets OpenSSL verify on and logs the last error; this one only ever
            # follows the error that others stop at.
            if verdict == "unable_to_verify_leaf_signature":
                verdict = "unable_to_get_issuer_cert_locally"
            result = f"tls.verify.{verdict}"
        elif verify == "NONE" and status == 400:
            result, detail = "tls.verify.no_peer_certificate", "answered 400"
        return Seen(
            unix_s=seconds(values["unix_s"]),
            peer=values.get("peer", ""),
            result=result,
            detail=detail,
            version=values.get("version", ""),
            suite=values.get("suite", ""),
            resumed=values.get("reused") == "r",
            server_name=values.get("server_name", ""),
            subject=values.get("subject", ""),
            serial=values.get("serial", "").lower(),
            is_first=values.get("nth", "1") == "1",
            method=values.get("method", ""),
            uri=values.get("uri", ""),
            status=status,
        )
