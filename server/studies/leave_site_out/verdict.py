"""What a study says, in sentences: the federated network beside each of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.recipe.task import Task
from common.recipe.task_labels import threshold_name
from server.evaluation.site_summary import summarize_sites
from server.studies.leave_site_out.cells import Cell, rows_of
from server.studies.leave_site_out.table import TableRow


def method_names(task: Task) -> dict[str, str]:
    """Method -> how a reader knows it, in reading order."""
    return {
        "federated": "Federated",
        "pooled": "Pooled data",
        "local": "One site alone",
        "baseline": threshold_name(task),
    }


def verdict(
    cells: Sequence[Cell], table: Sequence[TableRow], *, names: Mapping[str, str]
) -> list[str]:
    """One sentence on the federated networks, then one on each method beside them."""
    dice = {row.method: row for row in table if row.metric == "dice"}
    federated = dice.get("federated")
    if federated is None or federated.mean is None:
        return ["No federated network has a defined Dice at a site it never saw."]
    sentences = [
        f"Federated over all other sites, the network has a mean Dice of {federated.mean:.3f} over "
        f"{federated.n} of {federated.n_planned} planned cases, each at a site that took no part."
    ]
    if federated.worst_site is not None:
        sentences[0] += (
            f" Its worst site is {federated.worst_site} ({federated.worst_site_mean:.3f})."
        )
    return sentences + [
        _beside(cells, federated, row, names[row.method])
        for row in dice.values()
        if row.method != "federated"
    ]


def _beside(cells: Sequence[Cell], federated: TableRow, other: TableRow, name: str) -> str:
    if other.mean is None or federated.mean is None:
        return f"{name}: no defined Dice."
    mine, theirs = rows_of(cells, "federated"), rows_of(cells, other.method)
    means = _site_means(cells, "federated"), _site_means(cells, other.method)
    both = [site for site in means[0] if site in means[1]]
    n_above = sum(means[0][site] > means[1][site] for site in both)
    text = (
        f"{name}: {other.mean:.3f}. The federated network is "
        f"{_apart(federated.mean - other.mean)}, and has the higher mean at {n_above} of "
        f"{len(both)} sites."
    )
    same = {(r.site, r.name) for r in mine if r.metric("dice") is not None} == {
        (r.site, r.name) for r in theirs if r.metric("dice") is not None
    }
    return text if same else f"{text} The two means are not over the same cases."


def _apart(difference: float) -> str:
    if abs(difference) < 0.0005:
        return "equal to three digits"
    return f"{abs(difference):.3f} {'above' if difference > 0 else 'below'}"


def _site_means(cells: Sequence[Cell], method: str) -> dict[str, float]:
    means = {s.site: s.metric("dice").mean for s in summarize_sites(rows_of(cells, method))}
    return {site: mean for site, mean in means.items() if mean is not None}
