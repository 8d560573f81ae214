"""Head refit: train a new classifier on frozen features of the retain set, CF-k and EU-k at k = 0 blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vitmem import kfac as engine
from vitmem.edits import training
from vitmem.edits.base import EditContext, EditResult, Examples, FromTrusted
from vitmem.errors import InputError, VitmemError
from vitmem.lazy import torch
from vitmem.registry import EDITS

if TYPE_CHECKING:
    from torch import Tensor

BATCH, MOST = 250, 5000  # examples per forward pass, and iterations of L-BFGS

Array = NDArray[np.float64]


@EDITS.register("head_refit")
class HeadRefit(FromTrusted):
    """A new classifier on frozen features of the retain set (logistic regression).

    Weight W (K, q) and bias (K,) of the classifier are replaced by a multinomial logistic regression on its inputs:
    scikit-learn's with ``C`` = ``c``, the minimum of ‖W‖²/2 + c * the summed loss (nats) of the retain set, which is
    trusted data. No gradient goes through the network. A classifier without a bias gets none. The given layers are
    ignored.
    """

    title, edits_blocks = "head refit", False
    c: float = Field(default=1.0, gt=0)

    def edit(self, context: EditContext) -> EditResult:
        """Fit the classifier.

        Raises InputError when a class has no example to keep, or the logits are not the output of a linear layer with
        one row per example; VitmemError when features are not finite or the fit does not converge.
        """
        examples = training.forget_retain_sets(context, "head_refit", keep_alone=True)
        path, layer = training.classifier(context.model, _run(context, examples, torch.arange(1)), "edit: 'head_refit'")
        old = engine.weight_matrix(layer)
        labels = examples.keep[1].cpu().numpy()
        missing = [n for n in range(len(old)) if not (labels == n).any()]
        if missing:
            raise InputError(
                f"edit: 'head_refit' needs examples to keep of every class, and class {missing[0]} has none"
            )
        rows = torch.arange(len(examples.keep[0]))
        features = training.collect_features(layer, _run(context, examples, rows), "head_refit").numpy()
        weight, bias = regression(features, labels, self.c, intercept=layer.bias is not None)
        new = torch.from_numpy(weight).to(old)
        result = EditResult({path: new}, {path: engine.replaced(old, new, 0, new.numel(), 0.0)})
        if layer.bias is not None:
            result.weights[f"{path}.bias"] = torch.from_numpy(bias).to(old)
        return result


def regression(features: Array, labels: NDArray[np.int64], c: float, *, intercept: bool = True) -> tuple[Array, Array]:
    """Return weight (K, q) and bias (K,) of the logistic regression of features (n, q) with labels (n,), 0 to K - 1.

    Raises VitmemError when it does not converge.
    """
    from sklearn.linear_model import LogisticRegression

    two = labels.max() == 1
    # for two classes scikit-learn fits the difference w of their weights; ‖±w/2‖² is half of its penalty ‖w‖²
    model = LogisticRegression(C=2 * c if two else c, fit_intercept=intercept, tol=1e-6, max_iter=MOST)
    model.fit(features, labels)
    if model.n_iter_.max() >= MOST:
        raise VitmemError(f"head_refit: the regression has not converged after {MOST} iterations; lower c")
    # without an intercept scikit-learn returns a single zero; a broadcast array is read-only, so copy it
    weight, bias = model.coef_, np.broadcast_to(model.intercept_, len(model.coef_)).copy()
    return (np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2) if two else (weight, bias)


def _run(context: EditContext, examples: Examples, rows: Tensor) -> Iterator[Tensor]:
    """Yield the logits (n, K) of the examples to keep at ``rows``, in batches."""
    with engine.eval_mode(context.model), torch.no_grad():
        for some in rows.split(BATCH):
            yield training.logits_function(examples, "head_refit")(
                context.model, *training.take_rows(context, examples.keep, some)
            )
