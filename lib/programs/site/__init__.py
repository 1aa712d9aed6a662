"""The stored pages: executed, brought into one form, checked, built into a site, opened in JupyterLab or Voilà."""
