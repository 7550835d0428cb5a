package dev.edgekit.latency

import dev.edgekit.latency.core.ContractException
import dev.edgekit.latency.core.Engine
import dev.edgekit.latency.core.Named
import dev.edgekit.latency.core.Session
import dev.edgekit.latency.core.Stage
import dev.edgekit.latency.core.Tensor
import dev.edgekit.latency.core.TensorSpec
import dev.edgekit.latency.core.Variant
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import java.io.File

/** ExecuTorch's AAR. Which backend runs a method is decided when the file is made; here it is only read. */
class ExecuTorchEngine : Engine {
    override val about = Named("executorch", "1.5.1")

    override fun open(model: File, variant: Variant): Session =
        ExecuTorchSession(Module.load(model.path, Module.LOAD_MODE_MMAP, variant.threads), variant)
}

private class ExecuTorchSession(private val module: Module, variant: Variant) : Session {
    private val backends = variant.stages.flatMap { module.getMethodMetadata(it.entry).backends.toList() }.toSet()
    override val actual: String? = backends.map { UNIT_OF[it] }.toSet().singleOrNull() ?: "cpu".takeIf { backends.isEmpty() }
    override val basis: String = if (actual == null) "unknown" else "runtime"
    override val operators: Map<String, Long>? = null

    override fun load(entry: String) {
        module.loadMethod(entry)
    }

    override fun run(stage: Stage, inputs: List<Tensor>): List<Tensor> {
        val given = inputs.map { EValue.from(wrapped(it)) }.toTypedArray()
        val outputs = module.execute(stage.entry, *given)
        if (outputs.size != stage.outputs.size) throw ContractException("tensor", "${stage.entry} gave ${outputs.size} outputs")
        return outputs.zip(stage.outputs) { value, spec -> unwrapped(value.toTensor(), spec) }
    }

    private fun wrapped(tensor: Tensor): org.pytorch.executorch.Tensor {
        val shape = LongArray(tensor.shape.size) { tensor.shape[it].toLong() }
        return when (tensor.dtype) {
            "float32" -> org.pytorch.executorch.Tensor.fromBlob(tensor.bytes.asFloatBuffer(), shape)
            "int32" -> org.pytorch.executorch.Tensor.fromBlob(tensor.bytes.asIntBuffer(), shape)
            "int64" -> org.pytorch.executorch.Tensor.fromBlob(tensor.bytes.asLongBuffer(), shape)
            "uint8" -> org.pytorch.executorch.Tensor.fromBlobUnsigned(tensor.bytes, shape)
            else -> throw ContractException("tensor", "ExecuTorch takes no ${tensor.dtype} here")
        }
    }

    private fun unwrapped(value: org.pytorch.executorch.Tensor, spec: TensorSpec): Tensor = when (spec.dtype) {
        "float32" -> Tensor.of(value.dataAsFloatArray, spec.shape)
        "int32" -> Tensor.allocate(spec.dtype, spec.shape).also { it.bytes.asIntBuffer().put(value.dataAsIntArray) }
        "int64" -> Tensor.allocate(spec.dtype, spec.shape).also { it.bytes.asLongBuffer().put(value.dataAsLongArray) }
        else -> throw ContractException("tensor", "ExecuTorch gives no ${spec.dtype} here")
    }

    override fun close() = module.destroy()

    private companion object {
        val UNIT_OF = mapOf("XnnpackBackend" to "cpu", "VulkanBackend" to "gpu", "QnnBackend" to "npu")
    }
}
