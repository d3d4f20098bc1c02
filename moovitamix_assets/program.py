"""The names that a user types, for the remedies in messages. Nothing else belongs here."""

from foundation.program import Program

PROGRAM = Program(command="moovitamix", environment_prefix="MOOVITAMIX_")
