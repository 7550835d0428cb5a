package com.google.ai.edge.litert

enum class Accelerator { NONE, CPU, GPU, NPU }

class TensorBuffer : AutoCloseable {
    fun writeFloat(data: FloatArray): Unit = TODO("$data")

    fun writeInt(data: IntArray): Unit = TODO("$data")

    fun writeLong(data: LongArray): Unit = TODO("$data")

    fun writeInt8(data: ByteArray): Unit = TODO("$data")

    fun readFloat(): FloatArray = TODO()

    fun readInt(): IntArray = TODO()

    fun readLong(): LongArray = TODO()

    fun readInt8(): ByteArray = TODO()

    override fun close() = Unit
}

class CompiledModel : AutoCloseable {
    data class CpuOptions(val numThreads: Int?, val xnnPackFlags: Int?, val xnnPackWeightCachePath: String?)

    class Options(vararg val accelerators: Accelerator) {
        var cpuOptions: CpuOptions? = null
    }

    fun createInputBuffer(inputName: String, signature: String? = null): TensorBuffer = TODO("$inputName $signature")

    fun createOutputBuffer(outputName: String, signature: String? = null): TensorBuffer = TODO("$outputName $signature")

    fun run(inputs: Map<String, TensorBuffer>, outputs: Map<String, TensorBuffer>, signature: String? = null): Unit =
        TODO("$inputs $outputs $signature")

    override fun close() = Unit

    companion object {
        fun create(filePath: String, options: Options): CompiledModel = TODO("$filePath $options")
    }
}
