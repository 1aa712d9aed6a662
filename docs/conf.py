"""The site: Sphinx over the pages as they are stored, or as ``workbook run`` executed them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "Local LLM Workbook"
language = "en"
extensions = ["myst_nb", "mathml", "lean"]
exclude_patterns = ["_ext", "data/*/**", "**.ipynb_checkpoints"]
nitpicky = True

# Pages are executed by ``workbook``, never by the site.
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
# The default loads scripts from another host; ``programs.site.islands`` makes the pages' widgets run without.
nb_ipywidgets_js = {}

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Else the theme complains in the console of a reader who comes for the first time.
html_context = {"default_mode": "auto"}
html_theme = "sphinx_book_theme"
html_title = "Local LLM Workbook"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_favicon = "_static/icon.svg"
html_css_files = ["workbook.css"]
html_js_files = [("workbook.js", {"defer": "defer"})]
html_use_index = False  # there is nothing to list
html_show_copyright = False
html_show_sphinx = False
html_theme_options = {
    "home_page_in_toc": True,
    "show_navbar_depth": 2,
    "show_toc_level": 2,
    "footer_content_items": [],
    # The theme below the book's has a bar of its own: a second search field, and nothing else.
    "navbar_start": [],
    "navbar_center": [],
    "navbar_end": [],
    "navbar_persistent": [],
    "use_fullscreen_button": False,
}
