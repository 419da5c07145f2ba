"""Builds the documentation as a site in build/docs: `python -m ops.site`. Settings and navigation: zensical.toml.

staging    copies the documentation, and every file that it links to, to build/pages
checking   looks for broken links, other hosts and unread Markdown in the built pages, and for the alerts' runbooks
__main__   builds all of it; a warning ends it with exit status 1

iframe-worker.js and site.css are parts of the site.
"""
