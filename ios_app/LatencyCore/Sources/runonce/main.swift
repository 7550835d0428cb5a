import Foundation
import LatencyCore

// Carries out a plan with an engine and a clock that are made up alike in Kotlin and Swift, so that both have to write the same report, byte by byte.
//
//     runonce FOLDER PROCESS    reads FOLDER/plan.json and writes FOLDER/report-PROCESS.json

final class MadeUpClock: Clock {
  private var calls: Int64 = 0
  private var now: Int64 = 0

  func nowNs() -> Int64 {
    calls += 1
    now += 1000 + calls * 37 % 101
    return now
  }

  func sleep(milliseconds: Int64) { now += milliseconds * 1_000_000 }
}

final class MadeUpSession: Session {
  private var calls = 0
  let actual: String? = "cpu"
  let basis = "runtime"
  let operators: [String: Int64]? = nil

  func load(_ entry: String) {}

  func run(_ stage: Stage, _ inputs: [Tensor]) -> [Tensor] {
    calls += 1
    return stage.outputs.map { output in
      var values = (0..<output.elements).map { Float(($0 * 7 + calls) % 11) / 8 }
      if output.name == "confidence" { values[0] = calls % 3 == 0 ? 0.95 : 0.5 }
      return Tensor(values, shape: output.shape)
    }
  }
}

struct MadeUpEngine: Engine {
  let about = Named(name: "made up", version: "1")

  func open(_ model: URL, _ variant: Variant) -> Session { MadeUpSession() }
}

struct MadeUpState: DeviceState {
  let facts = DeviceFacts(platform: "linux", model: "made up", soc: nil, os: "1", debuggable: nil)

  func read(at tNs: Int64) -> Reading { Reading(tNs: tNs, thermal: "nominal", batteryPct: 80, charging: false, lowPower: nil) }

  func memory() -> Memory? { Memory(beforeBytes: 1000, peakBytes: 5000, basis: "made up") }
}

let folder = URL(fileURLWithPath: CommandLine.arguments[1])
let plan = try Plan(json: JSON.parse(String(contentsOf: folder.appendingPathComponent("plan.json"), encoding: .utf8)))
let engine = MadeUpEngine()
let loop = RunLoop(
  plan: plan, process: Int(CommandLine.arguments[2]) ?? 0, folder: folder, engines: ["executorch": engine, "litert": engine, "coreml": engine],
  clock: MadeUpClock(), state: MadeUpState(), sink: FolderSink(folder), harness: Named(name: "made up", version: "1"))
let report = try loop.run()
try Validation.check(report, plan)
print("\(report.results.count) results")
