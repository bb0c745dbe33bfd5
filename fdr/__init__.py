"""Full dress rehearsals for scientific data lakes."""

__version__ = "0.1.0"
