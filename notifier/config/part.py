"""What every part of the configuration has in common."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of the file: unknown keys are errors, and errors repeat no values."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
