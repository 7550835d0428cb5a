@_exported import Foundation

public final class UIApplication {
  nonisolated(unsafe) public static let shared = UIApplication()
  public var isIdleTimerDisabled = false
}
public final class UIDevice {
  public enum BatteryState { case unknown, unplugged, charging, full }
  nonisolated(unsafe) public static let current = UIDevice()
  public var isBatteryMonitoringEnabled = false
  public let batteryLevel: Float = -1
  public let batteryState = BatteryState.unknown
  public let systemName = ""
  public let systemVersion = ""
}
extension ProcessInfo {
  public enum ThermalState { case nominal, fair, serious, critical }
  public var thermalState: ThermalState { .nominal }
  public var isLowPowerModeEnabled: Bool { false }
}

// Darwin, which UIKit's Foundation brings.
public let CLOCK_UPTIME_RAW: Int32 = 8
public func clock_gettime_nsec_np(_ clock: Int32) -> UInt64 { 0 }
public typealias mach_msg_type_number_t = UInt32
public typealias natural_t = UInt32
public typealias integer_t = Int32
public typealias task_flavor_t = UInt32
public struct task_vm_info_data_t {
  public var phys_footprint: UInt64 = 0
  public var ledger_phys_footprint_peak: Int64 = 0
  public init() {}
}
public let TASK_VM_INFO: Int32 = 22
public let KERN_SUCCESS: Int32 = 0
public let mach_task_self_: UInt32 = 0
public func task_info(
  _ task: UInt32, _ flavor: task_flavor_t, _ info: UnsafeMutablePointer<integer_t>, _ count: UnsafeMutablePointer<mach_msg_type_number_t>
) -> Int32 { 0 }
