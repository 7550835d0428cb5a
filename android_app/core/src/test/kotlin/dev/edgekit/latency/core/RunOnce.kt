package dev.edgekit.latency.core

import java.io.File

/**
 * Carries out a plan with an engine and a clock that are made up alike in Kotlin and Swift, so that both have to write the same report, byte by byte.
 *
 *     RunOnceKt FOLDER PROCESS    reads FOLDER/plan.json and writes FOLDER/report-PROCESS.json
 */
private class MadeUpClock : Clock {
    private var calls = 0L
    private var now = 0L

    override fun nowNs(): Long {
        calls++
        now += 1000 + calls * 37 % 101
        return now
    }

    override fun sleepMs(milliseconds: Long) {
        now += milliseconds * NS_PER_MS
    }
}

private class MadeUpEngine : Engine {
    override val about = Named("made up", "1")

    override fun open(model: File, variant: Variant) = object : Session {
        private var calls = 0
        override val actual = "cpu"
        override val basis = "runtime"
        override val operators: Map<String, Long>? = null

        override fun load(entry: String) = Unit

        override fun run(stage: Stage, inputs: List<Tensor>): List<Tensor> {
            calls++
            return stage.outputs.map { output ->
                val values = FloatArray(output.elements) { ((it * 7 + calls) % 11) / 8f }
                if (output.name == "confidence") values[0] = if (calls % 3 == 0) 0.95f else 0.5f
                Tensor.of(values, output.shape)
            }
        }

        override fun close() = Unit
    }
}

private class MadeUpState : DeviceState {
    override val facts = DeviceFacts("linux", "made up", null, "1", null)

    override fun read(tNs: Long) = Reading(tNs, "nominal", 80, false, null)

    override fun memory() = Memory(1000, 5000, "made up")
}

fun main(arguments: Array<String>) {
    val folder = File(arguments[0])
    val plan = Plan.fromJson(Json.parse(File(folder, "plan.json").readText()))
    val engine = MadeUpEngine()
    val engines = listOf("executorch", "litert", "coreml").associateWith { engine }
    val sink = Sink { report ->
        val name = "${if (report.complete) "report" else "partial"}-${report.process}.json"
        File(folder, name).writeText(Json.canonical(report.toJson()) + "\n")
    }
    val report = RunLoop(plan, arguments[1].toInt(), folder, engines, MadeUpClock(), MadeUpState(), sink, Named("made up", "1")).run()
    Validation.check(report, plan)
    println("${report.results.size} results")
}
