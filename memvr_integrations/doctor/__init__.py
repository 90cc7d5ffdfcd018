"""Whether this machine and a model on it do what the tests prove: one finding after the other.

`environment` needs no model. The checks of `examination` are the tests' own, on any checkpoint.
"""
