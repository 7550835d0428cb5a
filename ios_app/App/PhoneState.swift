import Foundation
import LatencyCore
import UIKit

/// The clock that does not stop and is never set: mach_absolute_time in nanoseconds.
struct MonotonicClock: Clock {
  func nowNs() -> Int64 { Int64(clock_gettime_nsec_np(CLOCK_UPTIME_RAW)) }

  func sleep(milliseconds: Int64) { Thread.sleep(forTimeInterval: Double(milliseconds) / 1000) }
}

enum Screen {
  static func keepOn(_ on: Bool) { UIApplication.shared.isIdleTimerDisabled = on }
}

/// What iOS tells of the phone.
struct PhoneState: DeviceState {
  init() { UIDevice.current.isBatteryMonitoringEnabled = true }

  var facts: DeviceFacts {
    #if DEBUG
      let debuggable = true
    #else
      let debuggable = false
    #endif
    return DeviceFacts(
      platform: "ios", model: PhoneState.model, soc: nil, os: "\(UIDevice.current.systemName) \(UIDevice.current.systemVersion)",
      debuggable: debuggable)
  }

  func read(at tNs: Int64) -> Reading {
    let level = UIDevice.current.batteryLevel
    let charge = UIDevice.current.batteryState
    return Reading(
      tNs: tNs, thermal: thermal, batteryPct: level < 0 ? nil : Int64((level * 100).rounded()),
      charging: charge == .unknown ? nil : charge == .charging || charge == .full, lowPower: ProcessInfo.processInfo.isLowPowerModeEnabled)
  }

  private var thermal: String? {
    switch ProcessInfo.processInfo.thermalState {
    case .nominal: return "nominal"
    case .fair: return "fair"
    case .serious: return "serious"
    case .critical: return "critical"
    @unknown default: return nil
    }
  }

  /// The footprint that the system counts against the app, now and at most.
  func memory() -> Memory? {
    var info = task_vm_info_data_t()
    var count = mach_msg_type_number_t(MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<natural_t>.size)
    let status = withUnsafeMutablePointer(to: &info) { pointer in
      pointer.withMemoryRebound(to: integer_t.self, capacity: Int(count)) { task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), $0, &count) }
    }
    guard status == KERN_SUCCESS else { return nil }
    let now = Int64(info.phys_footprint)
    return Memory(beforeBytes: now, peakBytes: max(now, info.ledger_phys_footprint_peak), basis: "footprint")
  }

  private static var model: String {
    var system = utsname()
    uname(&system)
    return withUnsafeBytes(of: &system.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
