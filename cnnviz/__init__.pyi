"""What type checkers read instead of the imports made on first use."""

from cnnviz import activations as activations
from cnnviz import architecture as architecture
from cnnviz import attribution as attribution
from cnnviz import datasets as datasets
from cnnviz import geometry as geometry
from cnnviz import kernels as kernels
from cnnviz import live as live
from cnnviz import models as models
from cnnviz import plotting as plotting
from cnnviz import training as training

__version__: str
