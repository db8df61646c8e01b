"""The report: tables and the study in, one self-contained page out.

    from polydrift.report import render
    render(tables, lock, Path("demo-results/report/index.html"))

The page is a single HTML file without a request to anywhere: no font, script or image from outside,
and a content security policy that forbids it. Everything on it is read from the tables and from the
study's lock file; equal ones give equal bytes. It is made in three layers:

    grid        which variants are compared, in which panels, and what changed in each cell
    matrices, figures, inside, capability, association, headline, judges, categories,
    counts, answers, provenance
                what a section shows, as plain data with every number already in words
    templates/  how it looks; no arithmetic there

`print_summary` says the headline in the terminal, `print_audit` an audit's rows.
"""

from __future__ import annotations

from polydrift.report.audit import audit_rows
from polydrift.report.headline import Headline, headline
from polydrift.report.page import render
from polydrift.report.summary import print_audit, print_summary

__all__ = ["Headline", "audit_rows", "headline", "print_audit", "print_summary", "render"]
