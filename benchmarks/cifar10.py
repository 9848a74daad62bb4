"""Accuracy on CIFAR-10's 10,000 test pictures after a number of minutes of training.

python benchmarks/cifar10.py --root cifar-10-batches-bin --minutes 10
"""

from timed_fit import main

main("cifar10", __doc__.splitlines()[0], minutes=10)
