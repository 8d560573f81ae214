"""The built-in edit methods with their parameters, listed without importing what they name. No torch.

A contract test holds every function to the parameters that are declared here. ``statistics`` says whether a method
reads those of the trained model, or with which parameters it does, ``input_class`` what it is told: D0 nothing, U its
own training inputs, N the given labels too, T trusted examples, P examples that it gives wrong labels of its own, R+F
which examples are to be kept and which forgotten, TR what the training of the network prepared. ``blocks`` says whether
it edits those that a suite names, ``tied`` whether it needs hidden units tied to examples, ``inner`` which parameter is
the edit that it is made after (without an ``input_class`` it is told what that edit is), ``second`` whether it reads a
second set of statistics. A ``probe`` looks into what was memorized and competes with no method.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitmem.method_params import (
    BalancedSubnetParams,
    DeletionParams,
    FactorParams,
    FinetuneParams,
    HeadRefitParams,
    IsotropicNoiseParams,
    MagnitudeParams,
    NegGradPlusParams,
    SalUnParams,
    SapParams,
    ScrubParams,
    SsdParams,
    SvdParams,
    SvdRmtParams,
    TaskVectorParams,
)
from vitmem.pairs_params import (
    IteratedParams,
    KfacInputParams,
    KfacParams,
    ProtectParams,
    RandomBasisParams,
    SidedParams,
)
from vitmem.params import NoParams
from vitmem.registry import METHODS, Entry
from vitmem.specs import Spec


def add_method(
    name: str,
    target: str,
    params: type[Spec],
    summary: str,
    *,
    statistics: bool | Mapping[str, str],
    input_class: str | None,
    blocks: bool = True,
    tied: bool = False,
    inner: str | None = None,
    second: bool = False,
    probe: bool = False,
    told: Mapping[str, str] | None = None,
    version: int = 1,
) -> None:
    """Register a method by the place of its function inside ``vitmem.methods``; the rest is said above.

    ``told`` has the input class that a parameter makes it, when it is given.
    """
    info: dict[str, Any] = {"statistics": statistics, "input_class": input_class, "blocks": blocks, "tied": tied}
    info |= {"inner": inner, "second": second, "probe": probe, "told": told or {}}
    METHODS.add(Entry(METHODS.kind, name, version, summary, params, f"vitmem.methods.{target}", info))


add_method(
    "none", "none:none", NoParams, "the trained model as it is", statistics=False, input_class="D0", blocks=False
)
add_method(
    "kfac", "kfac:kfac", KfacParams, "keep the pairs of high curvature (Merullo 2025)", statistics=True, input_class="U"
)
add_method(
    "kfac_input",
    "kfac_input:kfac_input",
    KfacInputParams,
    "keep the input directions of large second moment: K-FAC by its input side alone",
    statistics=True,
    input_class="U",
)
add_method(
    "protect",
    "protect:protect",
    ProtectParams,
    "keep the input directions that either of two sets needs: a class, a domain, other images",
    statistics=True,
    input_class="U",
    second=True,
)
add_method(
    "iterated",
    "iterated:iterated",
    IteratedParams,
    "K-FAC in several steps, the statistics collected anew before each",
    statistics=True,
    input_class="U",
)
add_method(
    "complement",
    "controls:complement",
    KfacParams,
    "control: keep the same number of pairs of lowest curvature",
    statistics=True,
    input_class="U",
)
add_method(
    "random_basis",
    "controls:random_basis",
    RandomBasisParams,
    "control: K-FAC's mask profile in random orthogonal bases",
    statistics=True,
    input_class="D0",
    told={"random": "U"},
)
add_method(
    "singular_basis",
    "singular_basis:singular_basis",
    SidedParams,
    "control: the pairs of a matrix's singular vectors of high curvature",
    statistics=True,
    input_class="U",
)
add_method(
    "ablate", "ablate:ablate", NoParams, "control: the edited matrices at zero", statistics=False, input_class="D0"
)
add_method("svd", "svd:svd", SvdParams, "keep the largest singular values (LASER)", statistics=False, input_class="D0")
add_method(
    "magnitude",
    "magnitude:magnitude",
    MagnitudeParams,
    "control: keep the largest weights (magnitude pruning)",
    statistics=False,
    input_class="D0",
)
add_method(
    "balanced_subnet",
    "balanced_subnet:balanced_subnet",
    BalancedSubnetParams,
    "zero the few weights that examples to forget need and others do not",
    statistics=False,
    input_class="R+F",
)
add_method(
    "svd_rmt",
    "svd_rmt:svd_rmt",
    SvdRmtParams,
    "drop the singular values of noise, shrink the rest (Staats 2022)",
    statistics=False,
    input_class="D0",
)
add_method(
    "sap",
    "sap:sap",
    SapParams,
    "filter the directions in which inputs have little energy (Kodge 2025)",
    statistics=True,
    input_class="U",
)
add_method(
    "random_pairs",
    "controls:random_pairs",
    KfacParams,
    "control: keep the same number of pairs as K-FAC, at random",
    statistics=True,
    input_class="U",
)
add_method(
    "isotropic_noise",
    "isotropic_noise:isotropic_noise",
    IsotropicNoiseParams,
    "control: Gaussian noise of a given norm in each matrix",
    statistics=False,
    input_class="D0",
)
add_method(
    "uniform_scaling",
    "uniform_scaling:uniform_scaling",
    FactorParams,
    "control: every weight times the same factor",
    statistics=False,
    input_class="D0",
)
add_method(
    "toward_init",
    "toward_init:toward_init",
    FactorParams,
    "control: back toward the weights before training (WiSE's line)",
    statistics=False,
    input_class="D0",
)
add_method(
    "neggrad_plus",
    "neggrad_plus:neggrad_plus",
    NegGradPlusParams,
    "down the loss of what is to be kept, up that of what is to be forgotten",
    statistics=False,
    input_class="R+F",
)
add_method(
    "scrub",
    "scrub:scrub",
    ScrubParams,
    "away from the trained network on what is to be forgotten, not on the rest",
    statistics=False,
    input_class="R+F",
)
add_method(
    "ssd",
    "ssd:ssd",
    SsdParams,
    "shrink the weights that matter more to what is to be forgotten",
    statistics=False,
    input_class="R+F",
)
add_method(
    "salun",
    "salun:salun",
    SalUnParams,
    "random labels for what is to be forgotten, learned by the weights it needs",
    statistics=False,
    input_class="R+F",
)
add_method(
    "del",
    "deletion:deletion",
    DeletionParams,
    "start the channels anew that what is to be forgotten needs, train them",
    statistics=False,
    input_class="R+F",
)
add_method(
    "finetune",
    "finetune:finetune",
    FinetuneParams,
    "train the edited layers on what is to be kept (CF-k)",
    statistics=False,
    input_class="T",
)
add_method(
    "eu_k",
    "eu_k:eu_k",
    FinetuneParams,
    "start the edited layers anew and train them on what is to be kept (EU-k)",
    statistics=False,
    input_class="T",
)
add_method(
    "head_refit",
    "head_refit:head_refit",
    HeadRefitParams,
    "a new classifier on frozen features of what is to be kept (logistic regression)",
    statistics=False,
    input_class="T",
    blocks=False,
)
add_method(
    "cuts",
    "cuts:cuts",
    TaskVectorParams,
    "take back how learning random labels moves the weights (Mozafari 2025)",
    statistics=False,
    input_class="P",
)
add_method(
    "random_task_vector",
    "cuts:random_task_vector",
    TaskVectorParams,
    "control: take back a random direction of the norm of CUTS' in each matrix",
    statistics=False,
    input_class="P",
)
add_method(
    "drop_memory",
    "drop_memory:drop_memory",
    NoParams,
    "zero the hidden units that 'example_tied' in a recipe tied to examples (Maini 2023)",
    statistics=False,
    input_class="TR",
    blocks=False,
    tied=True,
)
