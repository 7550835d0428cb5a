package dev.edgekit.latency

import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.TensorBuffer
import dev.edgekit.latency.core.ContractException
import dev.edgekit.latency.core.Engine
import dev.edgekit.latency.core.Named
import dev.edgekit.latency.core.Session
import dev.edgekit.latency.core.Stage
import dev.edgekit.latency.core.Tensor
import dev.edgekit.latency.core.TensorSpec
import dev.edgekit.latency.core.Variant
import java.io.File

/**
 * LiteRT's compiled models. Which operators an accelerator took is not told, so what ran is known only where nothing but the CPU could. Signatures
 * cannot be listed either: the plan names them and their tensors.
 */
class LiteRtEngine : Engine {
    override val about = Named("litert", "2.3.0")

    override fun open(model: File, variant: Variant): Session {
        val options = when (variant.compute) {
            "cpu" -> CompiledModel.Options(Accelerator.CPU)
            "gpu" -> CompiledModel.Options(Accelerator.GPU)
            "npu" -> CompiledModel.Options(Accelerator.NPU, Accelerator.CPU)
            else -> CompiledModel.Options(Accelerator.NPU, Accelerator.GPU, Accelerator.CPU)
        }
        options.cpuOptions = CompiledModel.CpuOptions(variant.threads, null, null)
        return LiteRtSession(CompiledModel.create(model.path, options), variant)
    }
}

private class LiteRtSession(private val model: CompiledModel, variant: Variant) : Session {
    private class Buffers(val inputs: Map<String, TensorBuffer>, val outputs: Map<String, TensorBuffer>)

    private val stages = variant.stages.associateBy { it.entry }
    private val buffers = HashMap<String, Buffers>()
    override val actual: String? = "cpu".takeIf { variant.compute == "cpu" }
    override val basis: String = if (actual == null) "unknown" else "runtime"
    override val operators: Map<String, Long>? = null

    override fun load(entry: String) {
        val stage = stages.getValue(entry)
        buffers[entry] = Buffers(
            stage.inputs.associate { it.name to model.createInputBuffer(it.name, entry) },
            stage.outputs.associate { it.name to model.createOutputBuffer(it.name, entry) },
        )
    }

    override fun run(stage: Stage, inputs: List<Tensor>): List<Tensor> {
        val own = buffers.getValue(stage.entry)
        stage.inputs.zip(inputs) { spec, tensor -> write(own.inputs.getValue(spec.name), tensor) }
        model.run(own.inputs, own.outputs, stage.entry)
        return stage.outputs.map { read(own.outputs.getValue(it.name), it) }
    }

    private fun write(buffer: TensorBuffer, tensor: Tensor) = when (tensor.dtype) {
        "float32" -> buffer.writeFloat(tensor.floats())
        "int32" -> buffer.writeInt(IntArray(tensor.bytes.capacity() / 4) { tensor.bytes.getInt(it * 4) })
        "int64" -> buffer.writeLong(LongArray(tensor.bytes.capacity() / 8) { tensor.bytes.getLong(it * 8) })
        "uint8" -> buffer.writeInt8(ByteArray(tensor.bytes.capacity()) { tensor.bytes.get(it) })
        else -> throw ContractException("tensor", "LiteRT takes no ${tensor.dtype} here")
    }

    private fun read(buffer: TensorBuffer, spec: TensorSpec): Tensor = when (spec.dtype) {
        "float32" -> Tensor.of(buffer.readFloat(), spec.shape)
        "int32" -> Tensor.allocate(spec.dtype, spec.shape).also { it.bytes.asIntBuffer().put(buffer.readInt()) }
        "int64" -> Tensor.allocate(spec.dtype, spec.shape).also { it.bytes.asLongBuffer().put(buffer.readLong()) }
        "uint8" -> Tensor.allocate(spec.dtype, spec.shape).also { it.bytes.put(buffer.readInt8()) }
        else -> throw ContractException("tensor", "LiteRT gives no ${spec.dtype} here")
    }

    override fun close() {
        for (own in buffers.values) (own.inputs.values + own.outputs.values).forEach { it.close() }
        model.close()
    }
}
