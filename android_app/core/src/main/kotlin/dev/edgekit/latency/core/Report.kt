package dev.edgekit.latency.core

/** A name and a version: of an engine, of the harness. */
data class Named(val name: String, val version: String?) {
    fun toJson(): Map<String, Any?> = mapOf("name" to name, "version" to version)
}

data class DeviceFacts(val platform: String, val model: String, val soc: String?, val os: String, val debuggable: Boolean?) {
    fun toJson(): Map<String, Any?> = mapOf("platform" to platform, "model" to model, "soc" to soc, "os" to os, "debuggable" to debuggable)
}

/** The phone's state at [tNs] of the monotonic clock; null: not told. */
data class Reading(val tNs: Long, val thermal: String?, val batteryPct: Long?, val charging: Boolean?, val lowPower: Boolean?) {
    fun toJson(): Map<String, Any?> =
        mapOf("t_ns" to tNs, "thermal" to thermal, "battery_pct" to batteryPct, "charging" to charging, "low_power" to lowPower)
}

data class LoadTimes(val open: Long, val entry: Long, val firstCall: Long) {
    val all: List<Long> get() = listOf(open, entry, firstCall)

    fun toJson(): Map<String, Any?> = mapOf("open" to open, "entry" to entry, "first_call" to firstCall)
}

data class Memory(val beforeBytes: Long, val peakBytes: Long, val basis: String) {
    fun toJson(): Map<String, Any?> = mapOf("before_bytes" to beforeBytes, "peak_bytes" to peakBytes, "basis" to basis)
}

/** One variant of one process. */
data class Result(
    val variant: String,
    val status: String,
    val error: String?,
    val modelSha256: String,
    val engine: Named,
    val requested: String,
    val actual: String?,
    val actualBasis: String,
    val loadNs: LoadTimes?,
    val cache: String,
    val warmupNs: List<Long>,
    val samplesNs: List<Long>,
    val preprocessNs: List<Long>,
    val exits: List<Long>?,
    val stopReason: String?,
    val memory: Memory?,
    val operators: Map<String, Long>?,
    val summary: Map<String, Long?>?,
    val outputDigest: String?,
    val outputBits: List<Long>,
) {
    fun toJson(): Map<String, Any?> = mapOf(
        "variant" to variant,
        "status" to status,
        "error" to error,
        "model_sha256" to modelSha256,
        "engine" to engine.toJson(),
        "requested" to requested,
        "actual" to actual,
        "actual_basis" to actualBasis,
        "load_ns" to loadNs?.toJson(),
        "cache" to cache,
        "warmup_ns" to warmupNs,
        "samples_ns" to samplesNs,
        "preprocess_ns" to preprocessNs,
        "exits" to exits,
        "stop_reason" to stopReason,
        "memory" to memory?.toJson(),
        "operators" to operators,
        "summary" to summary,
        "output_digest" to outputDigest,
        "output_bits" to outputBits,
    )
}

/** What a phone tells of one process of a run: `latency-report/1`. */
data class Report(
    val runId: String,
    val process: Long,
    val complete: Boolean,
    val harness: Named,
    val device: DeviceFacts,
    val env: List<Reading>,
    val results: List<Result>,
) {
    fun toJson(): Map<String, Any?> = mapOf(
        "schema" to ReportReader.SCHEMA,
        "run_id" to runId,
        "process" to process,
        "complete" to complete,
        "harness" to harness.toJson(),
        "device" to device.toJson(),
        "env" to env.map { it.toJson() },
        "results" to results.map { it.toJson() },
    )

    companion object {
        /** @throws ContractException `schema`, `shape`. */
        fun fromJson(document: Any?): Report = ReportReader.report(document)
    }
}

internal object ReportReader {
    const val SCHEMA = "latency-report/1"
    private const val MOST_TEXT = 4000
    private const val MOST_SAMPLES = 10_000
    private const val MOST_READINGS = 20_000
    private const val MOST_RESULTS = 64
    private val SUMMARY = "n min p50 p90 p99 max mean trimmed_mean".split(' ')
    private val UNITS = "cpu gpu npu unknown".split(' ')
    private val RESULT = (
        "variant status error model_sha256 engine requested actual actual_basis load_ns cache warmup_ns samples_ns preprocess_ns exits stop_reason " +
            "memory operators summary output_digest output_bits"
        ).split(' ')

    fun report(document: Any?): Report {
        if (document is Map<*, *> && document["schema"] != SCHEMA) throw ContractException("schema", "this is no latency report")
        val row = Fields(document, "schema run_id process complete harness device env results".split(' '), "the report")
        val device = Fields(row.raw("device"), "platform model soc os debuggable".split(' '), "device")
        return Report(
            bounded(row.text("run_id")),
            row.integer("process"),
            row.flag("complete"),
            named(row.raw("harness")),
            DeviceFacts(
                bounded(device.text("platform")),
                bounded(device.text("model")),
                device.textOrNull("soc")?.let(::bounded),
                bounded(device.text("os")),
                device.flagOrNull("debuggable"),
            ),
            bounded(row.rows("env"), MOST_READINGS).map(::reading),
            bounded(row.rows("results"), MOST_RESULTS).map(::result),
        )
    }

    private fun reading(value: Any?): Reading {
        val row = Fields(value, "t_ns thermal battery_pct charging low_power".split(' '), "a reading")
        return Reading(
            row.integer("t_ns"),
            row.textOrNull("thermal")?.let(::bounded),
            row.integerOrNull("battery_pct"),
            row.flagOrNull("charging"),
            row.flagOrNull("low_power"),
        )
    }

    private fun result(value: Any?): Result {
        val row = Fields(value, RESULT, "a result")
        fun times(key: String) = bounded(row.integers(key), MOST_SAMPLES)
        return Result(
            bounded(row.text("variant")),
            word(row.text("status"), "ok load_failed run_failed invalid"),
            row.textOrNull("error")?.let(::bounded),
            bounded(row.text("model_sha256")),
            named(row.raw("engine")),
            bounded(row.text("requested")),
            row.textOrNull("actual")?.let(::bounded),
            word(row.text("actual_basis"), "plan runtime unknown"),
            if (row.isNull("load_ns")) null else loadTimes(row.raw("load_ns")),
            word(row.text("cache"), "cold warm unknown"),
            times("warmup_ns"),
            times("samples_ns"),
            times("preprocess_ns"),
            if (row.isNull("exits")) null else times("exits"),
            row.textOrNull("stop_reason")?.let { word(it, "count time settled cut") },
            if (row.isNull("memory")) null else memory(row.raw("memory")),
            if (row.isNull("operators")) null else UNITS.associateWith(Fields(row.raw("operators"), UNITS, "operators")::integer),
            if (row.isNull("summary")) null else summary(row.raw("summary")),
            row.textOrNull("output_digest")?.let(::bounded),
            times("output_bits"),
        )
    }

    private fun named(value: Any?): Named {
        val row = Fields(value, listOf("name", "version"), "a name and version")
        return Named(bounded(row.text("name")), row.textOrNull("version")?.let(::bounded))
    }

    private fun loadTimes(value: Any?): LoadTimes {
        val row = Fields(value, listOf("open", "entry", "first_call"), "load_ns")
        return LoadTimes(row.integer("open"), row.integer("entry"), row.integer("first_call"))
    }

    private fun memory(value: Any?): Memory {
        val row = Fields(value, listOf("before_bytes", "peak_bytes", "basis"), "memory")
        return Memory(row.integer("before_bytes"), row.integer("peak_bytes"), bounded(row.text("basis")))
    }

    private fun summary(value: Any?): Map<String, Long?> {
        val row = Fields(value, SUMMARY, "summary")
        return SUMMARY.associateWith { if (it == "p99") row.integerOrNull(it) else row.integer(it) }
    }

    private fun bounded(text: String): String {
        if (text.codePointCount(0, text.length) > MOST_TEXT) throw ContractException("shape", "a text is too long")
        return text
    }

    private fun <T> bounded(values: List<T>, most: Int): List<T> {
        if (values.size > most) throw ContractException("shape", "${values.size} values, at most $most")
        return values
    }

    private fun word(text: String, words: String): String {
        if (text !in words.split(' ')) throw ContractException("shape", "$text is none of $words")
        return text
    }
}
