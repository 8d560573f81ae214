from .api import load_rows as load_rows
from .api import plan as plan
from .api import run as run
from .api import tables as tables
from .entries import Dataset as Dataset
from .entries import Edit as Edit
from .entries import Metric as Metric
from .entries import Model as Model
from .entries import Noise as Noise
from .registry import DATA as DATA
from .registry import EDITS as EDITS
from .registry import METRICS as METRICS
from .registry import MODELS as MODELS
from .registry import NOISES as NOISES

__version__: str
