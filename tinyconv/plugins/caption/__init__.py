"""Show, Attend and Tell: captions of pictures by visual attention (Xu et al. 2015)."""
