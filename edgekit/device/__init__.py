"""Latency on phones: a plan goes there, a report comes back, and nothing in the report is believed without being checked.

| file | what is in it |
| --- | --- |
| ``integer_json``, ``summary``, ``noise``, ``ordering`` | what every language computes alike, in integers |
| ``plan``, ``report`` | the two documents, ``latency-plan/1`` and ``latency-report/1``; their schemas lie in ``edgekit/schemas`` |
| ``validate`` | a report against its plan: hashes, counts, clocks, summaries |
| ``build`` | a plan from artifacts and their manifests |
| ``driver`` | what a phone can be asked; ``adb`` and ``devicectl`` ask it |
| ``conversation`` | one run: gates, push, start, poll, pull, validate, store |
| ``store``, ``results`` | what is kept of a run, and its rows in the form of ``edgekit bench`` |

Times are integer nanoseconds of a monotonic clock, shares are per mille, and what is absent is null: decimal text of a double differs between
languages. ``tests/conformance`` holds Python, Kotlin and Swift to the same answers.
"""
