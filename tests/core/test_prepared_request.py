"""PreparedRequest against the signer that writes every request anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.http1 import request_head
from fleetsim.core.prepared_request import PreparedRequest
from fleetsim.core.settings import Credentials, Endpoint, RequestStyle
from fleetsim.core.sigv4 import Signer
from fleetsim.exceptions import InputError

NOW_UNIX_S = 1_790_000_000
WORDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


def signer(*, token: str = "", style: RequestStyle = RequestStyle.PATH) -> Signer:
    """A signer of an endpoint on an odd port."""
    return Signer(
        Credentials(access_key="AK", secret_key="s%s", session_token=token),
        Endpoint(
            scheme="https",
            host="s3.test",
            port=9443,
            bucket="fleet",
            region="eu-west-1",
            style=style,
        ),
    )


@given(
    key=KEYS,
    unix_s=st.integers(0, 4_294_967_295),
    digest=st.none() | st.just("ab" * 32),
    fixed=WORDS,
    given_value=WORDS,
    size=st.integers(0, 10**12),
    token=st.sampled_from(["", "session+token=="]),
    style=st.sampled_from(list(RequestStyle)),
)
def test_it_writes_what_the_signer_writes(
    *,
    key: str,
    unix_s: int,
    digest: str | None,
    fixed: str,
    given_value: str,
    size: int,
    token: str,
    style: RequestStyle,
) -> None:
    """Prepared or not, a request is the same bytes."""
    one = signer(token=token, style=style)
    prepared = PreparedRequest(
        one,
        "PUT",
        (("x-amz-meta-fixed", fixed), ("X-Amz-Meta-Given", None)),
        (("content-length", None), ("connection", "close")),
    )
    target, headers = one.sign(
        "PUT",
        key,
        unix_s,
        payload_sha256=digest,
        headers=(("x-amz-meta-fixed", fixed), ("X-Amz-Meta-Given", given_value)),
    )
    framing = [("content-length", str(size)), ("connection", "close")]
    assert prepared.head(key, unix_s, digest, given_value, str(size)) == request_head(
        "PUT", target, [*headers, *framing]
    )


def test_percent_signs_are_text() -> None:
    """Neither a fixed nor a given value is taken for a format."""
    prepared = PreparedRequest(
        signer(), "PUT", (("x-amz-meta-a", "100%d"), ("x-amz-meta-b", None))
    )
    head = prepared.head("k", NOW_UNIX_S, None, "%s%%").decode()
    assert "x-amz-meta-a: 100%d\r\n" in head
    assert "x-amz-meta-b: %s%%\r\n" in head


@pytest.mark.parametrize(
    "value",
    ["a\r\nx-evil: 1", "a\nb", "\U000f0001"],
    ids=["header injection", "bare line feed", "a mark of ours"],
)
def test_fixed_values_that_cannot_be_sent(value: str) -> None:
    """They are refused before the first request."""
    with pytest.raises(InputError):
        PreparedRequest(signer(), "PUT", (("x-amz-meta-a", value),))


def test_a_given_value_cannot_add_a_line() -> None:
    """Response splitting in reverse: a value with a line break is refused."""
    prepared = PreparedRequest(signer(), "PUT", (("x-amz-meta-a", None),))
    with pytest.raises(InputError, match="line break"):
        prepared.head("k", NOW_UNIX_S, None, "1\r\nx-evil: 1")
