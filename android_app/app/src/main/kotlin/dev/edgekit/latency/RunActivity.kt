package dev.edgekit.latency

import android.app.Activity
import android.os.Bundle
import android.view.WindowManager
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView
import dev.edgekit.latency.core.Json
import dev.edgekit.latency.core.Named
import dev.edgekit.latency.core.Plan
import dev.edgekit.latency.core.Report
import dev.edgekit.latency.core.RunLoop
import java.io.File
import kotlin.concurrent.thread

/**
 * Runs one process of a plan and writes its report beside the plan. `edgekit device run` starts it with the run's id and the process's number; a
 * person who opens it runs the newest plan that was sent.
 */
class RunActivity : Activity() {
    private lateinit var text: TextView

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        text = TextView(this)
        val button = Button(this)
        button.text = "Run the newest plan"
        button.setOnClickListener { newest()?.let { folder -> start(folder, 0) } ?: say("No plan was sent. On the computer: edgekit device run") }
        val column = LinearLayout(this)
        column.orientation = LinearLayout.VERTICAL
        column.addView(button)
        column.addView(text)
        setContentView(column)
        val run = intent.getStringExtra("run")
        if (run != null && Regex("[0-9a-f]{32}").matches(run)) start(File(filesDir, run), intent.getIntExtra("process", 0))
    }

    private fun newest(): File? = filesDir.listFiles { file -> File(file, PLAN).isFile }.orEmpty().maxByOrNull { it.lastModified() }

    private fun start(folder: File, process: Int) {
        say("running")
        thread(name = "run") {
            say(
                try {
                    told(run(folder, process))
                } catch (error: Exception) {
                    "The run ended: ${error.message}"
                },
            )
        }
    }

    private fun run(folder: File, process: Int): Report {
        val plan = Plan.fromJson(Json.parse(File(folder, PLAN).readText()))
        val engines = mapOf("executorch" to ExecuTorchEngine(), "litert" to LiteRtEngine())
        val version = packageManager.getPackageInfo(packageName, 0).versionName
        return RunLoop(plan, process, folder, engines, MonotonicClock, AndroidState(this), FolderSink(folder), Named(packageName, version)).run()
    }

    private fun told(report: Report): String = report.results.joinToString("\n\n") { result ->
        val median = result.summary?.get("p50")?.let { "%.2f ms, median of %d".format(it / 1e6, result.samplesNs.size) }
        "${result.variant}\n${result.actual ?: "${result.requested}?"}: ${median ?: result.error}"
    }

    private fun say(words: String) = runOnUiThread { text.text = words }

    private companion object {
        const val PLAN = "plan.json"
    }
}
