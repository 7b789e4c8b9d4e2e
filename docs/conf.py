"""How Sphinx builds these pages."""

import triune

project = "triune"
author = "the triune authors"
version = release = triune.__version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"triune {version}"
html_show_copyright = False
