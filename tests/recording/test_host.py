"""Reports can tell on what and with what a run took place."""

import json
import platform
import ssl

from fleetsim.recording.host import host_facts, versions


def test_versions_are_those_in_use() -> None:
    """Python's version is this one's, OpenSSL names itself, nothing is unknown."""
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["openssl"].split()[0] == ssl.OPENSSL_VERSION.split()[0] == "OpenSSL"
    assert "unknown" not in found.values()


def test_host_facts_are_plain_and_name_nobody() -> None:
    """Figures to compare hosts by, without the name of the host."""
    facts = host_facts()
    assert facts["cpus"] >= facts["cpus_usable"] >= 1
    assert facts["memory_bytes"] > 2**26
    assert platform.node() not in json.dumps(facts)
