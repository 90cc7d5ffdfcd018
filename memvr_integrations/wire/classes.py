"""JSON schemas of pydantic classes that say all of what the class will check.

For integrations only: the backend itself takes schemas, and does without pydantic.
"""

from decimal import Decimal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from memvr_integrations.types.tools import JsonSchema

_KEYS = {
    "integer": "^(-?[1-9][0-9]{0,14}|0)$",
    "number": r"^(-?[1-9][0-9]{0,8}\.[0-9]{1,6}|0)$",
    "boolean": "^(true|false)$",
}


def schema_of_class(model: type[BaseModel]) -> JsonSchema:
    """The schema of a class; what fits it passes the class's own types."""
    return model.model_json_schema(schema_generator=WholeSchema)


class WholeSchema(GenerateJsonSchema):
    """Writes down limits that pydantic's own schemas leave out."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """A number; pydantic would let any string pass here."""
        number = self.float_schema(
            core_schema.float_schema(
                ge=_float(schema.get("ge")),
                gt=_float(schema.get("gt")),
                le=_float(schema.get("le")),
                lt=_float(schema.get("lt")),
                multiple_of=_float(schema.get("multiple_of")),
            )
        )
        places, digits = schema.get("decimal_places"), schema.get("max_digits")
        if digits is not None:
            places = places or 0
            edge = 10.0 ** (digits - places) - 10.0**-places
            number.setdefault("minimum", -edge)
            number.setdefault("maximum", edge)
        if places is not None:
            number.setdefault("multipleOf", 10.0**-places)
        return number

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        """With or without a time zone, as the class wants it."""
        written = super().datetime_schema(schema)
        if schema.get("tz_constraint") == "naive":
            written["format"] = "local-date-time"
        return written

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """With the keys' form, where they are no strings."""
        written = super().dict_schema(schema)
        keys = self.generate_inner(schema["keys_schema"]) if "keys_schema" in schema else {}
        if keys.get("type") in _KEYS:
            written["propertyNames"] = {"pattern": _KEYS[keys["type"]]}
        return written


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
