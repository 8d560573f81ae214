"""The K-FAC engine: statistics of linear layers and convolutions, spectra, selection and undoable edits.

It knows no image, token, data set or model family: it sees a model, layers by path, and a Task.
"""

from vitmem.kfac.corrected import corrected, fit_for, make_spectra
from vitmem.kfac.dial import Complement, Dial, complement
from vitmem.kfac.edit import LayerReport, edit_matrix, edited
from vitmem.kfac.factors import (
    Factors,
    LayerFactors,
    StoredFactors,
    model_fingerprint,
    state_digest,
    weight_fingerprint,
)
from vitmem.kfac.find import find_layers
from vitmem.kfac.fit import fit
from vitmem.kfac.importance import Basis, Pairs, pairs
from vitmem.kfac.layers import weight_matrix
from vitmem.kfac.lean import edit_lean, eigen_lean
from vitmem.kfac.selection import mask_of, matched_fraction, staircase_by_fraction, staircase_by_mass
from vitmem.kfac.spectrum import Eigen, eigen
from vitmem.kfac.task import Task, Tempered

__all__ = [
    "Basis",
    "Complement",
    "Dial",
    "Eigen",
    "Factors",
    "LayerFactors",
    "LayerReport",
    "Pairs",
    "StoredFactors",
    "Task",
    "Tempered",
    "complement",
    "corrected",
    "edit_lean",
    "edit_matrix",
    "edited",
    "eigen",
    "eigen_lean",
    "find_layers",
    "fit",
    "fit_for",
    "make_spectra",
    "mask_of",
    "matched_fraction",
    "model_fingerprint",
    "pairs",
    "staircase_by_fraction",
    "staircase_by_mass",
    "state_digest",
    "weight_fingerprint",
    "weight_matrix",
]
