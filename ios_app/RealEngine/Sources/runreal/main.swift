import CLatencyEngine
import Foundation
import LatencyCore

// Carries out a plan on Linux with the real ExecuTorch: the C library of benchmarks/native_runner behind this language's own run loop.
//
//     runreal FOLDER PROCESS    reads FOLDER/plan.json and writes FOLDER/report-PROCESS.json

/// Gives a call room for a sentence and throws it where the call failed.
func asked<T>(_ call: (UnsafeMutablePointer<CChar>, Int) -> T?) throws -> T {
  var error = [CChar](repeating: 0, count: 1000)
  guard let answer = error.withUnsafeMutableBufferPointer({ call($0.baseAddress!, $0.count) }) else {
    throw ContractError("engine", String(cString: error))
  }
  return answer
}

struct NativeEngine: Engine {
  let about = Named(name: "executorch", version: String(cString: latency_version()))

  func open(_ model: URL, _ variant: Variant) throws -> Session {
    NativeSession(try asked { latency_open(model.path, Int64(variant.threads), $0, $1) })
  }
}

final class NativeSession: Session {
  private let handle: OpaquePointer
  let actual: String? = "cpu"
  let basis = "runtime"
  let operators: [String: Int64]? = nil

  init(_ handle: OpaquePointer) { self.handle = handle }

  deinit { latency_close(handle) }

  func load(_ entry: String) throws { try asked { latency_load(handle, entry, $0, $1) == 0 ? () : nil } }

  func run(_ stage: Stage, _ inputs: [Tensor]) throws -> [Tensor] {
    try given(inputs, []) { tensors in
      try asked { latency_run(self.handle, stage.entry, tensors, tensors.count, stage.outputs.count, $0, $1) == 0 ? () : nil }
    }
    return try stage.outputs.enumerated().map { place, spec in
      var size = 0
      guard let bytes = latency_output(handle, place, &size) else { throw ContractError("tensor", "there is no \(spec.name)") }
      return Tensor(dtype: spec.dtype, shape: spec.shape, bytes: Array(UnsafeRawBufferPointer(start: bytes, count: size)))
    }
  }

  /// Calls `body` with the tensors as C has them: one after the other, each within the scope of its pointers.
  private func given(_ left: [Tensor], _ done: [latency_tensor], _ body: ([latency_tensor]) throws -> Void) throws {
    guard let tensor = left.first else { return try body(done) }
    try tensor.dtype.withCString { dtype in
      try tensor.shape.map(Int64.init).withUnsafeBufferPointer { shape in
        try tensor.bytes.withUnsafeBytes { bytes in
          let next = latency_tensor(dtype: dtype, shape: shape.baseAddress, rank: shape.count, bytes: bytes.baseAddress, size: bytes.count)
          try given(Array(left.dropFirst()), done + [next], body)
        }
      }
    }
  }
}

struct SystemClock: Clock {
  func nowNs() -> Int64 { Int64(DispatchTime.now().uptimeNanoseconds) }

  func sleep(milliseconds: Int64) { Thread.sleep(forTimeInterval: Double(milliseconds) / 1000) }
}

struct NothingTold: DeviceState {
  let facts = DeviceFacts(platform: "linux", model: "linux", soc: nil, os: ProcessInfo.processInfo.operatingSystemVersionString, debuggable: nil)

  func read(at tNs: Int64) -> Reading { Reading(tNs: tNs, thermal: nil, batteryPct: nil, charging: nil, lowPower: nil) }

  func memory() -> Memory? { nil }
}

let folder = URL(fileURLWithPath: CommandLine.arguments[1])
let plan = try Plan(json: JSON.parse(String(contentsOf: folder.appendingPathComponent("plan.json"), encoding: .utf8)))
let loop = RunLoop(
  plan: plan, process: Int(CommandLine.arguments[2]) ?? 0, folder: folder, engines: ["executorch": NativeEngine()], clock: SystemClock(),
  state: NothingTold(), sink: FolderSink(folder), harness: Named(name: "LatencyCore", version: "1"))
let report = try loop.run()
try Validation.check(report, plan)
print("\(report.results.count) results")
