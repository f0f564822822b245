"""HAProxy: requests and failed handshakes, in log formats of ours.

HAProxy ends a handshake that it refuses with an alert and writes a line in its format
for errors. A connection that never carried a request is not logged.

Source: HAProxy 2.6 Configuration Manual: 8.2.5 "Error log format", 8.2.6 "Custom log
format", 7.3 "Fetching samples".
"""

from collections.abc import Mapping
from typing import Final

from fleetsim.target.observer.seen import Seen, Words, fields_of, number, seconds

CONNECTION: Final = (
    '"unix_s":"%Ts.%ms","peer":"%ci:%cp","version":"%sslv","suite":"%sslc",'
    '"reused":"%[ssl_fc_is_resumed]","server_name":"%[ssl_fc_sni,json(ascii)]",'
    '"subject":"%[ssl_c_s_dn,json(ascii)]","serial":"%[ssl_c_serial,hex]"'
)
"""What both formats say of a connection."""
ERROR_FORMAT: Final = (
    "{"
    + CONNECTION
    + (
        ',"connection":"%[fc_err]","says":"%[fc_err_str]","error":"%[ssl_fc_err]",'
        '"verify":"%[ssl_c_err]","ca_verify":"%[ssl_c_ca_err]"}'
    )
)
"""``error-log-format`` of a failed handshake."""
FORMAT: Final = (
    "{"
    + CONNECTION
    + (
        ',"first":"%[http_first_req]","method":"%[capture.req.method,json(ascii)]",'
        '"uri":"%[capture.req.uri,json(ascii)]","status":"%ST"}'
    )
)
"""``log-format`` of a request."""

_REASON_MASK: Final = 0x7FFFFF


def settings() -> str:
    """What belongs into HAProxy's configuration."""
    return (
        "global\n"
        "  # to a syslog server that writes a file, or: log stdout format raw local0\n"
        "  log /dev/log len 8192 local0\n"
        "frontend devices\n"
        "  mode http\n"
        "  log global\n"
        "  option dontlognull\n"
        f"  log-format '{FORMAT}'\n"
        f"  error-log-format '{ERROR_FORMAT}'\n"
    )


class HaproxyReader:
    """Reads lines of both formats.

    Args:
        words: The words of OpenSSL.
    """

    def __init__(self, words: Words) -> None:
        self._words = words

    def read(self, line: str) -> Seen | None:
        """Read one line; ``None`` = it is about something else.

        Raises:
            UnreadableLineError: It is in our format and makes no sense.
        """
        values = fields_of(line)
        if values is None or "unix_s" not in values:
            return None
        is_failed = "status" not in values
        result, detail = self._failure(values) if is_failed else ("ok", "")
        return Seen(
            unix_s=seconds(values["unix_s"]),
            peer=values.get("peer", ""),
            result=result,
            detail=detail,
            version=values.get("version", ""),
            suite=values.get("suite", "").removeprefix("(NONE)"),
            resumed=values.get("reused") == "1",
            server_name=values.get("server_name", ""),
            subject=_rfc4514(values.get("subject", "")),
            serial=values.get("serial", "").lower(),
            is_first=is_failed or values.get("first", "1") == "1",
            method=values.get("method", ""),
            uri=values.get("uri", ""),
            status=number(values.get("status", "")),
        )

    def _failure(self, values: Mapping[str, str]) -> tuple[str, str]:
        """Decide what a handshake died of; returns kind and detail."""
        says = values.get("says", "")
        verdict = number(values.get("verify", "")) or number(
            values.get("ca_verify", "")
        )
        if verdict:
            return f"tls.verify.{self._words.verdict_named(verdict)}", says
        packed = number(values.get("error", ""))
        return self._words.failure_kind(packed & _REASON_MASK), says


def _rfc4514(subject: str) -> str:
    """``/CN=A/O=B`` is how HAProxy writes a subject; most specific part first here."""
    return ",".join(reversed([part for part in subject.split("/") if part]))
