"""On which grids cases were scored, in words."""

from __future__ import annotations

from collections.abc import Iterable

from server.evaluation.site_summary import SiteSummary


def scored_grid_in_words(summaries: Iterable[SiteSummary]) -> str:
    """A sentence or two on where the scored cases of these sites were scored; "" without one."""
    sites = list(summaries)
    n_scored = sum(site.n_scored for site in sites)
    n_scanner = sum(site.n_on_scanner_grid for site in sites)
    if n_scored == 0:
        return ""
    if n_scanner == 0:
        return (
            "Scored on the grid of the prepared images: no reference on the scanner's own grid, "
            "with the record that lesionfed-site prepare writes beside it, was found. Lesions "
            "that the resampling lost are in no count."
        )
    n_lost = sum(site.n_lost_lesions or 0 for site in sites)
    lost = (
        f"{n_lost or 'No'} reference {'lesion is' if n_lost == 1 else 'lesions are'} lost by "
        f"resampling to the prepared grid{' and still counted here' if n_lost else ''}."
    )
    if n_scanner == n_scored:
        return f"Scored on the scanner's own grid, where the lesions were drawn. {lost}"
    return (
        f"{n_scanner} of {n_scored} scored cases on the scanner's own grid, where the lesions were "
        "drawn; the others on the grid of their prepared images, for want of such a reference. "
        f"{lost}"
    )
