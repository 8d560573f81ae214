from .classifier import (
    classifier as classifier,
)
from .classifier import (
    collect_features as collect_features,
)
from .examples import (
    Pair as Pair,
)
from .examples import (
    batches as batches,
)
from .examples import (
    cycle_batches as cycle_batches,
)
from .examples import (
    forget_retain_sets as forget_retain_sets,
)
from .examples import (
    logits_function as logits_function,
)
from .examples import (
    proxy_set as proxy_set,
)
from .examples import (
    take_rows as take_rows,
)
from .loop import (
    DECAY as DECAY,
)
from .loop import (
    MOMENTUM as MOMENTUM,
)
from .loop import (
    EditTrainer as EditTrainer,
)
from .loop import (
    check_finite as check_finite,
)
from .loop import (
    functional_model as functional_model,
)
from .loop import (
    layer_weight as layer_weight,
)
from .loop import (
    make_result as make_result,
)
from .loop import (
    trainable as trainable,
)
from .loop import (
    uniform as uniform,
)
from .masks import (
    masked as masked,
)
from .masks import (
    smallest_zeroed as smallest_zeroed,
)
