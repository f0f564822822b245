"""S3 servers: what the tests need to know about one that runs."""

from dataclasses import dataclass, field
from typing import Final

ACCESS_KEY: Final = "FLEETACCESSKEY01"
SECRET_KEY: Final = "fleetsecretfleetsecretfleetsecret0001"  # of a test


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """An S3 server on loopback, plain HTTP.

    Attributes:
        name: What it is.
        port: Where it listens on 127.0.0.1.
        access_key: Access key id of its one user.
        secret_key: That user's secret key.
        region: Region that requests are signed for.
    """

    name: str
    port: int
    access_key: str = ACCESS_KEY
    secret_key: str = field(default=SECRET_KEY, repr=False)
    region: str = "us-east-1"

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """Credentials as the AWS tools read them from the environment."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
        }
