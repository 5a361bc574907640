"""What the statuses of all kinds are made of: conditions and times."""

from typing import Annotated, Literal

from pydantic import Field

from slipway_operator.api.fields import Model

ConditionStatus = Literal["True", "False", "Unknown"]
Timestamp = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]


class Condition(Model):
    """One aspect of the object's state, in the form of metav1.Condition."""

    type: Annotated[str, Field(max_length=64)] = Field(description="Which aspect.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    observed_generation: Annotated[int, Field(ge=0)] = Field(default=0, description="Generation of the spec that this was said of.")
    last_transition_time: Timestamp = Field(description="When the status last changed.")
    reason: Annotated[str, Field(max_length=64)] = Field(description="One word for programs.")
    message: Annotated[str, Field(max_length=2048)] = Field(default="", description="A sentence for people.")
