"""Convolutions as an optical processor makes them: a product in the Fourier plane, read by a detector.

    optical = bo.optical.convert(model, input_bits=8, kernel_bits=8, detection="intensity", sign="split")
    prediction = bo.predict(optical.eval(), images)

The optics are simulated: light modulators of few bits, a camera that sees intensities, noise when it is read out.
"""

from bayesops.optical.conversion import convert
from bayesops.optical.fourier_conv import FourierConv2d

__all__ = ["FourierConv2d", "convert"]
