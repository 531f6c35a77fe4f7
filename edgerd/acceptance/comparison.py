"""Figures of another evaluation, read from the JSON that it wrote."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from edgerd.errors import InputError
from edgerd.evaluation.report import ComparedRun
from edgerd.evaluation.summary import Metrics


def read_compared(file: Path) -> ComparedRun:
    """Read what `edgerd evaluate --json FILE` wrote.

    Args:
        file: The JSON file; its name stands for the run in the report.

    Raises:
        InputError: It cannot be read, or holds something else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        metrics = TypeAdapter(Metrics).validate_python(content)
        engine = f"{content['runtime']} {content['precision']}"
    except OSError as error:
        raise _refusal(file, error.strerror or str(error)) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _refusal(file, f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}") from error
    except KeyError as error:
        raise _refusal(file, f"{error.args[0]} is missing") from error
    except ValueError as error:  # also what json and the decoder raise
        raise _refusal(file, str(error)) from error
    counted = ((metrics.n_found, metrics.n_defective), (metrics.n_false_alarms, metrics.n_good))
    if any(count is not None and not 0 <= count <= n for count, n in counted):
        raise _refusal(file, "more pictures were counted than there are")
    return ComparedRun(file, engine, metrics)


def _refusal(file: Path, why: str) -> InputError:
    return InputError(
        f"{file} cannot be compared with: {why}.",
        expected="the JSON of another evaluation",
        hint=f"edgerd evaluate BUNDLE DATA --json {file} writes one.",
    )
