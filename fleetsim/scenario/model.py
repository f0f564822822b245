"""Model: what all parts of a scenario have in common, and small shared field types."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,62}$"
NAME_RULE: Final = "1 to 63 of a-z, 0-9, '_' and '-', starting with a letter or digit"


class Part(BaseModel):
    """A mapping of a scenario: immutable, unknown keys are errors.

    The docstring below a field is its description in the published JSON Schema.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        validate_default=True,
    )


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Text = Annotated[str, Field(max_length=4000)]
PathText = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]
Port = Annotated[StrictInt, Field(ge=0, le=65535)]
TlsVersion = Literal["TLSv1.2", "TLSv1.3"]
ClientKey = Literal["rsa-1024", "rsa-2048", "rsa-3072", "rsa-4096", "p256"]
