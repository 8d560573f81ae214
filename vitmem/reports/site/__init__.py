"""All results as static pages in one folder: documents, tables, figures, and two suites beside each other. No torch."""
