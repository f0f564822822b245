"""Model: what all parts of a scenario have in common, and small shared field types."""

from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictInt,
)

from fleetsim.scenario.docstrings import field_docstrings

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
        allow_inf_nan=False,
        validate_default=True,
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe every field by the text below it, then by that of its type."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        texts = field_docstrings(cls)
        for name, field in cls.model_fields.items():
            shown = properties.get(field.alias or name)
            if shown is not None and name in texts:
                of_type = shown.get("description", "")
                shown["description"] = f"{texts[name]} {of_type}".strip()
        return schema


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Text = Annotated[str, Field(max_length=4000)]
PathText = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]
Port = Annotated[StrictInt, Field(ge=0, le=65535)]
TlsVersion = Literal["TLSv1.2", "TLSv1.3"]
ClientKey = Literal["rsa-1024", "rsa-2048", "rsa-3072", "rsa-4096", "p256"]
