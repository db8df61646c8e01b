"""polydrift measures what harmless fine-tuning in one language does to safety in every language."""

__version__ = "0.1.0"
