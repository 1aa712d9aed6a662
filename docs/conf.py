"""The site: Sphinx over the pages as they are stored, or as ``workbook run`` executed them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Local LLM Workbook"
language = "en"
extensions = ["myst_nb", "mathml"]
exclude_patterns = ["_ext", "data/*/**", "**.ipynb_checkpoints"]
nitpicky = True

# Pages are executed by ``workbook``, never by the site.
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
# The default loads scripts from another host; ``workbook site`` shows a widget's picture instead.
nb_ipywidgets_js = {}

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

html_theme = "sphinx_book_theme"
html_title = "Local LLM Workbook"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["workbook.css"]
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {
    "home_page_in_toc": True,
    "show_navbar_depth": 2,
    "show_toc_level": 2,
    "footer_content_items": [],
}
