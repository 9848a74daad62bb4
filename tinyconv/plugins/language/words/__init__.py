"""What does a word mean: word vectors, whose differences answer analogies.

Skip-gram and CBOW (Mikolov et al. 2013, arXiv 1301.3781 and 1310.4546), GloVe (Pennington, Socher
and Manning 2014), and counts with a singular value decomposition (Levy and Goldberg 2014).
"""
