"""
A classifier from few labels
============================

Filters are learned from 1,000 digits without labels, and a classifier from 5 labels per class.
"""

import numpy as np

from striate import ImageClassifier, load_mnist_digits

images, labels = load_mnist_digits()
classes = [np.flatnonzero(labels == digit) for digit in range(10)]
few = np.concatenate([rows[:5] for rows in classes])
test = np.concatenate([rows[100:150] for rows in classes])

classifier = ImageClassifier(architecture="16F7x7 - Rabs - N7x7 - PA8x8/4", random_state=0)
classifier.fit(images[few], labels[few], unlabeled=images[2000:3000])
print(f"{classifier.score(images[test], labels[test]):.1%} of 500 new digits are right")

# %%
# In a notebook, a classifier shows its filters.
classifier
