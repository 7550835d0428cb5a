@_exported import Foundation

public final class UIApplication {  // objc: UIApplication
  nonisolated(unsafe) public static let shared = UIApplication()  // objc: UIApplication.sharedApplication
  public var isIdleTimerDisabled = false  // objc: UIApplication.idleTimerDisabled
}
public final class UIDevice {  // objc: UIDevice
  // objc: UIDeviceBatteryState.Unknown, UIDeviceBatteryState.Unplugged, UIDeviceBatteryState.Charging, UIDeviceBatteryState.Full
  public enum BatteryState { case unknown, unplugged, charging, full }
  nonisolated(unsafe) public static let current = UIDevice()  // objc: UIDevice.currentDevice
  public var isBatteryMonitoringEnabled = false  // objc: UIDevice.batteryMonitoringEnabled
  public let batteryLevel: Float = -1  // objc: UIDevice.batteryLevel
  public let batteryState = BatteryState.unknown  // objc: UIDevice.batteryState
  public let systemName = ""  // objc: UIDevice.systemName
  public let systemVersion = ""  // objc: UIDevice.systemVersion
}
extension ProcessInfo {
  // objc: Foundation:NSProcessInfoThermalState.Nominal, .Fair, .Serious, .Critical
  public enum ThermalState { case nominal, fair, serious, critical }
  public var thermalState: ThermalState { .nominal }  // objc: Foundation:NSProcessInfo.thermalState
  public var isLowPowerModeEnabled: Bool { false }  // objc: Foundation:NSProcessInfo.lowPowerModeEnabled
}

// Darwin, which UIKit's Foundation brings.
public let CLOCK_UPTIME_RAW: Int32 = 8  // objc: none: a macro of Darwin
public func clock_gettime_nsec_np(_ clock: Int32) -> UInt64 { 0 }  // objc: _DarwinFoundation2:clock_gettime_nsec_np
public typealias mach_msg_type_number_t = UInt32  // objc: none
public typealias natural_t = UInt32  // objc: none
public typealias integer_t = Int32  // objc: none
public typealias task_flavor_t = UInt32  // objc: none
public struct task_vm_info_data_t {  // objc: none: task_vm_info
  public var phys_footprint: UInt64 = 0  // objc: none
  public var ledger_phys_footprint_peak: Int64 = 0  // objc: none
  public init() {}  // objc: none
}
public let TASK_VM_INFO: Int32 = 22  // objc: none
public let KERN_SUCCESS: Int32 = 0  // objc: none
public let mach_task_self_: UInt32 = 0  // objc: none
public func task_info(  // objc: none: a function of the kernel
  _ task: UInt32, _ flavor: task_flavor_t, _ info: UnsafeMutablePointer<integer_t>, _ count: UnsafeMutablePointer<mach_msg_type_number_t>
) -> Int32 { 0 }
