"""The programs that the command ``workbook`` runs. They import ``workbook``, never the reverse."""
