"""
Strokes of handwritten digits
=============================

Predictive sparse decomposition learns, without labels, units of which any digit is a combination. An encoder predicts
the code of a digit in one pass.
"""

from striate import PSD, load_mnist_digits
from striate.figures import draw_reconstructions

images, _ = load_mnist_digits()
digits = images[..., 4:24, 4:24].reshape(len(images), -1).astype("float32") / 255  # the middle 20×20 pixels

# %%
# Learn 100 units from the digits as they are. In a notebook, a learner shows its units.
learner = PSD(n_components=100, max_batches=1000, random_state=0).fit(digits)
learner

# %%
# Digits, their codes, and what the codes give back: few units suffice, and each is a stroke.
some = digits[::1000]  # one of each even class
codes = learner.infer(some)
reconstructed = learner.inverse_transform(codes)
draw_reconstructions(some.reshape(-1, 1, 20, 20), codes, reconstructed.reshape(-1, 1, 20, 20))
