"""The built-in noise models with their parameters, listed without importing what they name. No torch.

A contract test holds every function to the parameters that are declared here.
"""

from __future__ import annotations

from vitmem.noise_params import (
    AsymmetricParams,
    ColumnParams,
    HumanMixtureParams,
    HumanParams,
    InstanceParams,
    InterclassParams,
    PmdLegacyParams,
    PmdParams,
    ProbabilitiesParams,
    RateParams,
    StratifiedParams,
    TransitionParams,
)
from vitmem.params import NoParams
from vitmem.registry import NOISES, Entry
from vitmem.specs import Spec


def _add(name: str, module: str, params: type[Spec], summary: str, version: int = 1) -> None:
    NOISES.add(Entry(NOISES.kind, name, version, summary, params, f"vitmem.noise.{module}:{name}"))


_add("none", "none", NoParams, "the true labels")
_add("symmetric", "symmetric", StratifiedParams, "exactly rate * n labels, uniform over the other classes")
_add("symmetric_iid", "symmetric_iid", RateParams, "each label independently, uniform over the other classes")
_add(
    "symmetric_inclusive",
    "symmetric_inclusive",
    StratifiedParams,
    "exactly rate * n labels, uniform over all classes: some stay right (DivideMix)",
)
_add("permute", "permute", StratifiedParams, "exactly rate * n images exchange their labels: some stay right")
_add("pair", "pair", RateParams, "class i becomes i + 1 (Co-teaching's pair flip)")
_add("asymmetric", "asymmetric", AsymmetricParams, "look-alike classes (Patrini 2017; CIFAR-100 within superclasses)")
_add("interclass_confusion", "interclass", InterclassParams, "two classes are taken for each other (Goel 2022)")
_add("transition", "transition", TransitionParams, "each label independently, from its row of any transition matrix")
_add(
    "instance_dependent",
    "instance_dependent",
    InstanceParams,
    "a random projection of the image chooses the wrong label (Xia 2020)",
)
_add("pmd", "pmd", PmdParams, "near a clean network's boundary, the runner-up (Zhang 2021, types 1 to 3)")
_add("ambiguous", "ambiguous", ProbabilitiesParams, "the images a clean network doubts most (Chen 2021)")
_add("human", "human", HumanParams, "human annotators' labels (CIFAR-10N, CIFAR-100N)")
_add("human_twin", "human_controls", HumanParams, "control: human confusions of classes, whatever the image shows")
_add("human_mixture", "human_controls", HumanMixtureParams, "control: human errors thinned out to a rate")
_add("column", "column", ColumnParams, "labels in a column of the data set (Imagenette's noisy_5)")
_add(
    "maini_offset_legacy",
    "legacy",
    RateParams,
    "for replication: symmetric without the class before the true one (Maini 2023)",
)
_add(
    "asym_block5_legacy",
    "legacy",
    RateParams,
    "for replication: round blocks of five classes, which are not CIFAR-100's superclasses",
)
_add("pmd_legacy", "pmd", PmdLegacyParams, "for replication: PMD as PLC's code draws it, from the network's own label")
