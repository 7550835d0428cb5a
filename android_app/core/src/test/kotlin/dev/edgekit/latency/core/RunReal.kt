package dev.edgekit.latency.core

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Carries out a plan on Linux with the real ExecuTorch: `benchmarks/native_runner/jni.cpp` behind this language's own run loop.
 *
 *     RunRealKt FOLDER PROCESS LIBRARY    reads FOLDER/plan.json and writes FOLDER/report-PROCESS.json
 */
private class NativeEngine(private val calls: NativeCalls) : Engine {
    override val about = Named("executorch", calls.version())

    override fun open(model: File, variant: Variant): Session = NativeSession(calls, calls.open(model.path, variant.threads))
}

/** The library's calls; a handle is a session's address there. Failures come as IllegalStateException. */
internal class NativeCalls(library: File) {
    init {
        System.load(library.path)
    }

    external fun version(): String

    external fun open(path: String, threads: Int): Long

    external fun load(handle: Long, entry: String)

    external fun run(
        handle: Long,
        entry: String,
        dtypes: Array<String>,
        shapes: Array<LongArray>,
        buffers: Array<ByteBuffer>,
        outputs: Int,
    ): Array<ByteArray>

    external fun close(handle: Long)
}

private class NativeSession(private val calls: NativeCalls, private val handle: Long) : Session {
    override val actual = "cpu"
    override val basis = "runtime"
    override val operators: Map<String, Long>? = null

    override fun load(entry: String) = calls.load(handle, entry)

    override fun run(stage: Stage, inputs: List<Tensor>): List<Tensor> {
        val dtypes = Array(inputs.size) { inputs[it].dtype }
        val shapes = Array(inputs.size) { place -> inputs[place].shape.map { it.toLong() }.toLongArray() }
        val buffers = Array(inputs.size) { inputs[it].bytes }
        return calls.run(handle, stage.entry, dtypes, shapes, buffers, stage.outputs.size).zip(stage.outputs) { bytes, spec ->
            val copied = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.LITTLE_ENDIAN).put(bytes)
            Tensor(spec.dtype, spec.shape, copied.rewind() as ByteBuffer)
        }
    }

    override fun close() = calls.close(handle)
}

private object SystemClock : Clock {
    override fun nowNs(): Long = System.nanoTime()

    override fun sleepMs(milliseconds: Long) = Thread.sleep(milliseconds)
}

private object NothingTold : DeviceState {
    override val facts = DeviceFacts("linux", System.getProperty("os.arch"), null, System.getProperty("os.version"), null)

    override fun read(tNs: Long) = Reading(tNs, null, null, null, null)

    override fun memory(): Memory? = null
}

fun main(arguments: Array<String>) {
    val folder = File(arguments[0])
    val plan = Plan.fromJson(Json.parse(File(folder, "plan.json").readText()))
    val sink =
        Sink { report -> File(folder, "report-${report.process}.json").takeIf { report.complete }?.writeText(Json.canonical(report.toJson()) + "\n") }
    val engines = mapOf("executorch" to NativeEngine(NativeCalls(File(arguments[2]))))
    val report = RunLoop(plan, arguments[1].toInt(), folder, engines, SystemClock, NothingTold, sink, Named("core", "1")).run()
    Validation.check(report, plan)
    println("${report.results.size} results")
}
