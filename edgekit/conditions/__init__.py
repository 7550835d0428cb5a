"""Conditions in a captured program that are early exits: found, told apart from other conditions, and cut into stages.

paths      every way through a program's conditions, as a tree over one flat graph
chain      which of them are exits: the tree has to be a chain
decision   a predicate as a number and the threshold that it is compared with
cut        the flat graph in stages, each reading what the ones before hand on
proof      every exit of the stages against the same way through the program
network    the stages as a network with exits, in place of the user's model
"""
