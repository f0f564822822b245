"""HTTP session: aiobotocore's, without following anybody anywhere.

botocore itself lets its HTTP library follow none: a redirect is S3's way to say that a
bucket is elsewhere, and whoever is named in ``Location`` gets a request that was signed
for somebody else. aiohttp follows them unless told otherwise. Devices follow none either,
so a target that answers with one cannot be used as it is configured.

botocore also looks for the right region of a bucket by itself and says nothing. Its
search asks the server that just redirected; one that redirects every request is asked
without end.
"""

from typing import Any

from aiobotocore.httpsession import AIOHTTPSession


class NoRedirects(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore has no types
    """The HTTP session of a client; hand it to ``AioConfig(http_session_cls=…)``."""

    async def _get_session(self, proxy_url: str | None) -> Any:
        return _Requests(await super()._get_session(proxy_url))


class _Requests:
    """The one method of ``aiohttp.ClientSession`` that aiobotocore calls."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def request(self, method: str, **options: Any) -> Any:
        return self._session.request(method, allow_redirects=False, **options)


def stay_in_region(request_dict: Any, **_: Any) -> None:
    """Keep botocore from following a bucket: register it first for ``needs-retry.s3``.

    Args:
        request_dict: What botocore keeps of the request; marked as followed already.
    """
    request_dict["context"].setdefault("s3_redirect", {})["redirected"] = True
