package dev.edgekit.latency.core

import kotlin.math.abs
import kotlin.math.ceil

/** A picture: rows of RGB pixels, a byte a channel. */
class Picture(val width: Int, val height: Int, val rgb: ByteArray) {
    init {
        require("picture", rgb.size == width * height * 3, "${rgb.size} bytes")
    }
}

/**
 * From a picture to a model's input, in this order: the shorter side to `int(resolution / crop)` pixels, the centre, then `(x / 255 - mean) / std`.
 * Resampling is Pillow's for 8 bits, in its fixed-point arithmetic, so pixels are equal to edgekit's on the host. Fractions are micro-units.
 */
class Preprocessing(
    val resolution: Int,
    private val cropMicro: Long,
    private val interpolation: String,
    meanMicro: List<Long>,
    stdMicro: List<Long>,
) {
    private val mean = FloatArray(3) { (meanMicro[it] / 1e6).toFloat() }
    private val std = FloatArray(3) { (stdMicro[it] / 1e6).toFloat() }

    /** Resized and cropped: `resolution * resolution * 3` bytes. */
    fun pixels(picture: Picture): Picture {
        val shorter = (resolution / (cropMicro / 1e6)).toInt()
        val factor = shorter.toDouble() / minOf(picture.width, picture.height)
        val width = maxOf(shorter, Math.rint(picture.width * factor).toInt())
        val height = maxOf(shorter, Math.rint(picture.height * factor).toInt())
        val resized = Resampling.resize(picture, width, height, interpolation)
        val left = (width - resolution) / 2
        val top = (height - resolution) / 2
        val out = ByteArray(resolution * resolution * 3)
        for (row in 0 until resolution) {
            resized.rgb.copyInto(out, row * resolution * 3, ((top + row) * width + left) * 3, ((top + row) * width + left + resolution) * 3)
        }
        return Picture(resolution, resolution, out)
    }

    /** Normalised, in the order channels, rows, columns; with [channelsLast] as the pixels are, which LiteRT files take. */
    fun normalised(pixels: Picture, channelsLast: Boolean = false): FloatArray {
        val count = pixels.width * pixels.height
        val out = FloatArray(count * 3)
        for (place in 0 until count) {
            for (channel in 0 until 3) {
                val value = (pixels.rgb[place * 3 + channel].toInt() and 0xFF) / 255f
                out[if (channelsLast) place * 3 + channel else channel * count + place] = (value - mean[channel]) / std[channel]
            }
        }
        return out
    }
}

/** Pillow's two passes of 8 bits, each rounded; coefficients have 22 bits behind the point. */
internal object Resampling {
    private const val BITS = 22

    private class Filter(val support: Double, val at: (Double) -> Double)

    private val filters = mapOf(
        "bilinear" to Filter(1.0) { x -> if (abs(x) < 1) 1 - abs(x) else 0.0 },
        "bicubic" to Filter(2.0) { x -> cubic(abs(x)) },
    )

    private fun cubic(x: Double): Double = when {
        x < 1 -> (1.5 * x - 2.5) * x * x + 1
        x < 2 -> -0.5 * (((x - 5) * x + 8) * x - 4)
        else -> 0.0
    }

    private class Weights(val first: IntArray, val rows: Array<IntArray>)

    fun resize(picture: Picture, width: Int, height: Int, interpolation: String): Picture {
        val filter = filters.getValue(interpolation)
        val wide = if (width == picture.width) picture else horizontal(picture, width, weights(picture.width, width, filter))
        return if (height == wide.height) wide else vertical(wide, height, weights(wide.height, height, filter))
    }

    private fun weights(from: Int, to: Int, filter: Filter): Weights {
        val scale = from.toDouble() / to
        val wider = maxOf(scale, 1.0)
        val support = filter.support * wider
        val most = ceil(support).toInt() * 2 + 1
        val first = IntArray(to)
        val rows = Array(to) { place ->
            val centre = (place + 0.5) * scale
            val low = maxOf((centre - support + 0.5).toInt(), 0)
            val count = minOf((centre + support + 0.5).toInt(), from) - low
            first[place] = low
            val row = DoubleArray(minOf(count, most)) { filter.at((it + low - centre + 0.5) * (1.0 / wider)) }
            var total = 0.0
            for (weight in row) total += weight
            IntArray(row.size) {
                val weight = (if (total != 0.0) row[it] / total else row[it]) * (1 shl BITS)
                (if (weight < 0) weight - 0.5 else weight + 0.5).toInt()
            }
        }
        return Weights(first, rows)
    }

    private fun horizontal(picture: Picture, width: Int, weights: Weights): Picture {
        val out = ByteArray(width * picture.height * 3)
        for (y in 0 until picture.height) {
            for (x in 0 until width) {
                val from = (y * picture.width + weights.first[x]) * 3
                for (channel in 0 until 3) out[(y * width + x) * 3 + channel] = summed(picture.rgb, from + channel, 3, weights.rows[x])
            }
        }
        return Picture(width, picture.height, out)
    }

    private fun vertical(picture: Picture, height: Int, weights: Weights): Picture {
        val stride = picture.width * 3
        val out = ByteArray(stride * height)
        for (y in 0 until height) {
            for (place in 0 until stride) out[y * stride + place] = summed(picture.rgb, weights.first[y] * stride + place, stride, weights.rows[y])
        }
        return Picture(picture.width, height, out)
    }

    private fun summed(bytes: ByteArray, from: Int, step: Int, row: IntArray): Byte {
        var sum = 1 shl (BITS - 1)
        for (number in row.indices) sum += (bytes[from + number * step].toInt() and 0xFF) * row[number]
        return (sum shr BITS).coerceIn(0, 255).toByte()
    }
}
