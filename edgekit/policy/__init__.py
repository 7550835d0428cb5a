"""Early-exit policies as files: fitted on validation logits, replayed on others, carried out by any runtime.

    from edgekit.policy.fit import Budget, fit_policy
    from edgekit.policy.logits import read_logits
    from edgekit.policy.policy import read_policy, write_policy
    from edgekit.policy.decide import as_eager_policy, decide

| file | what is in it |
| --- | --- |
| ``logits`` | an ``.npz`` of logits, read safely, one exit at a time |
| ``confidences`` | confidences in NumPy, and as integer micro-units |
| ``temperature`` | calibration |
| ``scores`` | what fitting needs of the logits: a few bytes a sample and exit |
| ``costs`` | what it costs to reach an exit |
| ``quotas`` | the budgeted-batch rule: one number q to thresholds |
| ``families`` | every policy of a kind as points on one line, and the search along it |
| ``fit``, ``replay`` | choose a policy; see what it does to data |
| ``policy`` | the file, read strictly and written in one step |
| ``decide``, ``integers`` | carry a policy out: eager, NumPy, and in integers as the phones do |
| ``plot`` | accuracy against cost |

Nothing here imports torch, but for :func:`edgekit.policy.decide.as_eager_policy`.
"""
