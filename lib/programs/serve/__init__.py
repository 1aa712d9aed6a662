"""``workbook serve``: an endpoint that answers as Ollama does, for machines that have none."""
