package dev.edgekit.latency.core

import kotlin.math.exp
import kotlin.math.ln

/**
 * Where samples leave a network with [exits] exits, decided in integers: confidences are micro-units, `floor(1000000 * float32)`, null: not a number.
 * Which of [thresholdsMicro], [patience] and [exit] counts says the [kind]; the others are null.
 *
 * @throws ContractException `unknown_kind`, `exits`, `rule`, `thresholds_length`, `threshold_range`, `patience_range`, `exit_range`.
 */
class ExitPolicy(
    val kind: String,
    val exits: Int,
    val thresholdsMicro: List<Long?>? = null,
    val patience: Long? = null,
    val exit: Long? = null,
    val temperaturesMicro: List<Long>? = null,
    val reads: String = "confidence",
) {
    init {
        require("unknown_kind", kind in CONFIDENCE_KINDS || kind == "patience" || kind == "anytime", kind)
        require("exits", exits >= 2, exits)
        val given = listOf(thresholdsMicro != null, patience != null, exit != null)
        require("rule", given == listOf(kind in CONFIDENCE_KINDS, kind == "patience", kind == "anytime"), kind)
        if (thresholdsMicro != null) {
            require("thresholds_length", thresholdsMicro.size == exits - 1, thresholdsMicro.size)
            require("threshold_range", thresholdsMicro.all { it == null || it in 0..MICRO }, thresholdsMicro)
        }
        require("patience_range", patience == null || patience >= 2, patience)
        require("exit_range", exit == null || exit in 1..exits, exit)
    }

    /** Whether the sample leaves at exit [k], from 1, of which and of those before the values are known. */
    fun leaves(k: Int, confidencesMicro: List<Long?>, classes: List<Long?>): Boolean {
        if (k == exits) return true
        if (exit != null) return k >= exit
        if (patience != null) {
            if (k < patience) return false
            val row = classes.subList(k - patience.toInt(), k)
            return row.last() != null && row.all { it == row.last() }
        }
        val threshold = thresholdsMicro?.get(k - 1)
        val confidence = confidencesMicro[k - 1]
        return threshold != null && confidence != null && confidence >= threshold
    }

    /**
     * The exit where the sample leaves, from 1; what stands behind it is not looked at.
     *
     * @throws ContractException `stage_missing`, `confidence_range`, `class_range`.
     */
    fun walk(confidencesMicro: List<Long?>, classes: List<Long?>): Int {
        for (k in 1 until exits) {
            if (kind in CONFIDENCE_KINDS) check("confidence_range", confidencesMicro, k, MICRO)
            if (kind == "patience") check("class_range", classes, k, Long.MAX_VALUE)
            if (leaves(k, confidencesMicro, classes)) return k
        }
        return exits
    }

    private fun check(code: String, values: List<Long?>, k: Int, most: Long) {
        require("stage_missing", k <= values.size, "nothing is known of exit $k")
        val value = values[k - 1]
        require(code, value == null || value in 0..most, "$value at exit $k")
    }

    companion object {
        const val MICRO = 1_000_000L
        val CONFIDENCE_KINDS = listOf("max_softmax", "entropy", "margin")

        /** The micro-units of a confidence; null: not a number. */
        fun micro(confidence: Float): Long? =
            if (confidence.isNaN()) null else Math.floor((confidence.toDouble() * MICRO).coerceIn(0.0, MICRO.toDouble())).toLong()
    }
}

/** How sure a row of logits is: float64, rounded to float32 once. */
object Confidence {
    private const val LOG_OF_NOTHING = -104.0

    /** @param temperatureMicro what the logits are divided by first, in float32; null: nothing. */
    fun of(kind: String, logits: FloatArray, temperatureMicro: Long?): Float {
        val temperature = temperatureMicro?.let { (it / 1e6).toFloat() }
        val values = DoubleArray(logits.size) { (if (temperature == null) logits[it] else logits[it] / temperature).toDouble() }
        if (values.any { it.isNaN() }) return Float.NaN
        val most = values.max()
        val shifted = DoubleArray(values.size) { values[it] - most }
        var total = 0.0
        for (value in shifted) total += exp(value)
        return when (kind) {
            "max_softmax" -> (1 / total).toFloat()
            "entropy" -> {
                var negative = 0.0
                for (value in shifted) negative += exp(value) * maxOf(value, LOG_OF_NOTHING)
                (1 + (negative / total - ln(total)) / ln(values.size.toDouble())).toFloat()
            }
            else -> ((1 - exp(shifted.sorted()[shifted.size - 2])) / total).toFloat()
        }
    }

    /** The class of the largest logit, the first of equal ones; null where a logit is not a number. */
    fun named(logits: FloatArray): Long? {
        if (logits.any { it.isNaN() }) return null
        var best = 0
        for (number in logits.indices) if (logits[number] > logits[best]) best = number
        return best.toLong()
    }
}
