"""The verbs and their options. What a verb does is imported when it is called: ``--help`` stays light."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import vitmem
from vitmem.cli.edit_options import edit
from vitmem.cli.exits import debug as set_debug
from vitmem.cli.exits import debugging, exit_code
from vitmem.cli.options import CacheDir, DataDir, Device, Json, Plugin, Results, Store, SuiteFile, call

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"vitmem {vitmem.__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="print the traceback of an error too")] = False,
) -> None:
    """What has a vision transformer memorized, and what is left when it is edited out?"""
    set_debug(debug)


@app.command()
def plan(
    suite: SuiteFile,
    data_dir: Annotated[
        Path | None, typer.Option(help="the folder of files that it names: ids have their content")
    ] = None,
    results: Results = Path("results"),
    store: Store = Path("store"),
    plugin: Plugin = None,
    cells: Annotated[bool, typer.Option("--cells", help="a line for each cell, however many there are")] = False,
    as_json: Json = False,
) -> None:
    """Show what a suite would run and what has rows already, with the ids that 'show' and 'run --only' take.

    Time, memory and disk are those of rows, and of folders in the store, of the same data and network.

    Example: vitmem plan demo
    """
    call("vitmem.cli.plan:plan", **locals())


@app.command()
def run(
    suite: SuiteFile,
    data_dir: DataDir = None,
    results: Results = Path("results"),
    store: Store = Path("store"),
    cache_dir: CacheDir = Path("~/.cache/vitmem"),
    device: Device = "auto",
    workers: Annotated[int, typer.Option(min=1, help="trainings at a time, a share of the cores or a GPU each")] = 1,
    plugin: Plugin = None,
    progress: Annotated[bool, typer.Option(help="show the bar of a training")] = True,
    prune: Annotated[bool, typer.Option("--prune", help="drop the rows of cells the suite no longer has")] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="the id of a cell, or its first digits; may be repeated")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="print the traceback of a cell that fails")] = False,
) -> None:
    """Run a suite: every cell without a row gets one, then the tables are written.

    Example: vitmem run cifar10_noise10_small --data-dir ~/data --workers 2
    """
    call("vitmem.cli.run:run", **{**locals(), "only": only or [], "debug": debug or debugging()})


@app.command()
def tables(
    results: Results = Path("results"),
    suite: Annotated[str | None, typer.Option(help="only this suite")] = None,
    check: Annotated[bool, typer.Option("--check", help="write nothing; fail when a committed table differs")] = False,
    show: Annotated[str | None, typer.Option("--print", help="print this table, such as chosen; writes none")] = None,
    format: Annotated[str, typer.Option(help="md, tex (booktabs) or csv (fractions, all columns)")] = "md",
    plugin: Plugin = None,
) -> None:
    """Write the tables of all suites from their rows.

    Example: vitmem tables --check
    """
    call("vitmem.cli.tables:tables", **locals())


@app.command()
def figures(
    results: Results = Path("results"),
    suite: Annotated[str | None, typer.Option(help="only this suite")] = None,
    plugin: Plugin = None,
) -> None:
    """Draw the figures of all suites from their rows.

    Example: vitmem figures --suite demo
    """
    call("vitmem.cli.tables:figures", **locals())


@app.command()
def report(
    suites: Annotated[list[str] | None, typer.Argument(help="names of suites with rows; all if left out")] = None,
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option(help="the folder of the pages and their figures")] = Path("report"),
    store: Store = Path("store"),
    data_dir: Annotated[Path | None, typer.Option(help="the folder with the data, to show images of it")] = None,
    cache_dir: CacheDir = Path("~/.cache/vitmem"),
    plugin: Plugin = None,
) -> None:
    """Write a page of each suite that opens from disk: tables, figures, images, cost, and how to run each cell again.

    Example: vitmem report demo --store store
    """
    call("vitmem.cli.report:report", **{**locals(), "suites": suites or []})


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="models, data, noises, methods, metrics, protocols, tables or figures")],
    plugin: Plugin = None,
    as_json: Json = False,
) -> None:
    """List what can be named in a suite, one entry a line, its name first.

    Example: vitmem list methods
    """
    call("vitmem.cli.catalogue:list_entries", **locals())


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="the id of a row, or its first digits")],
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Show one row: its config, its metrics, what it cost and where it ran.

    Example: vitmem show 3f2a
    """
    call("vitmem.cli.catalogue:show_row", id=id, results=results, as_json=as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a row, for programs that read rows.jsonl.

    Example: vitmem schema > row.schema.json
    """
    call("vitmem.cli.catalogue:print_schema")


@app.command()
def check(
    kind: Annotated[str, typer.Argument(help="what to check: model, method or noise")],
    name: Annotated[str, typer.Argument(help="its name, such as vit, timm/resmlp_12_224, kfac or symmetric")],
    param: Annotated[list[str] | None, typer.Option(help="key=value, a parameter of it; may be repeated")] = None,
    plugin: Plugin = None,
) -> None:
    """Run the contract that a plug-in has to keep.

    Example: vitmem check model vit --param width=64
    """
    call("vitmem.cli.check:check", kind=kind, name=name, params=param or [], plugin=plugin)


@app.command()
def noise(
    name: Annotated[str, typer.Argument(help="a noise model, such as symmetric; 'vitmem list noises' has all")],
    data: Annotated[str, typer.Option(help="images: a name, or a mapping as in a suite")] = "mnist5k",
    data_dir: DataDir = None,
    rate: Annotated[float | None, typer.Option(help="the rate, where the noise has one")] = None,
    seed: Annotated[int, typer.Option(help="the seed of the suite's cell")] = 0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="key=value, a parameter; may be repeated")] = None,
    sheet: Annotated[Path | None, typer.Option(help="write example images with both labels to this PNG")] = None,
    cache_dir: CacheDir = Path("~/.cache/vitmem"),
    plugin: Plugin = None,
    as_json: Json = False,
) -> None:
    """Show the labels that a noise model gives: rates, transition matrix, hash, and images.

    Example: vitmem noise instance_dependent --data cifar10 --data-dir ~/data --rate 0.1 --sheet sheet.png
    """
    call("vitmem.cli.noise:noise", **{**locals(), "settings": settings or []})


@app.command()
def mine(
    model: Annotated[str, typer.Argument(help="a folder, package:<name>, or a name on the Hub")],
    text: Annotated[Path, typer.Option(help="a file or folder of texts: .txt, .jsonl or .parquet with 'text'")],
    out: Annotated[Path, typer.Option(help="the file of windows that is written")],
    data_dir: Annotated[Path | None, typer.Option(help="a folder that the model's folder lies in")] = None,
    gguf: Annotated[str | None, typer.Option(help="the model's file, when it is a quantised one")] = None,
    prefix: Annotated[int, typer.Option(min=2, help="tokens that the model is asked with")] = 64,
    suffix: Annotated[int, typer.Option(min=1, help="tokens that it has to recite")] = 48,
    starts: Annotated[int, typer.Option(min=1, help="windows of each text, at random places")] = 4,
    seed: Annotated[int, typer.Option(help="decides the places")] = 17,
    limit: Annotated[int | None, typer.Option(min=1, help="look at no more windows than this")] = None,
    min_distinct: Annotated[int, typer.Option(min=1, help="different tokens that a suffix has at least")] = 16,
    batch_size: Annotated[int, typer.Option(min=1, help="windows in a forward pass")] = 8,
    device: Device = "auto",
) -> None:
    """Find the windows of texts that a language model recites, for the data 'memorized' of a suite.

    Example: vitmem mine allenai/OLMo-2-0425-1B --text texts/ --out memorized.jsonl --starts 16
    """
    call("vitmem.cli.mine:mine_texts", **locals())


@app.command()
def fit(
    model: Annotated[str | None, typer.Argument(help="a folder that transformers loads, or a name on the Hub")] = None,
    text: Annotated[Path | None, typer.Option(help="a .txt, .jsonl or .parquet file, or a folder of them")] = None,
    blocks: Annotated[str | None, typer.Option(help="such as 23-25, 0,5 or last_half")] = None,
    out: Annotated[Path, typer.Option(help="the file to write, which must not exist")] = Path("factors.safetensors"),
    preset: Annotated[str | None, typer.Option(help="a paper's settings: merullo2025-olmo2-7b")] = None,
    roles: Annotated[str | None, typer.Option(help="of gate, up, gate_up, down; all but down if left out")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="the most tokens that are read; all if left out")] = None,
    length: Annotated[int | None, typer.Option(min=2, help="tokens in a row; 512 if left out")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="rows in a batch; 8 if left out")] = None,
    dtype: Annotated[str | None, typer.Option(help="bfloat16 (if left out), float16 or float32")] = None,
    labels: Annotated[str | None, typer.Option(help="sampled (if left out) from the model, or given")] = None,
    seed: Annotated[int | None, typer.Option(help="of the sampled labels; 0 if left out")] = None,
    device: Device = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what it would cost; no weights are read")] = False,
) -> None:
    """Collect the statistics of a language model on texts of your own, for 'vitmem edit'.

    Example: vitmem fit OLMo-2-1124-7B --text texts/ --blocks 23-25 --tokens 20000000 --out factors.safetensors
    """
    call("vitmem.cli.fit:fit", **locals())


app.command()(edit)


@app.command("lm-eval")
def lm_eval(
    model: Annotated[str, typer.Argument(help="a folder, package:<name>, or a name on the Hub")],
    tasks: Annotated[str | None, typer.Option(help="names of lm-eval with commas between them")] = None,
    preset: Annotated[str | None, typer.Option(help="a list of tasks: merullo2025, or a YAML file")] = None,
    include: Annotated[Path | None, typer.Option(help="a folder of tasks of your own; code in it is run")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="questions of a task (default: all)")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 8,
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="write the values and every answer to this JSON file")] = None,
    base: Annotated[Path | None, typer.Option(help="the --out of the unedited model, to compare with")] = None,
) -> None:
    r"""Ask a language model tasks of lm-evaluation-harness (pip install 'vitmem\[lm-eval]').

    Example: vitmem lm-eval store/edited --preset merullo2025 --limit 200 --base store/base.json
    """
    call("vitmem.cli.harness:lm_eval", **locals())


@app.command()
def analyse(
    suite: SuiteFile,
    only: Annotated[
        list[str] | None, typer.Option(help="bands, spectrum, fisher, stability, detection or learned; again for more")
    ] = None,
    data_dir: DataDir = None,
    results: Results = Path("results"),
    store: Store = Path("store"),
    cache_dir: CacheDir = Path("~/.cache/vitmem"),
    device: Device = "auto",
    plugin: Plugin = None,
) -> None:
    """Look inside the trained networks of a suite: one file for each analysis in results/<suite>/analyses.

    Example: vitmem analyse demo --only spectrum
    """
    call("vitmem.cli.analyse:analyse", **locals())


def main() -> None:
    """Run the command line: 2 is what the user can mend, 1 what failed, 130 an interruption."""
    sys.exit(exit_code(partial(app, standalone_mode=False)))


if __name__ == "__main__":
    main()
