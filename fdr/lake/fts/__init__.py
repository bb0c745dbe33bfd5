"""The embedded lake's stand-in for FTS3, which has no package for these machines.

It speaks the part of FTS3's REST interface that Rucio's conveyor uses, with the answers a real FTS3
was seen to give, and moves real bytes with gfal2. Nothing of it is FTS3's own code; where fidelity to
FTS3 matters more than having it on a laptop, use the real one: docker-compose.yml does, and
``fdr lake up --fts URL`` can. docs/fts-stand-in.md says what is the same and what is not.
"""
