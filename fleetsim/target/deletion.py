"""Deletion: what DeleteObjects needs so that every S3 server understands it.

* Older servers insist on ``Content-MD5``, as the S3 API reference did until 2024;
  botocore sends a CRC-32 in its place since then. Both headers together are accepted by
  all of them.
* Keys travel in an XML 1.0 document, which has no way to write most control characters
  (W3C, "Extensible Markup Language 1.0", 2.2 "Characters"): objects with such keys are
  deleted one by one, by their URL.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

_NOT_IN_XML: Final = re.compile("[^\t\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Deleted:
    """What came of a deletion.

    Attributes:
        count: Objects deleted.
        refused: Objects that were not, ``key: code``.
        versioned: A delete marker was put in front of old versions.
    """

    count: int = 0
    refused: tuple[str, ...] = ()
    versioned: bool = False

    @classmethod
    def of_answer(cls, answer: Mapping[str, Any]) -> Self:
        """Read the answer to a DeleteObjects."""
        deleted = answer.get("Deleted", ())
        return cls(
            count=len(deleted),
            refused=tuple(
                f"{error.get('Key', '')}: {error.get('Code', '')}"
                for error in answer.get("Errors", ())
            ),
            versioned=any(entry.get("DeleteMarker") for entry in deleted),
        )

    def __add__(self, other: "Deleted") -> "Deleted":
        return Deleted(
            self.count + other.count,
            self.refused + other.refused,
            versioned=self.versioned or other.versioned,
        )


def can_be_in_xml(key: str) -> bool:
    """Tell whether XML 1.0 can carry a key; line ends count as not, they get changed."""
    return _NOT_IN_XML.search(key) is None


def add_content_md5(request: Any, **_: Any) -> None:
    """Add ``Content-MD5`` to a request before it is signed.

    Args:
        request: Of botocore, with ``body`` bytes and ``headers``.
    """
    digest = hashlib.md5(request.body, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()
