"""What an operator reads when a command could not do its work."""

from shared.domain.errors import CatoError


class CommandFailed(CatoError):
    """One sentence: what is wrong, and what would help."""
