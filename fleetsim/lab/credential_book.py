"""The credentials an S3 endpoint accepts; they may be rotated while it serves."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from fleetsim.core.settings import Credentials
from fleetsim.lab.s3_errors import S3Error


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Credentials that are accepted.

    Attributes:
        credentials: Key, secret and, for temporary ones, session token.
        expires_unix_s: From then on ``ExpiredToken``; ``None`` = never.
    """

    credentials: Credentials
    expires_unix_s: float | None = None


class CredentialBook:
    """The credentials that are accepted now. May change while requests are served."""

    def __init__(self, credentials: Sequence[Credentials]) -> None:
        self._accounts = {
            entry.access_key: Account(credentials=entry) for entry in credentials
        }

    def __contains__(self, access_key: str) -> bool:
        return access_key in self._accounts

    def __len__(self) -> int:
        return len(self._accounts)

    def add(
        self, credentials: Credentials, expires_unix_s: float | None = None
    ) -> None:
        """Accept credentials from now on; replaces those of the same access key."""
        self._accounts[credentials.access_key] = Account(
            credentials=credentials, expires_unix_s=expires_unix_s
        )

    def remove(self, access_key: str) -> bool:
        """Accept credentials no longer; returns whether they had been."""
        return self._accounts.pop(access_key, None) is not None

    def admit(self, access_key: str, token: str, now_unix_s: float) -> Credentials:
        """Find the credentials a request names and check its session token.

        Args:
            access_key: Access key id of the request.
            token: Session token of the request, empty when it has none.
            now_unix_s: The server's clock.

        Raises:
            S3Error: ``InvalidAccessKeyId``, ``ExpiredToken`` or ``InvalidToken``.
        """
        account = self._accounts.get(access_key)
        if account is None:
            raise _unknown(access_key)
        expires_unix_s = account.expires_unix_s
        if expires_unix_s is not None and now_unix_s >= expires_unix_s:
            raise S3Error("ExpiredToken")
        expected = account.credentials.session_token
        if expected and not token:
            # AWS knows temporary keys only together with their token.
            raise _unknown(access_key)
        given = token.encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(expected.encode(), given):
            raise S3Error("InvalidToken")
        return account.credentials


def _unknown(access_key: str) -> S3Error:
    return S3Error("InvalidAccessKeyId", details=(("AWSAccessKeyId", access_key),))
