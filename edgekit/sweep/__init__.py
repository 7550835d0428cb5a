"""Sweeps: every model, target and precision of a file, exported, verified, evaluated and timed; here or on a cluster.

request    the sweep file, strictly
plan       its artifacts, and the cells that make them: each with a key, from what decides its result
kinds      what a cell does; answers: what is answered on a picture
apart      one cell in a process of its own, worker: that process
local      several of these on this machine; cluster: on the machines of a Ray cluster
run        which cell is next, what is done, what failed; predict: how long it will take
"""
