"""What every operator means, in a few lines of plain PyTorch (or NumPy, for the streams).

One module per operator, under the operator's name. Nothing here is fast; the tests hold the compiled operators against
it.
"""
