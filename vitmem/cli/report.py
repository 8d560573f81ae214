"""``vitmem report``: one page per suite from its rows and the store. Loads torch only for images."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from vitmem.bench.current import rows_of
from vitmem.bench.plugins import load_plugins
from vitmem.cli.options import CacheDir, Plugin, Results, Store
from vitmem.errors import InputError
from vitmem.progress import bars, track
from vitmem.reports.analyses import read_analyses
from vitmem.reports.files import suite_folders
from vitmem.reports.page.gallery import Wanted, draw, wanted
from vitmem.reports.page.material import Curve, Material, Pictures
from vitmem.reports.page.write import write_page
from vitmem.rows import Row
from vitmem.shipped import shipped


def report(
    suites: Annotated[list[str] | None, typer.Argument(help="names of suites with rows (default: all)")] = None,
    store: Store = Path("store"),
    data_dir: Annotated[Path | None, typer.Option(help="the folder of the data, for example images")] = None,
    out: Annotated[Path, typer.Option(help="the folder of the pages and their figures")] = Path("report"),
    plugin: Plugin = None,
    results: Results = Path("results"),
    cache_dir: CacheDir = Path("~/.cache/vitmem"),
) -> None:
    """Write a self-contained HTML page for each suite: tables, figures, images, costs, and a command for each cell.

    Example: vitmem report demo --store store --data-dir ~/data
    """
    if not results.is_dir():
        raise InputError(f"--results: no such folder: {results}; run a suite first, or give the folder of its rows")
    if data_dir is not None and not data_dir.is_dir():
        raise InputError(f"--data-dir: no such folder: {data_dir}")
    load_plugins(plugin or ())
    named = [folder for name in suites or () for folder in suite_folders(results, name)]
    folders = named if suites else suite_folders(results)
    if not folders:
        raise InputError(f"{results}: no suite has rows here; run one first ('vitmem run')")
    with bars():
        for folder in track(folders, "pages", "suites"):
            material = gather(folder, store, data_dir, cache_dir)
            page, *figures = write_page(material, out)
            size = page.stat().st_size / 1e6
            print(f"wrote {page} ({size:.1f} MB), {len(figures)} files of figures in {out / folder.name}")
            for why in material.missing.values():
                print(f"  {why}")
    print("open it in a browser" if len(folders) == 1 else f"open them in a browser, such as {page}")


def gather(folder: Path, store: Path, data_dir: Path | None, cache_dir: Path) -> Material:
    """Return the rows in ``folder`` with curves and galleries from the store and the data, if available."""
    rows = rows_of(folder / "rows.jsonl")
    own, came = (place / f"{folder.name}.yaml" for place in (Path("configs/suites"), shipped("suites")))
    # the suite in the page's commands: the user's file, or the name of a shipped suite
    name, file = (str(own), own) if own.is_file() else (folder.name, came) if came.is_file() else (own.name, None)
    source = None if file is None else file.read_text()
    material = Material(folder.name, rows, name, source, analyses=read_analyses(folder))
    if not store.is_dir():
        why = f"left out, there is no store at {store} (--store)."
        return replace(material, missing={"curves": f"Training curves: {why}", "pictures": f"Images: {why}"})
    curves, why = _curves(store, rows)
    pictures, reason = _pictures(material, store, data_dir, cache_dir)
    missing = {} if curves else {"curves": f"Training curves: left out, {why}."}
    if not pictures:
        missing["pictures"] = f"Images: left out, {reason}."
    return replace(material, curves=curves, pictures=pictures, missing=missing)


def _curves(store: Path, rows: Sequence[Row]) -> tuple[dict[str, Curve], str]:
    """Return training id -> curves, and the reason for their absence."""
    stored = importlib.import_module("vitmem.bench.stored")
    ids = dict.fromkeys(row["ids"]["training"] for row in rows)
    try:
        found = {id: curve for id in ids if (curve := stored.stored_curve(store, id)) is not None}
    except InputError as error:
        return {}, str(error)
    return found, f"{store} has no curves of these trainings (--store)"


def _pictures(material: Material, store: Path, data_dir: Path | None, cache_dir: Path) -> tuple[list[Pictures], str]:
    """Return the galleries, and the reason for their absence."""
    stored = importlib.import_module("vitmem.bench.stored")
    cells = wanted(material.report)
    found: list[Pictures] = []
    reason = "no image of this suite has a wrong label" if not cells else f"{store} has no predictions of these cells"
    images: dict[str, Any] = {}
    for one in cells:
        try:
            some = {name: stored.stored_predictions(store, row) for name, row in one.rows.items()}
        except InputError as error:
            return [], str(error)
        kept = {name: predictions for name, predictions in some.items() if predictions is not None}
        if "base" not in kept:
            continue
        config = one.rows["base"]["config"]
        key = str([config["data"], config["noise"], config["seed"]])
        try:
            if key not in images:
                images[key] = stored.labelled_images(config, data_dir, cache_dir)
        except InputError as error:
            return [], str(error)
        if all(images[key].belong_to(predictions) for predictions in kept.values()):
            found += _galleries(one, images[key], kept)
        else:
            reason = f"the images of {config['data']['name']} are not those that {store} has predictions of"
    return found, reason


def _galleries(one: Wanted, images: Any, kept: Mapping[str, Mapping[str, Any]]) -> Iterator[Pictures]:
    predicted = {name: predictions["logits"].argmax(1) for name, predictions in kept.items()}
    given, true = kept["base"]["given"], kept["base"]["true"]
    data = images.noisy.data
    for about, rows in draw(one, images.noisy_report, given, true, predicted):
        pixels = data.train.images[rows].numpy()
        labels = {name: p[rows] for name, p in predicted.items()}
        yield Pictures(about, pixels, given[rows], true[rows], labels, data.classes, one.leading)
