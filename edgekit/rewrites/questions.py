"""What in a network can be spelled in several ways, of which a target gets one: each a question, with the rewrites that answer it.

``edgekit inspect MODEL`` shows, for every place that one of these rewrites takes or refuses, which of them a target gets, why, and
what each costs. A new form of something that is here joins its row; a rewrite that makes something else static gets a row.
"""

from attrs import frozen


@frozen(kw_only=True)
class Question:
    """Something that has to be spelled in one way or another.

    :param asks: what is decided, in a clause for people. :param forms: the rewrites that spell it, by name; any two exclude each other.
    """

    name: str
    asks: str
    forms: tuple[str, ...]


QUESTIONS: tuple[Question, ...] = (
    # What depends on the picture comes first.
    Question(
        name="selected regions",
        asks="which regions take part in a pass depends on the picture",
        forms=("fixed_count_gather", "fixed_count_one_hot", "fixed_count_one_hot_compared", "dense_mask_passes"),
    ),
    Question(name="assigned depths", asks="how many passes a region takes is the argmax of a router", forms=("static_router",)),
    Question(
        name="boolean mask", asks="which rows a boolean mask keeps depends on the picture", forms=("kept_rows_by_products", "kept_places_by_top_k")
    ),
    Question(
        name="order statistic",
        asks="a median, k-th value or last of a top-k needs a sort unless it is a quantile",
        forms=("order_statistics_as_quantiles",),
    ),
    Question(name="sort", asks="most runtimes cannot sort, and those that can not stably", forms=("sorts_by_counting", "stable_sorts_by_counting")),
    Question(name="top-k", asks="LiteRT's top-k is a sort where values are read", forms=("top_k_by_counting",)),
    Question(name="scatter", asks="where rows are added up depends on the picture", forms=("scatters_by_products",)),
    Question(name="bins", asks="in which bin a value lies takes a search for which most runtimes have no kernel", forms=("bins_by_counting",)),
    Question(name="quantile", asks="runtimes have no quantile, and most no sort", forms=("quantile_by_counting", "quantile_by_counting_compared")),
    # What only moves data, or adds it up.
    Question(
        name="windows",
        asks="cutting a map into windows and heads takes rank 6 or several moves",
        forms=(
            "static_windows_rank6_channels_last",
            "static_windows_rank5_channels_last",
            "static_windows_rank4_channels_last",
            "static_windows_rank5_channels_first",
            "static_windows_rank4_channels_first",
        ),
    ),
    Question(name="attention", asks="queries, keys and values are projected apart or as one", forms=("static_attention", "static_attention_joint")),
    Question(
        name="layer norm",
        asks="means over channels are a reduction or a product, in or outside of a delegate",
        forms=("layer_norm_as_convs", "layer_norm_as_linears", "layer_norm_as_arithmetic"),
    ),
)
