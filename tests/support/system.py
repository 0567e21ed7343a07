"""What tests say to a system that runs (`examples.running`)."""

from examples.running import System


def tecton_headers(system: System) -> dict[str, str]:
    """Returns the operator's key as Tecton's clients send it."""
    return {"Authorization": f"Tecton-key {system.key}"}


def snowflake_headers(system: System) -> dict[str, str]:
    """Returns the operator's key as Snowflake's clients send it."""
    return {"Authorization": f'Snowflake Token="{system.key}"'}
