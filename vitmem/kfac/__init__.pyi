from .bands import (
    band_sizes as band_sizes,
)
from .capture import (
    wide as wide,
)
from .corrected import (
    corrected as corrected,
)
from .corrected import (
    fit_for as fit_for,
)
from .corrected import (
    make_spectra as make_spectra,
)
from .dial import (
    Complement as Complement,
)
from .dial import (
    Dial as Dial,
)
from .dial import (
    complement as complement,
)
from .edit import (
    LayerReport as LayerReport,
)
from .edit import (
    edit_matrix as edit_matrix,
)
from .edit import (
    edited as edited,
)
from .edit import (
    replaced as replaced,
)
from .factors import (
    Factors as Factors,
)
from .factors import (
    LayerFactors as LayerFactors,
)
from .factors import (
    StoredFactors as StoredFactors,
)
from .factors import (
    model_fingerprint as model_fingerprint,
)
from .factors import (
    state_digest as state_digest,
)
from .factors import (
    weight_fingerprint as weight_fingerprint,
)
from .find import (
    find_layers as find_layers,
)
from .fit import (
    fit as fit,
)
from .importance import (
    Basis as Basis,
)
from .importance import (
    Importance as Importance,
)
from .importance import (
    Pairs as Pairs,
)
from .importance import (
    Side as Side,
)
from .importance import (
    pairs as pairs,
)
from .importance import (
    quadratic as quadratic,
)
from .importance import (
    ranked as ranked,
)
from .layers import (
    eval_mode as eval_mode,
)
from .layers import (
    is_conv2d as is_conv2d,
)
from .layers import (
    is_linear as is_linear,
)
from .layers import (
    is_matrix as is_matrix,
)
from .layers import (
    kept_as as kept_as,
)
from .layers import (
    layer_at as layer_at,
)
from .layers import (
    matrix_of as matrix_of,
)
from .layers import (
    weight_matrix as weight_matrix,
)
from .lean import (
    edit_lean as edit_lean,
)
from .lean import (
    eigen_lean as eigen_lean,
)
from .selection import (
    mask_of as mask_of,
)
from .selection import (
    matched_fraction as matched_fraction,
)
from .selection import (
    staircase_by_fraction as staircase_by_fraction,
)
from .selection import (
    staircase_by_mass as staircase_by_mass,
)
from .spectrum import (
    Eigen as Eigen,
)
from .spectrum import (
    eigen as eigen,
)
from .stored import (
    stored_tensors as stored_tensors,
)
from .task import (
    Task as Task,
)
from .task import (
    Tempered as Tempered,
)
from .union import (
    mixture as mixture,
)
from .union import (
    union as union,
)
