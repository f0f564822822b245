"""AWS settings mean here what they mean in every AWS tool."""

import json
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import botocore.session
import pytest

from fleetsim.core.settings import Endpoint, RequestStyle
from fleetsim.exceptions import InputError
from fleetsim.target.aws_config import (
    credentials_from_variables,
    parse_endpoint_url,
    resolve_credentials,
    resolve_endpoint,
)

CONFIG = """
[default]
region = eu-north-1
[profile lab]
region = eu-west-1
services = lab-services
[profile wide]
endpoint_url = https://wide.example:8443
[profile process]
credential_process = {python} -c "import sys; sys.exit('canary-77')"
[services lab-services]
s3 =
  endpoint_url = http://127.0.0.1:9000
"""
SHARED = """
[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key = secret-default
[lab]
aws_access_key_id = AKLAB
aws_secret_access_key = secret-lab
aws_session_token = token-lab
[half]
aws_access_key_id = AKHALF
"""


@pytest.fixture(autouse=True)
def _aws_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clean environment with configuration files of our own."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    ):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config").write_text(CONFIG.format(python=sys.executable))
    (tmp_path / "credentials").write_text(SHARED)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.parametrize(
    ("variables", "url", "expected"),
    [
        ({}, None, ("https", "s3.eu-north-1.amazonaws.com", 443)),
        ({"AWS_ENDPOINT_URL": "http://a:1"}, None, ("http", "a", 1)),
        (
            {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://b:2"},
            None,
            ("http", "b", 2),
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "http://b:2"},
            "https://[::1]:9443",
            ("https", "::1", 9443),
        ),
        (
            {"AWS_PROFILE": "lab", "AWS_ENDPOINT_URL": "http://a"},
            None,
            ("http", "a", 80),
        ),
        ({"AWS_PROFILE": "lab"}, None, ("http", "127.0.0.1", 9000)),
        ({"AWS_PROFILE": "wide"}, None, ("https", "wide.example", 8443)),
        (
            {
                "AWS_ENDPOINT_URL": "http://a:1",
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
            },
            None,
            ("https", "s3.eu-north-1.amazonaws.com", 443),
        ),
    ],
    ids=[
        "AWS itself",
        "variable",
        "variable of S3 first",
        "scenario first of all",
        "variable before profile",
        "services section",
        "profile",
        "ignored on request",
    ],
)
def test_endpoints(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    url: str | None,
    expected: tuple[str, str, int],
) -> None:
    """The order is scenario, S3's variable, the general variable, the profile, AWS."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    endpoint = resolve_endpoint("fleet", url=url)
    assert (endpoint.scheme, endpoint.host, endpoint.port) == expected
    if url is None:
        client = botocore.session.Session().create_client("s3", endpoint.region)
        theirs = parse_endpoint_url(client.meta.endpoint_url, "botocore")
        assert theirs == expected


@pytest.mark.parametrize(
    ("variables", "region", "expected"),
    [
        ({}, None, "eu-north-1"),
        ({"AWS_DEFAULT_REGION": "r1"}, None, "r1"),
        ({"AWS_DEFAULT_REGION": "r1", "AWS_REGION": "r2"}, None, "r2"),
        ({"AWS_REGION": "r2"}, "r3", "r3"),
        ({"AWS_PROFILE": "lab"}, None, "eu-west-1"),
        ({"AWS_PROFILE": "wide"}, None, "us-east-1"),
    ],
    ids=["default", "variable", "newer variable", "scenario", "profile", "none"],
)
def test_regions(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    region: str | None,
    expected: str,
) -> None:
    """The order is scenario, AWS_REGION, AWS_DEFAULT_REGION, profile, us-east-1."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert resolve_endpoint("fleet", region=region).region == expected


def test_an_endpoint_is_made_of_what_was_found() -> None:
    """Bucket and style come from the scenario."""
    assert resolve_endpoint(
        "fleet", url="https://s3.example", style=RequestStyle.VIRTUAL, profile="lab"
    ) == Endpoint(
        scheme="https",
        host="s3.example",
        port=443,
        bucket="fleet",
        region="eu-west-1",
        style=RequestStyle.VIRTUAL,
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3.example:9000",
        "ftp://s3.example",
        "https://",
        "https://user:canary@s3.example",
        "https://s3.example/bucket",
        "https://s3.example?x=canary",
        "https://s3.example:0",
        "https://s3.example:99999",
        "https://[::1",
        "https://s3.example:port",
    ],
)
def test_unusable_urls_are_refused_without_repeating_them(url: str) -> None:
    """A URL may hold a password: the problem names the place, not the text."""
    with pytest.raises(InputError) as caught:
        parse_endpoint_url(url, "target.endpoint")
    assert caught.value.problems[0].where == "target.endpoint"
    assert "canary" not in str(caught.value)


def test_credentials_of_the_default_profile() -> None:
    """Without any variable the shared file answers."""
    found = resolve_credentials()
    assert (found.access_key, found.secret_key) == ("AKDEFAULT", "secret-default")
    assert found.session_token == ""
    assert "secret-default" not in repr(found)


def test_variables_go_before_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment answers first, its token too."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-env")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-env")
    found = resolve_credentials()
    assert found.access_key == "AKENV"
    assert found.session_token == "token-env"


@pytest.mark.parametrize("by", ["argument", "variable"])
def test_a_profile_is_taken_when_named(
    monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """By the scenario or by AWS_PROFILE, with its session token."""
    if by == "variable":
        monkeypatch.setenv("AWS_PROFILE", "lab")
    found = resolve_credentials("lab" if by == "argument" else None)
    assert (found.access_key, found.session_token) == ("AKLAB", "token-lab")


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("nobody", "could not be found"),
        ("half", "aws_secret_access_key"),
        ("process", "CredentialRetrievalError"),
    ],
)
def test_unusable_profiles_are_bad_input(profile: str, words: str) -> None:
    """The profile is named; what a credential process printed is not repeated."""
    with pytest.raises(InputError, match=words) as caught:
        resolve_credentials(profile)
    assert profile in str(caught.value)
    assert "canary-77" not in str(caught.value)
    assert "AKHALF" not in str(caught.value)


class _Metadata(BaseHTTPRequestHandler):
    """Container credentials and the instance metadata service (IMDSv2), in short."""

    def do_PUT(self) -> None:
        """Give a session token of the metadata service."""
        self._answer("imds-token")

    def do_GET(self) -> None:
        """Give the role, or its credentials."""
        role = "/latest/meta-data/iam/security-credentials/"
        if self.path.startswith("/latest"):
            if self.headers["x-aws-ec2-metadata-token"] != "imds-token":
                self._answer("", 401)
                return
            if self.path == role:
                self._answer("fleet-role")
                return
        elif self.headers["Authorization"] != "container-secret":
            self._answer("", 401)
            return
        expires = (datetime.now(UTC) + timedelta(hours=6)).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        self._answer(
            json.dumps(
                {
                    "Code": "Success",
                    "AccessKeyId": "ASIAROLE",
                    "SecretAccessKey": "secret-role",
                    "Token": "token-role",
                    "Expiration": expires,
                }
            )
        )

    def _answer(self, text: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def metadata() -> Iterator[str]:
    """A metadata service on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Metadata) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("service", ["container", "instance"])
def test_credentials_of_machines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, metadata: str, service: str
) -> None:
    """AWS SDKs and Tools Reference Guide, "Container" and "IMDS credential provider"."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    if service == "container":
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{metadata}/role")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-secret")
    else:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata)
    found = resolve_credentials()
    assert found.access_key == "ASIAROLE"
    assert found.secret_key == "secret-role"
    assert found.session_token == "token-role"


def test_no_credentials_at_all_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence names the variables."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(InputError, match="set AWS_ACCESS_KEY_ID"):
        resolve_credentials()


def test_a_broken_configuration_file_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be parsed stops both resolvers."""
    (tmp_path / "broken").write_text("region = nowhere\n[")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "broken"))
    with pytest.raises(InputError, match="broken"):
        resolve_credentials()
    with pytest.raises(InputError, match="broken"):
        resolve_endpoint("fleet")


def test_named_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario may name the variables of a cohort."""
    monkeypatch.setenv("FLEET_KEY", "AKFLEET")
    monkeypatch.setenv("FLEET_SECRET", "secret-fleet")
    found = credentials_from_variables("FLEET_KEY", "FLEET_SECRET")
    assert (found.access_key, found.secret_key) == ("AKFLEET", "secret-fleet")
    monkeypatch.setenv("FLEET_TOKEN", "token")
    with_token = credentials_from_variables("FLEET_KEY", "FLEET_SECRET", "FLEET_TOKEN")
    assert with_token.session_token == "token"


def test_all_missing_variables_are_named_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Empty counts as missing."""
    monkeypatch.setenv("FLEET_SECRET", "")
    with pytest.raises(InputError) as caught:
        credentials_from_variables("FLEET_KEY", "FLEET_SECRET", "FLEET_TOKEN")
    assert [problem.where for problem in caught.value.problems] == [
        "FLEET_KEY",
        "FLEET_SECRET",
        "FLEET_TOKEN",
    ]
