package dev.edgekit.latency.core

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A tensor's elements as little-endian bytes, which is how every phone stores them. */
class Tensor(val dtype: String, val shape: List<Int>, val bytes: ByteBuffer) {
    fun floats(): FloatArray = FloatArray(bytes.capacity() / Float.SIZE_BYTES) { bytes.getFloat(it * Float.SIZE_BYTES) }

    companion object {
        fun bytesPer(dtype: String): Int = when (dtype) {
            "uint8", "image" -> 1
            "float16" -> 2
            "int64" -> 8
            else -> 4
        }

        fun allocate(dtype: String, shape: List<Int>): Tensor {
            val elements = shape.fold(1) { product, size -> product * size }
            return Tensor(dtype, shape, ByteBuffer.allocateDirect(elements * bytesPer(dtype)).order(ByteOrder.LITTLE_ENDIAN))
        }

        fun of(values: FloatArray, shape: List<Int>): Tensor {
            val tensor = allocate("float32", shape)
            values.forEachIndexed { number, value -> tensor.bytes.putFloat(number * Float.SIZE_BYTES, value) }
            return tensor
        }

        /** What a plan fills an input with; `handed_on` is not made here. */
        fun filled(spec: TensorSpec, seed: Int): Tensor {
            val tensor = allocate(spec.dtype, spec.shape)
            if (spec.fill == "zeros") return tensor
            val values = if (spec.fill == "noise") Noise.integers(spec.name, seed, spec.elements, spec.dtype) else IntArray(0)
            val never = spec.fill == "never"
            for (number in 0 until spec.elements) {
                when (spec.dtype) {
                    "float32" -> tensor.bytes.putFloat(number * 4, if (never) Float.POSITIVE_INFINITY else values[number] / 16_777_216f)
                    "int32" -> tensor.bytes.putInt(number * 4, values[number])
                    "int64" -> tensor.bytes.putLong(number * 8, values[number].toLong())
                    "uint8", "image" -> tensor.bytes.put(number, values[number].toByte())
                    else -> throw ContractException("tensor", "${spec.dtype} cannot be filled here")
                }
            }
            return tensor
        }
    }
}

/** A model that an engine has opened. [actual] is the compute unit as far as [basis] (`plan`, `runtime`, `unknown`) can tell. */
interface Session : AutoCloseable {
    val actual: String?
    val basis: String
    val operators: Map<String, Long>?

    /** Prepares a method, if the engine does that apart from running it. */
    fun load(entry: String)

    /** Runs a method: tensors in the plan's order in, tensors in the plan's order out. */
    fun run(stage: Stage, inputs: List<Tensor>): List<Tensor>
}

interface Engine {
    val about: Named

    /** @throws Exception the file is none that it can run on this unit. */
    fun open(model: File, variant: Variant): Session
}

interface Clock {
    /** Nanoseconds of a clock that never goes back. */
    fun nowNs(): Long

    fun sleepMs(milliseconds: Long)
}

interface DeviceState {
    val facts: DeviceFacts

    fun read(tNs: Long): Reading

    /** What the process holds now, and at most so far; null: not told. */
    fun memory(): Memory?
}

/** Takes the report as it is so far, and the whole one at the end. */
fun interface Sink {
    fun write(report: Report)
}
