"""Top-1 on Tiny ImageNet's 10,000 validation pictures after a number of minutes of training.

python benchmarks/tiny_imagenet.py --root tiny-imagenet-200 --minutes 60
"""

from timed_fit import main

main("tiny-imagenet", __doc__.splitlines()[0], minutes=60)
