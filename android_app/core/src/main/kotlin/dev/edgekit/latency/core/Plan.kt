package dev.edgekit.latency.core

/** An input; with [fill] null an output. */
data class TensorSpec(val name: String, val dtype: String, val shape: List<Int>, val fill: String?) {
    val elements: Int get() = shape.fold(1) { product, size -> product * size }
}

/** A method of the model's file. */
data class Stage(val entry: String, val inputs: List<TensorSpec>, val outputs: List<TensorSpec>)

/** Preprocessing to be timed on a made-up picture. */
data class PicturePlan(
    val width: Int,
    val height: Int,
    val resolution: Int,
    val cropMicro: Long,
    val interpolation: String,
    val meanMicro: List<Long>,
    val stdMicro: List<Long>,
) {
    fun preprocessing() = Preprocessing(resolution, cropMicro, interpolation, meanMicro, stdMicro)
}

/** One model on one compute unit: its stages run one after the other until the policy lets a sample go. */
data class Variant(
    val id: String,
    val engine: String,
    val model: String,
    val modelSha256: String,
    val compute: String,
    val threads: Int,
    val stages: List<Stage>,
    val exitPolicy: ExitPolicy?,
    val picture: PicturePlan?,
)

/** What a phone is to do: `latency-plan/1`. */
data class Plan(
    val runId: String,
    val seed: Int,
    val processes: Int,
    val variants: List<Variant>,
    val warmup: WarmupPolicy,
    val measure: StopPolicy,
    val cooldownMs: Long,
    val maxStart: String,
    val waitMs: Long,
) {
    companion object {
        /** @throws ContractException the codes that `edgekit.device.plan` lists. */
        fun fromJson(document: Any?): Plan = PlanReader.plan(document)
    }
}

private object PlanReader {
    const val SCHEMA = "latency-plan/1"
    val ENGINES = listOf("executorch", "litert", "coreml", "coreai")
    val UNITS = listOf("cpu", "gpu", "npu", "all")
    val DTYPES = listOf("float32", "float16", "uint8", "int32", "int64", "image")
    val FILLS = listOf("noise", "zeros", "handed_on", "never")
    val NAME = Regex("[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
    val RUN_ID = Regex("[0-9a-f]{32}")
    val SHA256 = Regex("[0-9a-f]{64}")
    const val MOST_ELEMENTS = 1L shl 28
    const val MOST_SAMPLES = 10_000L

    fun plan(document: Any?): Plan {
        if (document is Map<*, *> && document["schema"] != SCHEMA) throw ContractException("schema", "this is no latency plan")
        val keys = "schema run_id seed processes variants warmup measure order cooldown_ms thermal".split(' ')
        val fields = Fields(document, keys, "the plan")
        val warmup = Fields(fields.raw("warmup"), listOf("min", "max", "window", "rel_permille"), "warmup")
        val measure = Fields(fields.raw("measure"), listOf("min", "max", "min_ms", "max_ms", "stop"), "measure")
        val thermal = Fields(fields.raw("thermal"), listOf("max_start", "wait_ms"), "thermal")
        val calls = listOf("min", "max", "window", "rel_permille").map(warmup::integer)
        val samples = listOf("min", "max", "min_ms", "max_ms").map(measure::integer)
        val (runId, seed, processes) = Triple(fields.text("run_id"), fields.integer("seed"), fields.integer("processes"))
        val rows = fields.rows("variants").map(::RawVariant)
        val (order, cooldown, stop) = Triple(fields.text("order"), fields.integer("cooldown_ms"), measure.text("stop"))
        val (maxStart, wait) = thermal.text("max_start") to thermal.integer("wait_ms")

        require("run_id", RUN_ID.matches(runId), runId)
        require("seed", seed in 0..Int.MAX_VALUE, seed)
        require("processes", processes in 1..16, processes)
        require("order", order == "abba", order)
        require("cooldown", cooldown in 0..600_000, cooldown)
        require("warmup", calls[0] in 0..calls[1] && calls[1] <= 1000 && calls[2] in 1..100 && calls[3] in 0..1000, calls)
        require("measure", samples[0] in 1..samples[1] && samples[1] <= MOST_SAMPLES && stop in listOf("fixed", "settled"), samples)
        require("measure", samples[2] in 0..samples[3] && samples[3] <= 3_600_000, samples)
        require("thermal", maxStart in THERMAL && wait in 0..3_600_000, maxStart)
        require("variants", rows.size in 1..64, rows.size)
        require("variant_id", rows.map { it.id }.toSet().size == rows.size, "the same id twice")
        return Plan(
            runId,
            seed.toInt(),
            processes.toInt(),
            rows.map { it.checked() },
            WarmupPolicy(calls[0].toInt(), calls[1].toInt(), calls[2].toInt(), calls[3]),
            StopPolicy(samples[0].toInt(), samples[1].toInt(), samples[2], samples[3], stop),
            cooldown,
            maxStart,
            wait,
        )
    }

    /** Values of the right types, not yet checked: shapes are told before ranges. */
    class RawTensor(value: Any?) {
        private val row = Fields(value, listOf("name", "dtype", "shape", "fill"), "a tensor")
        val fill = row.textOrNull("fill")
        private val name = row.text("name")
        private val dtype = row.text("dtype")
        private val shape = row.integers("shape")

        fun checked(): TensorSpec {
            var elements = 1L
            for (size in shape) {
                require("tensor", size in 1..MOST_ELEMENTS, shape)
                elements *= size
                require("tensor", elements <= MOST_ELEMENTS, shape)
            }
            require("tensor", NAME.matches(name) && dtype in DTYPES && shape.size <= 8, name)
            return TensorSpec(name, dtype, shape.map { it.toInt() }, fill)
        }
    }

    class RawStage(value: Any?) {
        private val row = Fields(value, listOf("entry", "inputs", "outputs"), "a stage")
        val entry = row.text("entry")
        val inputs = row.rows("inputs").map(::RawTensor)
        val outputs = row.rows("outputs").map(::RawTensor)
    }

    class RawPolicy(value: Any?) {
        private val row = Fields(value, "kind exits thresholds_micro patience exit temperatures_micro reads".split(' '), "an exit policy")
        private val thresholds: List<Long?>? = if (row.isNull("thresholds_micro")) {
            null
        } else {
            row.rows("thresholds_micro").map { if (it == null || it is Long) it else throw ContractException("shape", "thresholds_micro") }
        }
        private val kind = row.text("kind")
        private val exits = row.integer("exits")
        private val patience = row.integerOrNull("patience")
        private val exit = row.integerOrNull("exit")
        private val temperatures = row.integersOrNull("temperatures_micro")
        private val reads = row.text("reads")

        fun checked(rows: List<Stage>): ExitPolicy {
            val stages = rows.size
            val policy = try {
                ExitPolicy(
                    kind,
                    exits.coerceIn(Int.MIN_VALUE.toLong(), Int.MAX_VALUE.toLong()).toInt(),
                    thresholds,
                    patience,
                    exit,
                    temperatures,
                    reads,
                )
            } catch (error: ContractException) {
                throw ContractException("policy", error.message.orEmpty())
            }
            val needs = when (kind) {
                "patience" -> listOf("logits")
                "anytime" -> listOf("nothing")
                else -> listOf("confidence", "logits")
            }
            require("policy", exits == stages.toLong() && reads in needs, kind)
            val readable = rows.dropLast(1).all { stage -> stage.outputs.any { it.name == reads } }
            require("policy", readable || reads == "nothing", reads)
            if (temperatures != null) {
                require("policy", kind in ExitPolicy.CONFIDENCE_KINDS && reads == "logits" && temperatures.size == stages - 1, temperatures)
                require("policy", temperatures.all { it in 1..1_000_000_000_000 }, temperatures)
            }
            return policy
        }
    }

    class RawPicture(value: Any?) {
        private val row = Fields(value, "width height resolution crop_micro interpolation mean_micro std_micro".split(' '), "a picture")
        private val sizes = listOf("width", "height", "resolution", "crop_micro").map(row::integer)
        private val mean = row.integers("mean_micro")
        private val std = row.integers("std_micro")
        private val interpolation = row.text("interpolation")

        fun checked(): PicturePlan {
            require("picture", sizes[0] in 1..8192 && sizes[1] in 1..8192 && sizes[2] in 1..2048, sizes)
            require("picture", sizes[3] in 100_000..1_000_000 && interpolation in listOf("bicubic", "bilinear"), sizes)
            require("picture", mean.size == 3 && mean.all { it in 0..1_000_000 }, mean)
            require("picture", std.size == 3 && std.all { it in 1..10_000_000 }, std)
            return PicturePlan(sizes[0].toInt(), sizes[1].toInt(), sizes[2].toInt(), sizes[3], interpolation, mean, std)
        }
    }

    class RawVariant(value: Any?) {
        private val row = Fields(value, "id engine model model_sha256 compute threads stages exit_policy picture".split(' '), "a variant")
        val id = row.text("id")
        private val engine = row.text("engine")
        private val model = row.text("model")
        private val sha256 = row.text("model_sha256")
        private val compute = row.text("compute")
        private val threads = row.integer("threads")
        private val stages = row.rows("stages").map(::RawStage)
        private val policy = if (row.isNull("exit_policy")) null else RawPolicy(row.raw("exit_policy"))
        private val picture = if (row.isNull("picture")) null else RawPicture(row.raw("picture"))

        fun checked(): Variant {
            require("variant_id", NAME.matches(id), id)
            require("engine", engine in ENGINES, engine)
            require("model", NAME.matches(model) && ".." !in model, model)
            require("sha256", SHA256.matches(sha256), sha256)
            require("compute", compute in UNITS, compute)
            require("threads", threads in 1..64, threads)
            require("stages", stages.size in 1..64 && stages.all { NAME.matches(it.entry) }, stages.size)
            var before = emptySet<String>()
            val checked = stages.map { stage ->
                require("stages", stage.inputs.isNotEmpty() && stage.outputs.isNotEmpty(), stage.entry)
                val inputs = stage.inputs.map { it.checked() }
                val outputs = stage.outputs.map { it.checked() }
                for (tensor in inputs) require("tensor", tensor.fill in FILLS && (tensor.fill != "handed_on" || tensor.name in before), tensor)
                require("tensor", outputs.all { it.fill == null }, stage.entry)
                before = outputs.map { it.name }.toSet()
                Stage(stage.entry, inputs, outputs)
            }
            if (policy == null) require("policy", stages.size == 1, "several stages without a policy")
            return Variant(
                id,
                engine,
                model,
                sha256,
                compute,
                threads.toInt(),
                checked,
                policy?.checked(checked),
                picture?.checked(),
            )
        }
    }
}
