package dev.edgekit.latency

import android.content.Context
import android.content.pm.ApplicationInfo
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import dev.edgekit.latency.core.Clock
import dev.edgekit.latency.core.DeviceFacts
import dev.edgekit.latency.core.DeviceState
import dev.edgekit.latency.core.Json
import dev.edgekit.latency.core.Memory
import dev.edgekit.latency.core.Reading
import dev.edgekit.latency.core.Report
import dev.edgekit.latency.core.Sink
import dev.edgekit.latency.core.THERMAL
import java.io.File
import java.io.FileOutputStream

/** CLOCK_MONOTONIC. */
object MonotonicClock : Clock {
    override fun nowNs(): Long = System.nanoTime()

    override fun sleepMs(milliseconds: Long) = Thread.sleep(milliseconds)
}

/** Writes beside the plan: a hidden file first, synced, then renamed, so that a reader never sees half of a report. */
class FolderSink(private val folder: File) : Sink {
    override fun write(report: Report) {
        val name = "${if (report.complete) "report" else "partial"}-${report.process}.json"
        val staged = File(folder, ".$name")
        FileOutputStream(staged).use { stream ->
            stream.write((Json.canonical(report.toJson()) + "\n").encodeToByteArray())
            stream.fd.sync()
        }
        check(staged.renameTo(File(folder, name))) { "cannot write $name" }
    }
}

/** What Android tells of the phone; the thermal status from Android 10 on. */
class AndroidState(private val context: Context) : DeviceState {
    private val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager
    private val battery = context.getSystemService(Context.BATTERY_SERVICE) as BatteryManager

    override val facts = DeviceFacts(
        platform = "android",
        model = "${Build.MANUFACTURER} ${Build.MODEL}",
        soc = if (Build.VERSION.SDK_INT >= 31) "${Build.SOC_MANUFACTURER} ${Build.SOC_MODEL}" else null,
        os = "${Build.VERSION.RELEASE} (${Build.VERSION.SDK_INT})",
        debuggable = context.applicationInfo.flags and ApplicationInfo.FLAG_DEBUGGABLE != 0,
    )

    override fun read(tNs: Long): Reading {
        val level = battery.getIntProperty(BatteryManager.BATTERY_PROPERTY_CAPACITY)
        return Reading(tNs, thermal(), level.toLong().takeIf { it in 0..100 }, battery.isCharging, power.isPowerSaveMode)
    }

    private fun thermal(): String? {
        if (Build.VERSION.SDK_INT < 29) return null
        return THERMAL[STATE_OF[power.currentThermalStatus.coerceIn(STATE_OF.indices)]]
    }

    /** The kernel's own count of what is resident, now and at most. */
    override fun memory(): Memory? {
        val rows = File("/proc/self/status").readLines().map { it.split(Regex("\\s+")) }
        fun bytes(name: String) = rows.firstOrNull { it.first() == name }?.get(1)?.toLongOrNull()?.times(1024)
        return Memory(bytes("VmRSS:") ?: return null, bytes("VmHWM:") ?: return null, "rss")
    }

    private companion object {
        /** THERMAL_STATUS_NONE, LIGHT, MODERATE, SEVERE, CRITICAL, EMERGENCY, SHUTDOWN. */
        val STATE_OF = intArrayOf(0, 1, 2, 2, 3, 3, 3)
    }
}
