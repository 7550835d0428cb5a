package dev.edgekit.latency.core

/** What is said of samples, in integers: nearest-rank percentiles, means rounded half up. */
object Stats {
    const val TRIM_PERMILLE = 200L
    const val LEAST_FOR_P99 = 100

    /** @throws ContractException `empty`, `share`: not 1 to 100. */
    fun percentile(samples: List<Long>, share: Long): Long {
        require("empty", samples.isNotEmpty(), "no samples have no percentile")
        require("share", share in 1..100, share)
        return samples.sorted()[((share * samples.size + 99) / 100).toInt() - 1]
    }

    /** @throws ContractException `empty`. */
    fun mean(samples: List<Long>): Long {
        require("empty", samples.isNotEmpty(), "no samples have no mean")
        return Math.floorDiv(2 * samples.sum() + samples.size, 2L * samples.size)
    }

    /** The mean without the shortest and the longest; [permille] counts both ends together. */
    fun trimmedMean(samples: List<Long>, permille: Long): Long {
        require("share", permille in 0..999, permille)
        val cut = (samples.size * permille / 2000).toInt()
        return mean(samples.sorted().subList(cut, samples.size - cut))
    }

    /** @throws ContractException `empty`. */
    fun summary(samples: List<Long>): Map<String, Long?> {
        require("empty", samples.isNotEmpty(), "no samples have no summary")
        return mapOf(
            "n" to samples.size.toLong(),
            "min" to samples.min(),
            "p50" to percentile(samples, 50),
            "p90" to percentile(samples, 90),
            "p99" to if (samples.size >= LEAST_FOR_P99) percentile(samples, 99) else null,
            "max" to samples.max(),
            "mean" to mean(samples),
            "trimmed_mean" to trimmedMean(samples, TRIM_PERMILLE),
        )
    }

    /** Whether the last [window] samples take as long as those before, of medians, within so many per mille. */
    fun settled(samples: List<Long>, window: Int, permille: Long): Boolean {
        if (window < 1 || samples.size < 2 * window) return false
        val end = samples.size
        val before = percentile(samples.subList(end - 2 * window, end - window), 50)
        val last = percentile(samples.subList(end - window, end), 50)
        return Math.abs(last - before) * 1000 <= permille * before
    }
}
