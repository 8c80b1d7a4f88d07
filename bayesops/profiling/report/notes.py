"""What to know to read the tables: a paragraph for each kind."""

NOTES = """\
T plain passes: those of the network that draws nothing, the unit. Loop in PyTorch: T passes that draw masks or noise
with torch. Faster: time of the best rival to that of bo.predict. Ratios are medians [and quartiles] of pairs taken in
turn. Of peak: operations of the Bayesian layers per second, as if each draw did all of them, to the measured peak of
fused multiply-adds (on CUDA: of a matrix product). Memory: growth of resident memory (on CUDA: of torch's allocator) to
its peak during the run.""".replace("\n", " ")
ACCURACY_NOTES = """\
Errors: standard errors of the mean that bo.predict returns for these inputs, over other seeds. Next draw: what each
beyond those of the line above costs. Entropies, in nats, come out too low where draws are few (bias).""".replace(
    "\n", " "
)
LAYER_NOTES = """\
Steps: times are for each draw; plain: for each plain pass of the same operations. In kernels: share of all threads'
time within the layer that was spent in the fused kernels; the columns after it say on what, by counters that are off
while times are taken. Pack draws Gaussian weights, the epilogue the noise of local reparameterisation.""".replace(
    "\n", " "
)
