package dev.edgekit.latency.core

import java.io.File
import kotlin.system.exitProcess

/** Runs the vectors that Python, Kotlin and Swift share: prints the cases that fail, then "N passed, N failed". */
object Conformance {
    private class Case(val base: Map<*, *>?, val input: Map<*, *>) {
        fun long(key: String) = input[key] as Long

        fun int(key: String) = long(key).toInt()

        fun text(key: String) = input[key] as String

        @Suppress("UNCHECKED_CAST")
        fun longs(key: String) = input[key] as List<Long>

        /** The base with the case's changes made to it. */
        fun changed(): Map<*, *> {
            var whole: Any? = base
            for (change in input["changes"] as List<*>) {
                val row = change as List<*>
                whole = set(whole, row[0] as List<*>, if (row.size > 1) listOf(row[1]) else emptyList<Any?>())
            }
            return whole as Map<*, *>
        }

        private fun set(place: Any?, path: List<*>, value: List<*>): Any? {
            if (path.isEmpty()) return value.single()
            val remove = path.size == 1 && value.isEmpty()
            val key = path.first()
            if (place is Map<*, *>) return if (remove) place - key else place + (key to set(place[key], path.drop(1), value))
            val list = (place as List<*>).toMutableList()
            val at = (key as Long).toInt()
            if (remove) list.removeAt(at) else list[at] = set(list[at], path.drop(1), value)
            return list
        }
    }

    private val kinds: Map<String, (Case) -> Any?> = mapOf(
        "exit_policy" to ::exitPolicy,
        "summary" to { Stats.summary(it.longs("samples")) },
        "percentile" to { mapOf("value" to Stats.percentile(it.longs("samples"), it.long("share"))) },
        "trimmed_mean" to { mapOf("value" to Stats.trimmedMean(it.longs("samples"), it.long("share"))) },
        "warmup" to { mapOf("calls" to warmup(it).calls(it.longs("times")).toLong()) },
        "stop" to ::stop,
        "turns" to { mapOf("turns" to Rules.turns(it.int("variants"), it.int("rounds"), it.int("process")).map(Int::toLong)) },
        "gate" to { mapOf("decision" to Rules.gate(it.input["thermal"] as String?, it.text("limit"), it.long("waited_ms"), it.long("wait_ms"))) },
        "noise" to { mapOf("values" to Noise.integers(it.text("name"), it.int("seed"), it.int("count"), it.text("dtype")).map(Int::toLong)) },
        "confidence" to ::confidence,
        "preprocess" to ::preprocess,
        "canonical" to { mapOf("text" to Json.canonical(Json.parse(it.text("text")))) },
        "plan" to { mapOf("variants" to Plan.fromJson(it.changed()["plan"]).variants.map(Variant::id)) },
        "validate" to ::validate,
    )

    private fun warmup(given: Case) = WarmupPolicy(
        (given.input["min"] as Long).toInt(),
        given.int("max"),
        given.int("window"),
        given.long("rel_permille"),
    )

    private fun stop(given: Case): Any {
        val policy = StopPolicy(given.int("min"), given.int("max"), given.long("min_ms"), given.long("max_ms"), given.text("stop"))
        return mapOf("reason" to policy.reason(given.longs("samples"), given.long("elapsed_ns"), warmup(given)))
    }

    @Suppress("UNCHECKED_CAST")
    private fun exitPolicy(given: Case): Any {
        val rule = given.input["policy"] as Map<*, *>
        val micro = (given.input["confidences_bits"] as List<Long>?)?.map { ExitPolicy.micro(Float.fromBits(it.toInt())) }
            ?: (given.input["confidences_micro"] as List<Long?>?).orEmpty()
        val policy = ExitPolicy(
            rule["kind"] as String,
            (rule["exits"] as Long).toInt(),
            rule["thresholds_micro"] as List<Long?>?,
            rule["patience"] as Long?,
            rule["exit"] as Long?,
        )
        return mapOf("exit" to policy.walk(micro, (given.input["classes"] as List<Long?>?).orEmpty()).toLong())
    }

    private fun confidence(given: Case): Any {
        val logits = given.longs("bits").map { Float.fromBits(it.toInt()) }.toFloatArray()
        val micro = ExitPolicy.micro(Confidence.of(given.text("kind"), logits, given.input["temperature_micro"] as Long?))
        return mapOf("micro" to micro, "class" to Confidence.named(logits))
    }

    private fun preprocess(given: Case): Any {
        val width = given.int("width")
        val height = given.int("height")
        val noise = Noise.integers("picture", given.int("seed"), width * height * 3, "uint8")
        val how = Preprocessing(
            given.int("resolution"),
            given.long("crop_micro"),
            given.text("interpolation"),
            given.longs("mean_micro"),
            given.longs("std_micro"),
        )
        val pixels = how.pixels(Picture(width, height, ByteArray(noise.size) { noise[it].toByte() }))
        return mapOf(
            "pixels_sha256" to Digest.of(pixels.rgb),
            "normalised_sha256" to Digest.of(Tensor.of(how.normalised(pixels), listOf(pixels.rgb.size)).bytes),
            "first" to pixels.rgb.take(6).map { it.toLong() and 0xFF },
        )
    }

    private fun validate(given: Case): Any {
        val whole = given.changed()
        val report = Report.fromJson(whole["report"])
        val plan = Plan.fromJson(whole["plan"])
        Validation.check(report, plan, given.input["partial"] as Boolean)
        check(Json.canonical(report.toJson()) == Json.canonical(whole["report"])) { "a report is not written as it was read" }
        return mapOf("results" to report.results.size.toLong())
    }

    fun run(folder: File): Pair<Int, List<String>> {
        var passed = 0
        val failed = ArrayList<String>()
        for (path in folder.listFiles { file -> file.extension == "json" }.orEmpty().sorted()) {
            val document = Json.parse(path.readText()) as Map<*, *>
            val runner = kinds[document["kind"]].takeIf { document["schema"] == "edgekit-vectors/1" }
            if (runner == null) {
                failed.add("${path.name}: unknown kind ${document["kind"]}")
                continue
            }
            for (case in document["cases"] as List<*>) {
                val row = case as Map<*, *>
                val wanted = row.filterKeys { it == "expect" || it == "error" }
                val found = try {
                    mapOf("expect" to runner(Case(document["base"] as Map<*, *>?, row["input"] as Map<*, *>)))
                } catch (error: ContractException) {
                    mapOf("error" to error.code)
                }
                if (wanted.size == 1 && found == wanted) passed++ else failed.add("${path.name}: ${row["name"]}: $found, wanted $wanted")
            }
        }
        return passed to failed
    }
}

fun main(arguments: Array<String>) {
    val (passed, failed) = Conformance.run(File(arguments.single()))
    failed.forEach(::println)
    println("$passed passed, ${failed.size} failed")
    exitProcess(if (failed.isEmpty() && passed > 0) 0 else 1)
}
