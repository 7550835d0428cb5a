import LatencyCore
import SwiftUI

/// Runs one process of a plan and writes its report beside the plan. `edgekit device run` starts it with the run's id and the process's number in its
/// environment; a person who opens it runs the newest plan that was sent.
@main
struct EdgekitLatencyApp: App {
  @StateObject private var runner = Runner()

  var body: some Scene {
    WindowGroup {
      VStack(alignment: .leading, spacing: 16) {
        Button("Run the newest plan") { runner.runNewest() }.disabled(runner.isRunning)
        ScrollView { Text(runner.told).font(.body.monospaced()) }
      }
      .padding()
      .onAppear { runner.runRequested() }
    }
  }
}

/// Runs plans off the main thread and tells what came of them; its members are touched on the main thread only.
final class Runner: ObservableObject, @unchecked Sendable {
  @Published private(set) var told = "Nothing has run yet."
  @Published private(set) var isRunning = false
  private let documents = FileManager.default.urls(for: .documentDirectory, in: .userDomainMask)[0]

  /// Runs what the computer asked for when it started the app, once.
  func runRequested() {
    let environment = ProcessInfo.processInfo.environment
    guard !isRunning, let run = environment["EDGEKIT_RUN"], run.count == 32, run.allSatisfy({ $0.isHexDigit }) else { return }
    start(documents.appendingPathComponent(run), process: Int(environment["EDGEKIT_PROCESS"] ?? "0") ?? 0)
  }

  func runNewest() {
    let keys: Set<URLResourceKey> = [.contentModificationDateKey]
    let folders = (try? FileManager.default.contentsOfDirectory(at: documents, includingPropertiesForKeys: Array(keys))) ?? []
    let plans = folders.filter { FileManager.default.fileExists(atPath: $0.appendingPathComponent("plan.json").path) }
    func date(_ url: URL) -> Date { (try? url.resourceValues(forKeys: keys).contentModificationDate) ?? .distantPast }
    guard let newest = plans.max(by: { date($0) < date($1) }) else {
      told = "No plan was sent. On the computer: edgekit device run --platform ios"
      return
    }
    start(newest, process: 0)
  }

  private func start(_ folder: URL, process: Int) {
    isRunning = true
    told = "running"
    Screen.keepOn(true)
    Thread.detachNewThread { [weak self] in
      let words: String
      do {
        words = Runner.told(try Runner.run(folder, process))
      } catch {
        words = "The run ended: \(error)"
      }
      let runner = self
      DispatchQueue.main.async { runner?.finish(words) }
    }
  }

  private func finish(_ words: String) {
    told = words
    isRunning = false
    Screen.keepOn(false)
  }

  private static func run(_ folder: URL, _ process: Int) throws -> Report {
    let plan = try Plan(json: JSON.parse(String(contentsOf: folder.appendingPathComponent("plan.json"), encoding: .utf8)))
    var engines: [String: Engine] = ["coreml": CoreMLEngine()]
    #if canImport(ExecuTorch)
      engines["executorch"] = ExecuTorchEngine()
    #endif
    #if canImport(TensorFlowLite)
      engines["litert"] = LiteRTEngine()
    #endif
    #if canImport(CoreAI)
      if #available(iOS 27, *) { engines["coreai"] = CoreAIEngine() }
    #endif
    let harness = Named(name: "dev.edgekit.latency", version: Bundle.main.infoDictionary?["CFBundleShortVersionString"] as? String)
    let loop = RunLoop(
      plan: plan, process: process, folder: folder, engines: engines, clock: MonotonicClock(), state: PhoneState(), sink: FolderSink(folder),
      harness: harness)
    return try loop.run()
  }

  private static func told(_ report: Report) -> String {
    report.results.map { result in
      let median = (result.summary?["p50"] ?? nil).map { String(format: "%.2f ms, median of %d", Double($0) / 1e6, result.samplesNs.count) }
      return "\(result.variant)\n\(result.actual ?? result.requested + "?"): \(median ?? result.error ?? "")"
    }.joined(separator: "\n\n")
  }
}
