"""What the converters' and runtimes' own texts mean, and what to write instead; each was seen with the versions that edgekit pins.

The operator in the way is named beside them, see ``blame.py``; rows by operator come first, for those that have something better than
"write it otherwise".
"""

from edgekit.explanations import Explanation

_OTHER = "the same by other operators; edgekit inspect shows which rewrites look at this place, and why they leave it"

# By the operator in the way.
OPERATOR_HINTS = (
    Explanation(
        pattern=r"linalg_(inv|solve|cholesky|lu)|inverse|_linalg_solve",
        why="matrices are not factorised on phones",
        hint="what does not depend on the input: once, in __init__; else a fixed number of Newton steps, x = x @ (2 * I - a @ x)",
    ),
    Explanation(
        pattern=r"linalg_(svd|eig|qr|matrix_rank|pinv)|_linalg_(svd|eigh|det)|linalg_det",
        why="matrices are not decomposed on phones",
        hint="power iteration with a fixed number of steps for the largest; or in the app, beside the network",
    ),
    Explanation(
        pattern=r"fft_|_fft_|stft|view_as_complex|complex",
        why="complex numbers have no place on phones",
        hint="real and imaginary parts apart, and the transform as two products, with cosines and with sines",
    ),
    Explanation(
        pattern=r"cummax|cummin|logcumsumexp",
        why="it goes on from value to value",
        hint="compare all pairs under a triangle: torch.where(tril, x, -inf).amax",
    ),
    Explanation(pattern=r"cumprod|\bprod\b", why="it goes on from value to value", hint="of positive values: torch.exp(torch.cumsum(torch.log(x)))"),
    Explanation(
        pattern=r"kthvalue|\bmode\b|nanmedian|histc",
        why="it sorts or counts values",
        hint="torch.topk, torch.median, or a comparison with each border",
    ),
    Explanation(
        pattern=r"grid_sampler_3d|max_pool3d|trilinear|conv3d", why="it is about volumes", hint="depth apart from rows and columns: two steps in 2D"
    ),
    Explanation(
        pattern=r"adaptive_max_pool",
        why="its windows differ in size",
        hint="F.max_pool2d with a fixed window and stride, or a size that divides the map's",
    ),
    Explanation(
        pattern=r"bicubic2d_aa|bilinear2d_aa",
        why="antialiased resizing is no operator there",
        hint="of constants: once, in __init__; else without antialias=True",
    ),
    Explanation(pattern=r"embedding_bag", why="it sums rows of a table of any number", hint="nn.Embedding and a sum"),
    Explanation(
        pattern=r"pdist|_cdist_forward|\bcdist",
        why="it is a kernel of its own",
        hint="(x * x).sum(-1) - 2 * x @ y.T + (y * y).sum(-1), clamped at 0, and its root",
    ),
    Explanation(
        pattern=r"rshift|lshift|bitwise|__and__|__or__|__xor__",
        why="bits of whole numbers are not computed with there",
        hint="division and remainder, or truth values",
    ),
    Explanation(
        pattern=r"lgamma|erfinv|erf_inv|digamma|i0\b",
        why="the special function has no kernel there",
        hint="a polynomial or a table over the range that occurs",
    ),
)

# By the text.
CONVERTER_TEXTS = (
    # Core ML Tools 9.0
    Explanation(
        pattern=r"only supports tensors with rank <= (?P<most>\d+).*outputs a rank (?P<rank>\d+) tensor",
        why="Core ML holds tensors of rank {most} at most, and this has {rank}",
        hint="merge axes that stay beside each other before the permute, or permute in two steps",
    ),
    Explanation(
        pattern=r"Only supports stride >= kernel_size for col2im",
        why="Core ML Tools folds patches only if they do not overlap",
        hint="F.conv_transpose2d with a kernel of ones where the patch has its value",
    ),
    Explanation(
        pattern=r"For non-const input, the lowering for Torch `(?P<op>\w+)`", why="Core ML Tools computes {op} of constants only", hint=_OTHER
    ),
    Explanation(pattern=r"Unsupported fx node \S+, kind (?P<op>[\w.]+)", why="Core ML Tools has no conversion of {op}", hint=_OTHER),
    Explanation(
        pattern=r"node \S+ \((?P<op>\w+)\) got (?P<got>\d+) input\(s\), expected (minimum )?\[?(?P<wanted>\d+)",
        why="Core ML Tools wants {op} with {wanted} arguments written out, and it has {got}",
        hint="give all arguments, also those that have a default: stride for a pool, eps for a norm, n, dim and norm for a transform",
    ),
    Explanation(
        pattern=r'input "x" to the "(?P<op>\w+)" op must be a rank (?P<most>\d) tensor\. Got rank (?P<rank>\d)',
        why="Core ML's {op} takes tensors of rank {most}, and this has {rank}",
        hint="merge the further axes into the batch",
    ),
    Explanation(
        pattern=r"Pad mode should be one of",
        why="Core ML pads with a constant, by mirroring and by repeating, and not round",
        hint="torch.cat with the slices of the other side",
    ),
    Explanation(
        pattern=r"KeyError: torch\.(?P<dtype>\w+)", why="Core ML has no {dtype}", hint="x.float() before, and --precision fp16 for half precision"
    ),
    # coreai-torch 0.4.3
    Explanation(
        pattern=r"unsupported ATen ops: (?P<ops>[\w., ]+?)\. Use register_torch_lowering", why="Core AI's converter has no {ops}", hint=_OTHER
    ),
    Explanation(
        pattern=r"index_put with accumulate=True is not supported",
        why="Core AI adds nothing up at places",
        hint="a product with zeros and ones: F.one_hot(index).T @ rows",
    ),
    # litert-torch 0.10.0 and LiteRT 2.3.0
    Explanation(pattern=r"Lowering not found: (?P<op>[\w.]+)", why="LiteRT's converter has no conversion of {op}", hint=_OTHER),
    Explanation(
        pattern=r"FFT normalization != 0 is not yet implemented",
        why="LiteRT's converter transforms without a norm only",
        hint="norm='backward', and scale by hand",
    ),
    Explanation(
        pattern=r"comparator block argument #\d should be of type",
        why="LiteRT's converter writes a sort of two types and then refuses it",
        hint="torch.topk with k the length of a static axis of up to 1024 values",
    ),
    Explanation(
        pattern=r"failed to verify that operand \d is at most (?P<most>\d)-D",
        why="LiteRT's operator takes tensors of rank {most} at most",
        hint="merge axes before it",
    ),
    Explanation(
        pattern=r"failed to legalize operation '(?P<op>[\w.]+)' that was explicitly marked illegal:.*?: \((?P<types>[^)]*)\)",
        why="LiteRT has no {op} of {types}",
        hint="float32 and int32 are taken everywhere: x.float() before it",
    ),
    Explanation(
        pattern=r"Number of input tokens \(\d+\) does not match output tokens",
        why="the operator checks its input, and LiteRT's converter has no checks",
        hint=_OTHER,
    ),
    Explanation(
        pattern=r"Unsupported ir element type: complex|'?torch\.complex64",
        why="LiteRT's converter has no complex numbers",
        hint="real and imaginary parts apart",
    ),
    Explanation(
        pattern=r"Only update, Add, Multiply, Maximum and Minimum operations are currently supported for stablehlo\.scatter",
        why="LiteRT adds nothing up at places",
        hint="a product with zeros and ones: F.one_hot(index).T @ rows",
    ),
    Explanation(
        pattern=r"Didn't find op for builtin opcode '(?P<op>\w+)'", why="LiteRT has no kernel for {op}, which its converter writes", hint=_OTHER
    ),
    # torch.onnx of torch 2.13
    Explanation(
        pattern=r"No ONNX function found for <OpOverload\(op='(?P<op>[\w.]+)', overload='(?P<overload>\w+)'",
        why="torch.onnx has no conversion of {op}.{overload}",
        hint=_OTHER,
    ),
    # ExecuTorch 1.5.1
    Explanation(
        pattern=r"runtime has no kernel (?P<op>[\w:.]+)", why="ExecuTorch's runtime has no kernel {op}, and the delegate did not take it", hint=_OTHER
    ),
    Explanation(
        pattern=r"(?P<op>amax|amin)\.default only supports keep_dim == True",
        why="ExecuTorch's delegate takes {op} only if it keeps the axes",
        hint="x.{op}(dim, keepdim=True) and a reshape",
    ),
    Explanation(
        pattern=r"Init failed for backend (?P<name>\w+): 0x1\b",
        why="{name} took a part of the network when it was written and refuses it when it is loaded",
        hint="most often a rank above 6, or a kernel larger than its padded map: --backend portable shows whether it is the delegate",
    ),
    Explanation(
        pattern=r"does not support automatic differentiation for outputs with complex dtype",
        why="complex numbers have no place on phones",
        hint="real and imaginary parts apart",
    ),
    # all of them
    Explanation(
        pattern=r"converter wrote another interface.*int32.*int64|int64.*int32",
        why="the format has no 64-bit whole numbers",
        hint="x.int() before returning it",
    ),
)
