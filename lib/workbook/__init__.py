"""Helpers behind the pages of the Local LLM Workbook. Import the module you need: nothing is loaded here."""

__version__ = "0.1.0"
