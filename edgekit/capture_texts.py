"""What stops ``torch.export`` (2.13), by its text or by the line it stopped at, and what to write instead."""

from edgekit.explanations import Explanation

_EXITS = (
    "return torch.cond(confidence > t, exit_now, go_on, (features, logits)), which edgekit splits into methods; or declare the stages of a network "
    "with exits with exit_stages(); or compute both sides and choose with torch.where"
)

# Where a value is read: searched in the line of the model's code, the first that fits.
VALUE_READS = (
    Explanation(
        pattern=r"^\s*assert\b",
        why="it asserts something about a tensor's values",
        hint="check the input before the model, or leave the check out of forward: if not torch.compiler.is_exporting(): assert ...",
    ),
    Explanation(
        pattern=r"^\s*while\b",
        why="how often the loop runs is decided by what a tensor holds",
        hint="run it a fixed number of times, and keep what has converged with torch.where",
    ),
    Explanation(
        pattern=r"\brange\(",
        why="how often the loop runs is decided by what a tensor holds",
        hint="run it as often as it may run at most, and keep the value with torch.where(step < n, new, old)",
    ),
    Explanation(
        pattern=r"\b(sorted|max|min)\(.*\bkey=|\bsorted\(",
        why="Python sorts by values that a tensor holds",
        hint="torch.sort or torch.argsort, and index by what it gives",
    ),
    Explanation(
        pattern=r"\bfor\b.*\bif\b",
        why="which parts a comprehension keeps is decided by what a tensor holds",
        hint="keep all of them and multiply by the mask, or keep a fixed number, x[torch.topk(s, k).indices]",
    ),
    Explanation(pattern=r"^\s*(el)?if\b", why="a Python branch is decided by what a tensor holds", hint=_EXITS),
    Explanation(
        pattern=r"\bif\b.*\belse\b",
        why="a Python branch inside an expression is decided by what a tensor holds",
        hint="torch.where(condition, one, other); " + _EXITS,
    ),
    Explanation(
        pattern=r"\b(and|or|not)\b", why="Python's and, or and not read a tensor's truth value", hint="torch.logical_and, torch.logical_or, ~mask"
    ),
    Explanation(
        pattern=r"\binterpolate\(|\bpad\(|\bzeros\(|\bones\(|\bresize|\breshape\(|\bview\(|\barange\(|\blinspace\(|:\s*\w+\s*\]|\bint\(",
        why="a size or a place is read out of a tensor",
        hint="index by the tensor itself, x.index_select(0, i) or torch.gather; sizes have to be numbers that do not depend on values",
    ),
    Explanation(pattern=r"", why="Python reads the value of a tensor", hint=_EXITS),
)

# What else stops it: searched in its message.
CAPTURE_TEXTS = (
    Explanation(
        pattern=r"Constraints violated \(batch\)|shape '\[.*\]' is invalid for input of size .*\bs\d+",
        why="the model is written for one picture at a time: somewhere the size of the batch is a constant",
        hint="x.reshape(x.shape[0], -1) for x.reshape(1, -1), x.flatten(1), and expand(x.shape[0], -1, -1) for a token of its own",
    ),
    Explanation(
        pattern=r"\.numpy\(\) is not supported for tensor subclasses",
        why="NumPy computes outside of the graph",
        hint="the same by torch's functions, torch.sort for numpy.sort; what does not depend on the input belongs into __init__",
    ),
    Explanation(
        pattern=r"got an unexpected keyword argument '(axis|out|dtype)'",
        why="a function of NumPy was given a tensor",
        hint="torch's function of the same name",
    ),
    Explanation(
        pattern=r"not linked with support for (?P<kind>\w+) devices|Found no (?P<other>NVIDIA) driver|Torch not compiled with (?P<third>CUDA)",
        why="forward moves tensors to a device that is not here",
        hint="device=x.device instead of a device's name; edgekit captures on the CPU",
    ),
    Explanation(
        pattern=r"on the same device, but found at least two devices, (?P<devices>[\w:, ]+ and [\w:]+)",
        why="tensors lie on several devices: {devices}",
        hint="make every tensor with device=x.device, and what is constant in __init__ with register_buffer",
    ),
    Explanation(
        pattern=r"does not require grad and does not have a grad_fn|register a hook on a tensor that doesn't require gradient",
        why="forward takes gradients, which an exported network has none of",
        hint="leave it out in evaluation: if self.training",
    ),
    Explanation(
        pattern=r"Cannot access data pointer of Tensor",
        why="code outside of PyTorch reads a tensor's memory: copy.deepcopy, an extension, a kernel of one's own",
        hint="x.clone() for copy.deepcopy; or the same by torch's operators",
    ),
    Explanation(
        pattern=r"data is not allocated yet",
        why="torch.tensor was given tensors, and reads their values",
        hint="torch.stack([a, b]) or torch.cat",
    ),
    Explanation(
        pattern=r"There was no fake impl registered for <CustomOpDef\((?P<op>[\w:.]+)\)>",
        why="of the operator {op} torch.export does not know what shape it gives, and no target has a kernel for it",
        hint="write what it computes by torch's operators",
    ),
    Explanation(
        pattern=r"operator (?P<op>\w+::\w+) does not exist",
        why="the package that brings the operator {op} is not there, or for another torch",
        hint="install the version that belongs to this torch",
    ),
    Explanation(
        pattern=r"^aten\._nested_tensor",
        why="nested tensors hold rows of different lengths, which no target does",
        hint="pad the rows to one length and mask what is padding",
    ),
    Explanation(
        pattern=r"\.forward\(\) takes (\d+) positional arguments? but (\d+) were given",
        why="a module that torch.jit.script made is called, or forward with another number of arguments",
        hint="give edgekit the module as it was before torch.jit.script",
    ),
    Explanation(
        pattern=r"maximum recursion depth exceeded",
        why="a function calls itself without end",
        hint="run the model once in Python: it stops there, too",
    ),
    Explanation(
        pattern=r"(?P<what>index -?\d+ is out of bounds for dimension \d+ with size \d+)",
        why="{what}",
        hint="check --resolution: another size reaches that far",
    ),
    Explanation(
        pattern=r"unsupported format string passed to FakeTensor",
        why="a value is written into a text",
        hint="leave printing and logging out of forward: if not torch.compiler.is_exporting()",
    ),
    Explanation(
        pattern=r"found a fake tensor in the exported program constant's list",
        why="a tensor was computed where torch.export does not look, in another thread or a cache",
        hint="compute it in forward itself",
    ),
    Explanation(
        pattern=r"vmap: It looks like you're calling \.item\(\)",
        why="under vmap Python reads the value of a tensor",
        hint="torch.where(condition, one, other)",
    ),
    Explanation(
        pattern=r"^'(?P<kind>\w+)' object has no attribute '(?P<name>\w+)'",
        why="{kind} has no {name}",
        hint="run the model once in Python in evaluation mode: model.eval()(x)",
    ),
)
