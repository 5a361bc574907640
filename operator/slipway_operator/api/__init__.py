"""The kinds: fields, defaults, validation, conditions. Imports pydantic and nothing else of the operator."""
