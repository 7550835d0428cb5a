package dev.edgekit.latency.core

/** A report against its plan: the harness holds its own report to what the host will hold it to. */
object Validation {
    private const val MOST_NS = 1_000_000_000_000L
    private const val MOST_BYTES = 1L shl 50
    private const val EXPONENT = 0x7F800000L

    /** Why sampling ended in a report that was written on the way: more samples were to come. */
    const val CUT = "cut"

    /**
     * @param partial the report may have been written on the way; the results that are there count.
     * @throws ContractException the codes that `edgekit.device.validate` lists, of several the first in its order.
     */
    fun check(report: Report, plan: Plan, partial: Boolean = false) {
        require("run_id", report.runId == plan.runId, report.runId)
        require("process", report.process in 0 until plan.processes, report.process)
        require("incomplete", report.complete || partial, "written on the way")
        checkEnv(report.env, report.complete)
        val variants = plan.variants.associateBy { it.id }
        val named = report.results.map { it.variant }
        require("variant", named.toSet().size == named.size && variants.keys.containsAll(named), named)
        require("missing", partial || named.size == variants.size, named)
        val hottest = worstThermal(report.env)
        for (result in report.results) {
            require("status", !(report.complete && result.stopReason == CUT), result.variant)
            checkResult(result, variants.getValue(result.variant), plan, hottest)
        }
        if (report.complete) {
            val spent = report.results.sumOf { (it.warmupNs + it.samplesNs + it.preprocessNs + it.loadNs?.all.orEmpty()).sum() }
            val passed = report.env.last().tNs - report.env.first().tNs
            require("clock", spent <= passed, "$spent ns in $passed ns")
        }
    }

    /** The hottest state that was read; null: none was. */
    fun worstThermal(env: List<Reading>): String? = env.mapNotNull { it.thermal }.maxByOrNull { THERMAL.indexOf(it) }

    private fun checkEnv(env: List<Reading>, complete: Boolean) {
        require("env", env.size >= if (complete) 2 else 1, env.size)
        for (reading in env) {
            require("env", reading.thermal == null || reading.thermal in THERMAL, reading.thermal)
            require("env", reading.batteryPct == null || reading.batteryPct in 0..100, reading.batteryPct)
        }
        require("clock", env.first().tNs >= 0 && env.zipWithNext().all { (earlier, later) -> later.tNs >= earlier.tNs }, "its clock went backwards")
    }

    private fun checkResult(result: Result, variant: Variant, plan: Plan, hottest: String?) {
        require("sha256", result.modelSha256 == variant.modelSha256, result.modelSha256)
        require("requested", result.requested == variant.compute, result.requested)
        val measured = result.status == "ok" || result.status == "invalid"
        require("status", (result.error == null) == (result.status == "ok"), result.status)
        val there = listOf(result.stopReason != null, result.summary != null, result.samplesNs.isNotEmpty())
        require("status", if (measured) result.loadNs != null && there.all { it } else there.none { it }, result.status)
        require("status", result.stopReason != CUT || result.status == "invalid", result.status)
        if (measured) checkSamples(result, variant, plan)
        val memory = result.memory
        require("memory", memory == null || (memory.beforeBytes in 0..memory.peakBytes && memory.peakBytes <= MOST_BYTES), memory)
        require("operators", result.operators.orEmpty().values.all { it in 0..1_000_000 }, result.operators)
        val finite = result.outputBits.all { it in 0..0xFFFFFFFFL && it and EXPONENT != EXPONENT }
        require("finite", finite, "an output is not a finite number")
        val tooHot = hottest != null && THERMAL.indexOf(hottest) > THERMAL.indexOf(plan.maxStart)
        require("thermal", result.status != "ok" || !tooHot, hottest)
    }

    private fun checkSamples(result: Result, variant: Variant, plan: Plan) {
        val samples = result.samplesNs
        require("warmup", result.warmupNs.size in plan.warmup.min..plan.warmup.max, result.warmupNs.size)
        require("samples", samples.size in (if (result.stopReason == CUT) 1 else plan.measure.min)..plan.measure.max, samples.size)
        require("samples", result.preprocessNs.size == if (variant.picture == null) 0 else samples.size, result.preprocessNs.size)
        val every = result.warmupNs + samples + result.preprocessNs + result.loadNs?.all.orEmpty()
        require("times", every.all { it in 0..MOST_NS } && samples.min() >= 1, "a time is not 1 ns to 1000 s")
        val last = variant.exitPolicy?.exits ?: 0
        require("exits", (result.exits == null) == (last == 0), result.exits)
        require("exits", result.exits == null || (result.exits.size == samples.size && result.exits.all { it in 1..last }), result.exits)
        require("summary", result.summary == Stats.summary(samples), result.summary)
    }
}
