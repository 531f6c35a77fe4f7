"""`edgerd evaluate`: how good a bundle is on labelled pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from edgerd.acceptance.comparison import read_compared
from edgerd.acceptance.evaluate import Evaluation
from edgerd.acceptance.evaluate import evaluate as evaluate_bundle
from edgerd.acceptance.report import report_of
from edgerd.acceptance.training_pictures import warning_of_training_pictures
from edgerd.bundle.bundle import Bundle
from edgerd.cli.console import counted, speaker, warn, warn_of_left_out, write_json
from edgerd.cli.doubts import warn_of_doubts
from edgerd.cli.options import bundle_argument, json_option, precision_option, runtime_option, threads_option
from edgerd.cli.progress import progress
from edgerd.data.dataset import Dataset
from edgerd.data.layouts import TEST
from edgerd.runtimes.choose import open_engine


@click.command()
@bundle_argument
@click.argument("data", type=click.Path(path_type=Path))
@runtime_option
@precision_option
@threads_option
@click.option("--strict", is_flag=True, help="Stop at a picture that cannot be read instead of leaving it out.")
@json_option
@click.option("--report", type=click.Path(path_type=Path), help="Write an HTML report to this folder.")
@click.option(
    "--compare",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="OTHER.json",
    help="Show another evaluation's figures in the report too; --json wrote them. Repeatable.",
)
def evaluate(
    bundle: Path,
    data: Path,
    runtime: str | None,
    precision: str | None,
    threads: int,
    strict: bool,
    json_file: Path | None,
    report: Path | None,
    compare: tuple[Path, ...],
) -> None:
    """Measure BUNDLE on the labelled pictures of DATA: test/good, test/<defect>; with masks, ground_truth."""
    if compare and not report:
        raise click.UsageError("--compare adds figures to a report: give its folder with --report DIR.")
    compared = [read_compared(file) for file in compare]
    say = speaker(json_file)
    opened_bundle, dataset = Bundle.open(bundle), Dataset.open_labelled(data)
    with open_engine(opened_bundle, runtime, precision, threads) as opened:
        say(opened.why)
        with progress("evaluating", len(dataset.test)) as advance:
            evaluation = evaluate_bundle(opened_bundle, opened, dataset, strict=strict, on_picture=advance)
    if dataset.good_beside_test:
        n, folder = len(dataset.good_beside_test), dataset.good_beside_test[0].parent
        say(f"{counted(n, 'picture')} in {folder}: for training, so not judged; those in {data / TEST} are.")
    for line in dataset.unused():
        warn(line)
    warn_of_left_out(evaluation.skipped)
    _print(evaluation, say)
    if evaluation.n_trained_on:
        warn(warning_of_training_pictures(evaluation.n_trained_on, len(evaluation.pictures)))
    for line in evaluation.warnings:
        warn(line)
    warn_of_doubts(opened_bundle, opened.engine.key)
    if json_file:
        write_json(json_file, evaluation.as_json(opened))
    if report:
        with progress("writing the report", len(evaluation.pictures)) as advance:
            page = report_of(evaluation, opened_bundle, opened, data, report, compared=compared, on_picture=advance)
        say(f"Report: {page}")


def _print(evaluation: Evaluation, say: Callable[[str], None]) -> None:
    metrics = evaluation.metrics
    say(metrics.headline + ("" if metrics.threshold is None else f", at the threshold of {metrics.threshold:.4f}"))
    without_masks = "no masks" if metrics.pixel_auroc is None else "-"
    for label, value, without in (
        ("recall at the threshold", metrics.recall, "-"),
        ("false-alarm rate at the threshold", metrics.false_alarm_rate, "-"),
        ("image AUROC", metrics.image_auroc, "-"),
        ("pixel AUROC", metrics.pixel_auroc, without_masks),
        ("AUPRO (data set, FPR < 0.3)", metrics.aupro, without_masks),
        ("PRO per image (RD4AD's own)", metrics.pro_per_image, without_masks),
    ):
        say(f"  {label:34} {without if value is None else f'{value:.4f}'}")
    for kind, part in metrics.per_defect.items():
        auroc = "-" if part.image_auroc is None else f"{part.image_auroc:.4f}"
        found = "-" if part.n_found is None else f"{part.n_found}"
        say(f"  {kind:20} {found:>4} of {part.n} found, image AUROC {auroc}")
