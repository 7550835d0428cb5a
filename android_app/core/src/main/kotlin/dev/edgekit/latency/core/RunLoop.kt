package dev.edgekit.latency.core

import java.io.File
import java.security.MessageDigest

/**
 * Carries out one process of a plan: open every model, first call, warm-up, then samples in turn, A B B A.
 *
 * @param folder where the models lie, by their names in the plan.
 */
class RunLoop(
    private val plan: Plan,
    private val process: Int,
    private val folder: File,
    private val engines: Map<String, Engine>,
    private val clock: Clock,
    private val state: DeviceState,
    private val sink: Sink,
    private val harness: Named,
) {
    private val env = ArrayList<Reading>()

    /** The whole report, which the sink has been given, too. */
    fun run(): Report {
        waitUntilCool()
        val running = plan.variants.map(::Running)
        for (one in running) one.prepare()
        sample(running)
        for (one in running) {
            env.add(state.read(clock.nowNs()))
            one.session?.close()
        }
        env.add(state.read(clock.nowNs()))
        return report(running, complete = true).also { sink.write(it) }
    }

    private fun waitUntilCool() {
        val began = clock.nowNs()
        while (true) {
            val reading = state.read(clock.nowNs())
            val waitedMs = (clock.nowNs() - began) / NS_PER_MS
            if (Rules.gate(reading.thermal, plan.maxStart, waitedMs, plan.waitMs) != "wait") {
                env.add(reading) // too hot after all the waiting: it runs, and counts as invalid
                return
            }
            clock.sleepMs(POLL_MS)
        }
    }

    private fun sample(running: List<Running>) {
        var written = env.last().tNs
        for (round in 0 until plan.measure.max) {
            val order = Rules.turns(running.size, 1, (process + round) % 2)
            val left = order.map { running[it] }.filter { it.goesOn }
            if (left.isEmpty()) return
            for (one in left) one.sample()
            env.add(state.read(clock.nowNs()))
            if (env.last().tNs - written >= KEEP_NS) { // between samples, and rarely: writing is no part of what is timed
                runCatching { sink.write(report(running, complete = false)) } // on a full disk the run goes on: at its end there may be room
                written = env.last().tNs
            }
            if (plan.cooldownMs > 0) clock.sleepMs(plan.cooldownMs)
        }
    }

    private fun report(running: List<Running>, complete: Boolean): Report {
        val hot = Validation.worstThermal(env)?.takeIf { THERMAL.indexOf(it) > THERMAL.indexOf(plan.maxStart) }
        val results = running.filter { complete || it.hasSomething }.map { it.result(hot) }
        return Report(plan.runId, process.toLong(), complete, harness, state.facts, env.toList(), results)
    }

    private fun <T> timed(into: MutableList<Long>?, run: () -> T): Pair<T, Long> {
        val start = clock.nowNs()
        val value = run()
        val time = maxOf(clock.nowNs() - start, 1)
        into?.add(time)
        return value to time
    }

    /** One variant on its way. */
    private inner class Running(val variant: Variant) {
        var session: Session? = null
        private var model: EarlyExitModel? = null
        private var failure: Pair<String, String>? = null
        private var load: LoadTimes? = null
        private var before: Memory? = null
        private var after: Memory? = null
        private var began = 0L
        private var stopReason: String? = null
        private var sha256 = variant.modelSha256
        private val warmup = ArrayList<Long>()
        private val samples = ArrayList<Long>()
        private val preprocess = ArrayList<Long>()
        private val exits = ArrayList<Long>()
        private lateinit var inputs: Map<String, Tensor>
        private lateinit var last: Answer
        private val engine = engines[variant.engine]
        private val preprocessing = variant.picture?.preprocessing()
        private val picture = variant.picture?.let { Picture(it.width, it.height, bytes(it.width * it.height * 3)) }

        val goesOn get() = failure == null && stopReason == null
        val hasSomething get() = failure != null || samples.isNotEmpty()

        fun prepare() {
            guarded("load_failed") {
                val file = File(folder, variant.model)
                sha256 = Digest.of(file)
                require("sha256", sha256 == variant.modelSha256, "the file here is another")
                val found = engine ?: throw ContractException("engine", "${variant.engine} is not in this app")
                before = state.memory()
                val (opened, open) = timed(null) { found.open(file, variant) }
                session = opened
                val (_, entry) = timed(null) { for (stage in variant.stages) opened.load(stage.entry) }
                inputs = variant.stages.flatMap { it.inputs }.filter { it.fill != "handed_on" }.associate { it.name to Tensor.filled(it, plan.seed) }
                val driver = EarlyExitModel(opened, variant.stages, variant.exitPolicy)
                model = driver
                val (answer, first) = timed(null) { driver.classify(inputs) }
                last = answer
                load = LoadTimes(open, entry, first)
            }
            guarded("run_failed") {
                while (!plan.warmup.isOver(warmup)) last = timed(warmup) { model!!.classify(inputs) }.first
            }
        }

        fun sample() {
            guarded("run_failed") {
                if (samples.isEmpty()) began = clock.nowNs()
                if (preprocessing != null && picture != null) timed(preprocess) { preprocessing.normalised(preprocessing.pixels(picture)) }
                last = timed(samples) { model!!.classify(inputs) }.first
                exits.add(last.exit.toLong())
                stopReason = plan.measure.reason(samples, clock.nowNs() - began, plan.warmup)
                if (stopReason != null) after = state.memory()
            }
        }

        private fun guarded(status: String, step: () -> Unit) {
            if (failure != null) return
            try {
                step()
            } catch (error: Exception) {
                failure = status to "${error.javaClass.simpleName}: ${error.message}".take(LONGEST_ERROR)
            } catch (error: LinkageError) {
                failure = status to "$error".take(LONGEST_ERROR) // an engine's library for another processor
            } catch (error: OutOfMemoryError) {
                failure = status to "$error".take(LONGEST_ERROR)
            }
        }

        fun result(hot: String?): Result {
            val failed = failure
            val memory = before?.let { first -> after?.let { Memory(first.beforeBytes, maxOf(first.beforeBytes, it.peakBytes), it.basis) } }
            val first = if (failed == null) last.outputs.first() else null
            val cut = "the run was cut short: ${samples.size} samples of at most ${plan.measure.max}".takeIf { goesOn }
            val wrong = hot?.let { "the phone got warmer than the plan allows: $it" } ?: cut
            return Result(
                variant = variant.id,
                status = failed?.first ?: if (wrong == null) "ok" else "invalid",
                error = failed?.second ?: wrong,
                modelSha256 = sha256,
                engine = engine?.about ?: Named(variant.engine, null),
                requested = variant.compute,
                actual = session?.actual,
                actualBasis = session?.basis ?: "unknown",
                loadNs = load,
                cache = "unknown",
                warmupNs = warmup.toList(),
                samplesNs = if (failed == null) samples.toList() else emptyList(),
                preprocessNs = if (failed == null) preprocess.toList() else emptyList(),
                exits = if (failed == null && variant.exitPolicy != null) exits.toList() else null,
                stopReason = if (failed == null) stopReason ?: Validation.CUT else null,
                memory = if (failed == null) memory else null,
                operators = session?.operators,
                summary = if (failed == null) Stats.summary(samples) else null,
                outputDigest = first?.let { Digest.of(it.bytes) },
                outputBits = first?.takeIf { it.dtype == "float32" }?.floats()?.take(BITS).orEmpty().map { it.toRawBits().toLong() and 0xFFFFFFFFL },
            )
        }

        private fun bytes(count: Int): ByteArray {
            val values = Noise.integers("picture", plan.seed, count, "uint8")
            return ByteArray(count) { values[it].toByte() }
        }
    }

    private companion object {
        const val POLL_MS = 1000L
        const val KEEP_NS = 5_000_000_000L
        const val LONGEST_ERROR = 1000
        const val BITS = 64
    }
}

/** Sha256 of files, of folders as edgekit's manifests have it, and of tensors. */
object Digest {
    fun of(file: File): String = if (file.isDirectory) ofFolder(file) else hex(ofFile(file))

    fun of(bytes: java.nio.ByteBuffer): String = hex(sha256().also { it.update(bytes.duplicate().rewind() as java.nio.ByteBuffer) })

    fun of(bytes: ByteArray): String = hex(sha256().also { it.update(bytes) })

    private fun ofFolder(folder: File): String {
        val total = sha256()
        // By the parts of the path: a separator comes before every character.
        val files = folder.walkTopDown().filter { it.isFile }.map { it.relativeTo(folder).invariantSeparatorsPath to it }
        val names = files.sortedBy { it.first.replace('/', '\u0000') }
        for ((name, file) in names) total.update("$name\u0000${file.length()}\u0000${hex(ofFile(file))}\n".encodeToByteArray())
        return hex(total)
    }

    private fun ofFile(file: File): MessageDigest {
        val digest = sha256()
        file.inputStream().use { stream ->
            val part = ByteArray(1 shl 16)
            generateSequence { stream.read(part).takeIf { it >= 0 } }.forEach { digest.update(part, 0, it) }
        }
        return digest
    }

    private fun sha256() = MessageDigest.getInstance("SHA-256")

    private fun hex(digest: MessageDigest) = digest.digest().joinToString("") { "%02x".format(it) }
}
