"""Sphinx: `make docs` builds these pages into docs/_build, with no network and no warning."""

import os
import re
import sys
from pathlib import Path

import vitmem

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
# of the processes that run the gallery
os.environ.setdefault("OMP_NUM_THREADS", "1")

project, author, release = "vitmem", "the authors of vitmem", vitmem.__version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "generated",
]
exclude_patterns = ["_build", "_ext", "gallery", "sg_execution_times.rst"]
suppress_warnings = ["config.cache"]
smartquotes = False  # an option has two hyphens

html_theme = "furo"
html_title = "vitmem"
html_static_path = ["_static"]
html_css_files = ["vitmem.css"]
html_favicon = "_static/favicon.svg"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"
copybutton_prompt_text = "$ "

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
# What a docstring need not say of pydantic's classes.
autodoc_default_options = {"exclude-members": "model_config, model_post_init"}
add_module_names = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "generated_gallery",
    "filename_pattern": r"\.py$",
    "plot_gallery": os.environ.get("GALLERY", "1") == "1",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",
    "min_reported_time": 1,
}

linkcheck_timeout = 20
linkcheck_ignore = [r"http://localhost"]


def as_text(app, what, name, obj, options, lines):
    """Escape the bars of norms in docstrings, which reStructuredText reads as substitutions."""
    lines[:] = [re.sub(r"(``.*?``)|\|", lambda match: match[1] or r"\|", line) for line in lines]


def setup(app):
    """Connect what autodoc calls."""
    app.connect("autodoc-process-docstring", as_text)
