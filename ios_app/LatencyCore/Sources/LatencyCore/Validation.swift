/// A report against its plan: the harness holds its own report to what the host will hold it to.
public enum Validation {
  private static let mostNs: Int64 = 1_000_000_000_000
  private static let mostBytes: Int64 = 1 << 50
  private static let exponent: Int64 = 0x7F80_0000

  /// Why sampling ended in a report that was written on the way: more samples were to come.
  public static let cut = "cut"

  /// - Parameter partial: the report may have been written on the way; the results that are there count.
  /// - Throws: `ContractError`, the codes that `edgekit.device.validate` lists, of several the first in its order.
  public static func check(_ report: Report, _ plan: Plan, partial: Bool = false) throws {
    try require("run_id", report.runId == plan.runId, report.runId)
    try require("process", (0..<Int64(plan.processes)).contains(report.process), report.process)
    try require("incomplete", report.complete || partial, "written on the way")
    try checkEnv(report.env, complete: report.complete)
    let variants = Dictionary(uniqueKeysWithValues: plan.variants.map { ($0.id, $0) })
    let named = report.results.map(\.variant)
    try require("variant", Set(named).count == named.count && named.allSatisfy { variants[$0] != nil }, named)
    try require("missing", partial || named.count == variants.count, named)
    let hottest = worstThermal(report.env)
    for result in report.results {
      try require("status", !(report.complete && result.stopReason == cut), result.variant)
      if let variant = variants[result.variant] { try checkResult(result, variant, plan, hottest) }
    }
    if report.complete, let first = report.env.first, let last = report.env.last {
      var spent: Int64 = 0
      for result in report.results {
        for times in [result.warmupNs, result.samplesNs, result.preprocessNs, result.loadNs?.all ?? []] { spent += times.reduce(0, +) }
      }
      try require("clock", spent <= last.tNs - first.tNs, "\(spent) ns in \(last.tNs - first.tNs) ns")
    }
  }

  /// The hottest state that was read; nil: none was.
  public static func worstThermal(_ env: [Reading]) -> String? {
    env.compactMap(\.thermal).max { Rules.rank($0) < Rules.rank($1) }
  }

  private static func checkEnv(_ env: [Reading], complete: Bool) throws {
    try require("env", env.count >= (complete ? 2 : 1), env.count)
    for reading in env {
      try require("env", reading.thermal.map(thermalStates.contains) ?? true, reading.thermal)
      try require("env", reading.batteryPct.map { (0...100).contains($0) } ?? true, reading.batteryPct)
    }
    let forwards = zip(env, env.dropFirst()).allSatisfy { $1.tNs >= $0.tNs }
    try require("clock", env[0].tNs >= 0 && forwards, "its clock went backwards")
  }

  private static func checkResult(_ result: Result, _ variant: Variant, _ plan: Plan, _ hottest: String?) throws {
    try require("sha256", result.modelSHA256 == variant.modelSHA256, result.modelSHA256)
    try require("requested", result.requested == variant.compute, result.requested)
    let measured = result.status == "ok" || result.status == "invalid"
    try require("status", (result.error == nil) == (result.status == "ok"), result.status)
    let there = [result.stopReason != nil, result.summary != nil, !result.samplesNs.isEmpty]
    try require("status", measured ? result.loadNs != nil && !there.contains(false) : !there.contains(true), result.status)
    try require("status", result.stopReason != cut || result.status == "invalid", result.status)
    if measured { try checkSamples(result, variant, plan) }
    if let memory = result.memory {
      try require("memory", 0 <= memory.beforeBytes && memory.beforeBytes <= memory.peakBytes && memory.peakBytes <= mostBytes, memory)
    }
    try require("operators", (result.operators ?? [:]).values.allSatisfy { (0...1_000_000).contains($0) }, result.operators)
    let finite = result.outputBits.allSatisfy { (0...0xFFFF_FFFF).contains($0) && $0 & exponent != exponent }
    try require("finite", finite, "an output is not a finite number")
    let tooHot = hottest.map { Rules.rank($0) > Rules.rank(plan.maxStart) } ?? false
    try require("thermal", result.status != "ok" || !tooHot, hottest)
  }

  private static func checkSamples(_ result: Result, _ variant: Variant, _ plan: Plan) throws {
    let samples = result.samplesNs
    try require("warmup", (plan.warmup.min...plan.warmup.max).contains(result.warmupNs.count), result.warmupNs.count)
    try require("samples", ((result.stopReason == cut ? 1 : plan.measure.min)...plan.measure.max).contains(samples.count), samples.count)
    try require("samples", result.preprocessNs.count == (variant.picture == nil ? 0 : samples.count), result.preprocessNs.count)
    for times in [result.warmupNs, samples, result.preprocessNs, result.loadNs?.all ?? []] {
      try require("times", times.allSatisfy { (0...mostNs).contains($0) }, "a time is not 1 ns to 1000 s")
    }
    try require("times", !samples.contains { $0 < 1 }, "a sample took no time")
    let last = Int64(variant.exitPolicy?.exits ?? 0)
    try require("exits", (result.exits == nil) == (last == 0), result.exits)
    if let exits = result.exits {
      try require("exits", exits.count == samples.count && exits.allSatisfy { 1 <= $0 && $0 <= last }, exits)
    }
    try require("summary", result.summary == (try Stats.summary(samples)), result.summary)
  }
}
