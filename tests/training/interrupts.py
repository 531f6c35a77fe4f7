"""Ways to interrupt a training."""


class PowerCutError(BaseException):
    """Stands for the end of the process: nothing handles it."""


def cut_off_at(step):
    """An `on_step` that ends the process after this many steps in all."""

    def on_step(report):
        if report.progress.total_steps == step:
            raise PowerCutError

    return on_step


def stop_at(step):
    """Options that ask the training to stop after this many steps in all, and not again after that."""
    reports = []
    return {"on_step": reports.append, "should_stop": lambda: reports[-1].progress.total_steps == step}
