"""AWS configuration: endpoint, region and credentials as AWS users set them.

botocore's own session answers wherever it has a rule, so that profiles, the shared
configuration files, ``AWS_ENDPOINT_URL_S3``, ``services`` sections, assumed roles and
session tokens mean here what they mean everywhere (AWS SDKs and Tools Reference Guide,
"Configuration and credential settings precedence" and "Service-specific endpoints").

Order, first one wins:

* endpoint: the scenario, ``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL``, the profile,
  AWS itself in the region;
* region: the scenario, ``AWS_REGION``, ``AWS_DEFAULT_REGION``, the profile,
  ``us-east-1``;
* credentials: the variables or the profile the scenario names, else botocore's chain
  (environment, shared files, assumed role, container, instance).
"""

import os
from urllib.parse import urlsplit

import botocore.configprovider
import botocore.exceptions
import botocore.session

from fleetsim.core.settings import Credentials, Endpoint, RequestStyle
from fleetsim.exceptions import InputError, Problem

DEFAULT_REGION = "us-east-1"


def resolve_endpoint(
    bucket: str,
    *,
    url: str | None = None,
    region: str | None = None,
    style: RequestStyle = RequestStyle.PATH,
    profile: str | None = None,
) -> Endpoint:
    """Find out where to upload to.

    Args:
        bucket: Bucket name.
        url: Endpoint of the scenario, ``http(s)://host[:port]``; ``None`` = look.
        region: Region of the scenario; ``None`` = look.
        style: Where the bucket name goes.
        profile: AWS profile; ``None`` = ``AWS_PROFILE`` or ``default``.

    Raises:
        InputError: If the profile, the files or the URL cannot be used.
    """
    session = botocore.session.Session(profile=profile)
    try:
        full_config = session.full_config
        scoped_config = session.get_scoped_config()
        is_ignored = session.get_config_variable("ignore_configured_endpoint_urls")
    except botocore.exceptions.BotoCoreError as exc:
        raise InputError(Problem("AWS configuration", str(exc))) from exc
    chosen_region = (
        region
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
        or scoped_config.get("region")
        or DEFAULT_REGION
    )
    where = "target.endpoint"
    if url is None and not is_ignored:
        where = "endpoint of the AWS_ENDPOINT_URL variables or the AWS profile"
        url = botocore.configprovider.ConfiguredEndpointProvider(
            full_config=full_config, scoped_config=scoped_config, client_name="s3"
        ).provide()
    if url is None:
        url = f"https://s3.{chosen_region}.amazonaws.com"
    scheme, host, port = parse_endpoint_url(url, where)
    return Endpoint(
        scheme=scheme,
        host=host,
        port=port,
        bucket=bucket,
        region=chosen_region,
        style=style,
    )


def parse_endpoint_url(url: str, where: str) -> tuple[str, str, int]:
    """Take an endpoint URL apart.

    Args:
        url: ``http(s)://host[:port]``, IPv6 addresses in brackets.
        where: Where it comes from, for the problem.

    Returns:
        Scheme, host (IPv6 without brackets), port (80 or 443 by default).

    Raises:
        InputError: If it is none; the URL itself is not repeated (it may hold a
            password).
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as exc:
        raise InputError(Problem(where, "is not a URL: check host and port")) from exc
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InputError(
            Problem(where, "is not http://host[:port] or https://host[:port]")
        )
    if "@" in parts.netloc:
        raise InputError(Problem(where, "must carry no user name or password"))
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise InputError(
            Problem(where, "must end after the port: no path, query or fragment")
        )
    if port == 0:
        raise InputError(Problem(where, "names port 0, which cannot be connected to"))
    default = 443 if parts.scheme == "https" else 80
    return parts.scheme, parts.hostname, default if port is None else port


def resolve_credentials(profile: str | None = None) -> Credentials:
    """Find credentials by botocore's rules.

    Args:
        profile: AWS profile; ``None`` = ``AWS_PROFILE``, the environment, ``default``.

    Raises:
        InputError: If there are none or a file or profile cannot be used.
    """
    where = f"AWS profile {profile}" if profile else "AWS credentials"
    session = botocore.session.Session(profile=profile)
    try:
        found = session.get_credentials()
        frozen = None if found is None else found.get_frozen_credentials()
    except (
        botocore.exceptions.ProfileNotFound,
        botocore.exceptions.PartialCredentialsError,
        botocore.exceptions.ConfigParseError,
        botocore.exceptions.ConfigNotFound,
    ) as exc:
        raise InputError(Problem(where, str(exc))) from exc
    except botocore.exceptions.BotoCoreError as exc:
        # the words of a credential process or a token service may hold a secret
        what = f"cannot be obtained ({type(exc).__name__})"
        raise InputError(Problem(where, what)) from exc
    if frozen is None or not frozen.access_key or not frozen.secret_key:
        what = (
            "none found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_PROFILE"
        )
        raise InputError(Problem(where, what))
    return Credentials(
        access_key=frozen.access_key,
        secret_key=frozen.secret_key,
        session_token=frozen.token or "",
    )


def credentials_from_variables(
    access_key_env: str, secret_key_env: str, session_token_env: str = ""
) -> Credentials:
    """Read credentials from environment variables that a scenario names.

    Args:
        access_key_env: Name of the variable with the access key id.
        secret_key_env: Name of the variable with the secret.
        session_token_env: Name of the variable with the token, empty = none.

    Raises:
        InputError: With every variable that is missing or empty.
    """
    names = [access_key_env, secret_key_env]
    if session_token_env:
        names.append(session_token_env)
    problems = [
        Problem(name, "this environment variable is not set or empty")
        for name in names
        if not os.environ.get(name)
    ]
    if problems:
        raise InputError(problems)
    return Credentials(
        access_key=os.environ[access_key_env],
        secret_key=os.environ[secret_key_env],
        session_token=os.environ[session_token_env] if session_token_env else "",
    )
