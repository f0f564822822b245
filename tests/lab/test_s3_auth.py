"""Tests of fleetsim.lab.s3_auth, signed by botocore."""

from urllib.parse import parse_qsl, quote, urlsplit

import botocore.credentials
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from fleetsim.core.settings import Credentials
from fleetsim.core.sigv4 import parse_amz_date
from fleetsim.lab.credential_book import CredentialBook
from fleetsim.lab.s3_auth import AuthRules, Identity, Verifier
from fleetsim.lab.s3_errors import S3Error

HOST = "s3.example.com:9000"
SECRET = "a/secret+key"
TOKENS = {"AK": "", "AKTEMP": "to/ken+=="}
VERIFIER = Verifier(
    CredentialBook(
        [
            Credentials(access_key=name, secret_key=SECRET, session_token=token)
            for name, token in TOKENS.items()
        ]
    ),
    AuthRules(region="eu-central-1"),
)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
HEADER = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)


class Signed:
    """A request signed by botocore; parts of it may be changed afterwards."""

    def __init__(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        access_key: str = "AK",
        *,
        expires_s: int = 0,
    ) -> None:
        url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
        request = AWSRequest(method=method, url=url, headers=headers or {}, data=b"")
        keys = botocore.credentials.Credentials(
            access_key, SECRET, TOKENS[access_key] or None
        )
        if expires_s:
            S3SigV4QueryAuth(keys, "s3", "eu-central-1", expires=expires_s).add_auth(
                request
            )
        else:
            S3SigV4Auth(keys, "s3", "eu-central-1").add_auth(request)
        split = urlsplit(request.url)
        self.method = method
        self.path = split.path
        self.query = parse_qsl(split.query, keep_blank_values=True)
        self.headers = CIMultiDict({"Host": HOST, **dict(request.headers.items())})
        stamp = self.headers.get("X-Amz-Date") or dict(self.query)["X-Amz-Date"]
        unix_s = parse_amz_date(stamp)
        assert unix_s is not None
        self.unix_s = unix_s

    def verify(self, offset_s: float = 0.0) -> Identity:
        """Verify it so long after it was signed."""
        return VERIFIER.verify(
            self.method,
            self.path,
            tuple(self.query),
            CIMultiDictProxy(self.headers),
            self.unix_s + offset_s,
        )


@settings(max_examples=150, deadline=None)
@given(
    key=TEXT,
    query=st.dictionaries(TEXT.filter(bool), TEXT, max_size=3),
    meta=st.dictionaries(
        st.text("abc-", min_size=1, max_size=5), HEADER.filter(bool), max_size=3
    ),
    access_key=st.sampled_from(sorted(TOKENS)),
    expires_s=st.sampled_from([0, 60]),
)
def test_what_botocore_signs_is_accepted(
    key: str,
    query: dict[str, str],
    meta: dict[str, str],
    access_key: str,
    expires_s: int,
) -> None:
    """Every request botocore signs is accepted, and no other secret or path is."""
    encoded = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}"
        for name, value in query.items()
    )
    signed = Signed(
        "PUT",
        "/fleet/" + quote(key, safe="/~"),
        encoded,
        {f"x-amz-meta-{name}": value for name, value in meta.items()},
        access_key,
        expires_s=expires_s,
    )
    assert signed.verify().access_key == access_key
    signed.path += "x"
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        signed.verify()


@pytest.mark.parametrize(
    ("offset_s", "expires_s", "code"),
    [
        (-901, 0, "RequestTimeTooSkewed"),
        (-900, 0, ""),
        (900, 0, ""),
        (901, 0, "RequestTimeTooSkewed"),
        (-901, 60, "AccessDenied"),
        (-900, 60, ""),
        (60, 60, ""),
        (61, 60, "AccessDenied"),
        (604_800, 604_800, ""),
        (0, 604_801, "AuthorizationQueryParametersError"),
    ],
)
def test_clock(offset_s: int, expires_s: int, code: str) -> None:
    """Signatures count 15 minutes around their date, presigned ones until they expire."""
    signed = Signed("GET", "/fleet/k", expires_s=expires_s)
    if not code:
        signed.verify(offset_s)
        return
    with pytest.raises(S3Error) as caught:
        signed.verify(offset_s)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("/s3/", "/ec2/", "AuthorizationHeaderMalformed"),
        ("eu-central-1", "us-east-1", "AuthorizationHeaderMalformed"),
        ("aws4_request", "aws5_request", "AuthorizationHeaderMalformed"),
        ("Credential=AK/", "Credential=", "AuthorizationHeaderMalformed"),
        ("Credential=AK/20", "Credential=AK/19", "AuthorizationHeaderMalformed"),
        ("Credential=AK", "Credential=OTHER", "InvalidAccessKeyId"),
        ("Credential=AK", "Credential=AKTEMP", "InvalidAccessKeyId"),
        ("host;", "", "AccessDenied"),
        ("x-amz-date", "x-amz-dats", "AccessDenied"),
        (", SignedHeaders", " SignedHeaders", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512", "InvalidArgument"),
    ],
)
def test_changed_authorization(old: str, new: str, code: str) -> None:
    """Each part of the header has its own refusal."""
    signed = Signed("GET", "/fleet/k")
    header = signed.headers["Authorization"]
    assert old in header
    signed.headers["Authorization"] = header.replace(old, new, 1)
    with pytest.raises(S3Error) as caught:
        signed.verify()
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["X-Amz-Date", "X-Amz-Content-SHA256"])
def test_missing_headers(name: str) -> None:
    """A signature without its date or payload hash is refused."""
    signed = Signed("GET", "/fleet/k")
    del signed.headers[name]
    with pytest.raises(S3Error) as caught:
        signed.verify()
    assert caught.value.code in {"AccessDenied", "InvalidRequest"}


def test_tokens() -> None:
    """A wrong session token is InvalidToken, one too many as well."""
    signed = Signed("GET", "/fleet/k", access_key="AKTEMP")
    signed.headers["X-Amz-Security-Token"] = "other"
    with pytest.raises(S3Error, match="InvalidToken"):
        signed.verify()
    signed = Signed("GET", "/fleet/k")
    signed.headers["X-Amz-Security-Token"] = "one too many"
    with pytest.raises(S3Error, match="InvalidToken"):
        signed.verify()


def test_two_signatures() -> None:
    """A request signed in both ways is refused."""
    signed = Signed("GET", "/fleet/k", expires_s=60)
    signed.headers["Authorization"] = Signed("GET", "/fleet/k").headers["Authorization"]
    with pytest.raises(S3Error, match="Only one auth mechanism"):
        signed.verify()


def test_any_region() -> None:
    """With the check off any region is accepted, with its own signing key."""
    book = CredentialBook([Credentials(access_key="AK", secret_key=SECRET)])
    verifier = Verifier(book, AuthRules(region="mars-1", check_region=False))
    signed = Signed("GET", "/fleet/k")
    headers = CIMultiDictProxy(signed.headers)
    identity = verifier.verify("GET", signed.path, (), headers, signed.unix_s)
    assert identity.access_key == "AK"


def test_errors_tell_no_secret() -> None:
    """Neither the secret nor a token is in a refusal, as text or as details."""
    signed = Signed("GET", "/fleet/k", access_key="AKTEMP")
    signed.path = "/fleet/other"
    with pytest.raises(S3Error) as caught:
        signed.verify()
    told = repr(caught.value) + str(caught.value.details)
    assert SECRET not in told
    assert TOKENS["AKTEMP"] not in told
