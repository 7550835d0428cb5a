package dev.edgekit.latency.core

/** From cool to hot, in Apple's words. */
val THERMAL: List<String> = listOf("nominal", "fair", "serious", "critical")

/** Calls before the samples: at least [min], until settled, at most [max]. */
data class WarmupPolicy(val min: Int, val max: Int, val window: Int, val relPermille: Long) {
    /** Whether warm-up is over after these calls. */
    fun isOver(times: List<Long>): Boolean = times.size >= max || (times.size >= min && Stats.settled(times, window, relPermille))

    /**
     * After how many of these calls warm-up ends.
     *
     * @throws ContractException `short`: it would have gone on.
     */
    fun calls(times: List<Long>): Int = (0..minOf(times.size, max)).firstOrNull { isOver(times.subList(0, it)) }
        ?: throw ContractException("short", "${times.size} calls, and warm-up is not over")
}

/** When sampling ends: `fixed` goes on to [max] or [maxMs], `settled` also ends when nothing changes. */
data class StopPolicy(val min: Int, val max: Int, val minMs: Long, val maxMs: Long, val stop: String) {
    /** Why sampling ends after these samples, `count`, `time` or `settled`; null: it goes on. */
    fun reason(samples: List<Long>, elapsedNs: Long, warmup: WarmupPolicy): String? = when {
        samples.size >= max -> "count"
        samples.size < min -> null
        elapsedNs >= maxMs * NS_PER_MS -> "time"
        stop == "settled" && elapsedNs >= minMs * NS_PER_MS && Stats.settled(samples, warmup.window, warmup.relPermille) -> "settled"
        else -> null
    }
}

const val NS_PER_MS = 1_000_000L

object Rules {
    /**
     * The variants' numbers in the order they run, each once a round: A B B A, and in odd processes B A A B.
     *
     * @throws ContractException `variants`, `rounds`, `process`: out of range.
     */
    fun turns(variants: Int, rounds: Int, process: Int): List<Int> {
        require("variants", variants in 1..64, variants)
        require("rounds", rounds in 1..100_000, rounds)
        require("process", process in 0..15, process)
        return (0 until rounds).flatMap { round -> (0 until variants).map { if ((round + process) % 2 == 0) it else variants - 1 - it } }
    }

    /** Whether a phone is cool enough to begin: `start`, `wait` or `refuse`. One that does not tell is let through. */
    fun gate(thermal: String?, limit: String, waitedMs: Long, waitMs: Long): String = when {
        thermal == null || THERMAL.indexOf(thermal) <= THERMAL.indexOf(limit) -> "start"
        waitedMs < waitMs -> "wait"
        else -> "refuse"
    }
}

/** Seeded inputs that every language makes alike: a linear congruential generator, begun from the tensor's name. */
object Noise {
    /** The elements as integers; of float32 those before the division by 2^24. */
    fun integers(name: String, seed: Int, count: Int, dtype: String): IntArray {
        var state = 0x811C9DC5.toInt()
        for (byte in name.encodeToByteArray()) state = (state xor (byte.toInt() and 0xFF)) * 0x01000193
        state = state xor seed
        val shift = if (dtype == "uint8" || dtype == "image") 24 else 8
        val bounded = dtype == "int32" || dtype == "int64"
        return IntArray(count) {
            state = state * 1_664_525 + 1_013_904_223
            val value = state ushr shift
            if (bounded) value % 100 else value
        }
    }
}
