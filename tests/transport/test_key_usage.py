"""The last word on a complete handshake: may the server's key do what the suite asks?"""

from dataclasses import replace

import pytest

from fleetsim.core.settings import TlsRules
from fleetsim.transport.key_usage import key_usage_failure
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_pump import TlsPump
from fleetsim.transport.tls_server import ServerContext
from tests.transport.certificates import leaf
from tests.transport.pumps import (
    ECDHE,
    PLAIN_SERVER,
    ROOT,
    TLS13,
    TLS13_RULES,
    Client,
    presented,
    server_pump,
    talk,
)

STATIC_RSA = "AES128-GCM-SHA256"
DHE = "DHE-RSA-AES128-GCM-SHA256"
SIGNING_ONLY = replace(
    PLAIN_SERVER,
    certificates=(presented(leaf(parent=ROOT, key_encipherment=False)),),
)


@pytest.mark.parametrize(
    ("suites", "rules", "is_refused"),
    [
        ((STATIC_RSA,), TlsRules(), True),
        ((STATIC_RSA, ECDHE), TlsRules(), True),
        ((ECDHE, STATIC_RSA), TlsRules(), False),
        ((DHE,), TlsRules(), False),
        ((TLS13,), TLS13_RULES, False),
        ((STATIC_RSA,), TlsRules(check_key_usage=False), False),
    ],
    ids=["rsa", "rsa chosen", "ecdhe chosen", "dhe", "tls 1.3", "not checked"],
)
def test_static_rsa_needs_key_encipherment(
    suites: tuple[str, ...], rules: TlsRules, is_refused: bool
) -> None:
    """RFC 5246 7.4.2: only the negotiated exchange matters, and only if it is checked."""
    client = Client(suites=suites, rules=rules).pump()
    server = server_pump(SIGNING_ONLY)
    talk(client, server)
    assert client.is_open is not is_refused
    if is_refused:
        assert client.failure is not None
        assert client.failure.kind == "tls.verify.invalid_purpose"
        assert STATIC_RSA in client.failure.detail
        assert server.is_closed
    else:
        assert client.failure is None


def test_a_refused_device_sends_nothing() -> None:
    """Plaintext given to a pump that refused its peer never leaves."""
    client, server = Client(suites=(STATIC_RSA,)).pump(), server_pump(SIGNING_ONLY)
    talk(client, server)
    client.send([b"PUT /fleet/secret"])
    assert talk(client, server) == (b"", b"")


def test_a_certificate_that_allows_it_is_taken() -> None:
    """An ordinary leaf serves static RSA."""
    client = Client(suites=(STATIC_RSA,)).pump()
    talk(client, server_pump())
    assert client.is_open


def test_a_resumed_session_was_judged_when_it_was_made() -> None:
    """No certificate is sent again: what was let in once is let in again."""
    contexts = ClientContexts()
    server = ServerContext(replace(SIGNING_ONLY, session_tickets=True))
    lenient = TlsRules(resumption=True, check_key_usage=False)
    first = Client(suites=(STATIC_RSA,), rules=lenient).pump(contexts)
    talk(first, TlsPump(server.connection()))
    again = Client(suites=(STATIC_RSA,), rules=lenient).pump(contexts, first.session())
    again.connection.set_app_data(key_usage_failure)
    talk(again, TlsPump(server.connection()))
    assert again.is_open
    assert again.handshake_info().resumed
