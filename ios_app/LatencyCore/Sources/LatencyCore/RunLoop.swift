import Foundation

/// Carries out one process of a plan: open every model, first call, warm-up, then samples in turn, A B B A.
public final class RunLoop {
  private let plan: Plan
  private let process: Int
  private let folder: URL
  private let engines: [String: Engine]
  private let clock: Clock
  private let state: DeviceState
  private let sink: Sink
  private let harness: Named
  private var env: [Reading] = []

  /// - Parameter folder: where the models lie, by their names in the plan.
  public init(plan: Plan, process: Int, folder: URL, engines: [String: Engine], clock: Clock, state: DeviceState, sink: Sink, harness: Named) {
    self.plan = plan
    self.process = process
    self.folder = folder
    self.engines = engines
    self.clock = clock
    self.state = state
    self.sink = sink
    self.harness = harness
  }

  /// The whole report, which the sink has been given, too.
  @discardableResult
  public func run() throws -> Report {
    waitUntilCool()
    let running = try plan.variants.map { try Running($0, plan, folder, engines[$0.engine], clock, state) }
    for one in running { one.prepare() }
    try sample(running)
    for one in running {
      read()
      one.close()
    }
    read()
    let whole = try report(running, complete: true)
    try sink.write(whole)
    return whole
  }

  private func read() { env.append(state.read(at: clock.nowNs())) }

  private func waitUntilCool() {
    let began = clock.nowNs()
    while true {
      let reading = state.read(at: clock.nowNs())
      let waited = (clock.nowNs() - began) / nanosecondsPerMillisecond
      if Rules.gate(thermal: reading.thermal, limit: plan.maxStart, waitedMs: waited, waitMs: plan.waitMs) != "wait" {
        env.append(reading)  // too hot after all the waiting: it runs, and counts as invalid
        return
      }
      clock.sleep(milliseconds: 1000)
    }
  }

  private func sample(_ running: [Running]) throws {
    var written = env.last?.tNs ?? 0
    for round in 0..<plan.measure.max {
      let order = try Rules.turns(variants: running.count, rounds: 1, process: (process + round) % 2)
      let left = order.map { running[$0] }.filter(\.goesOn)
      if left.isEmpty { return }
      for one in left { one.sample() }
      read()
      if let now = env.last?.tNs, now - written >= keepNs {  // between samples, and rarely: writing is no part of what is timed
        try? sink.write(report(running, complete: false))  // on a full disk the run goes on: at its end there may be room
        written = now
      }
      if plan.cooldownMs > 0 { clock.sleep(milliseconds: plan.cooldownMs) }
    }
  }

  private func report(_ running: [Running], complete: Bool) throws -> Report {
    let worst = Validation.worstThermal(env)
    let hot = worst.flatMap { Rules.rank($0) > Rules.rank(plan.maxStart) ? $0 : nil }
    let results = try running.filter { complete || $0.hasSomething }.map { try $0.result(hot: hot) }
    return Report(runId: plan.runId, process: Int64(process), complete: complete, harness: harness, device: state.facts, env: env, results: results)
  }
}

private let keepNs: Int64 = 5_000_000_000

/// One variant on its way.
private final class Running {
  private let variant: Variant
  private let plan: Plan
  private let folder: URL
  private let engine: Engine?
  private let clock: Clock
  private let state: DeviceState
  private let preprocessing: Preprocessing?
  private let picture: Picture?
  private var session: Session?
  private var model: EarlyExitModel?
  private var inputs: [String: Tensor] = [:]
  private var failure: (status: String, error: String)?
  private var before: Memory?
  private var began: Int64 = 0
  private var exits: [Int64] = []
  private var last: Answer?
  private var found: Result

  init(_ variant: Variant, _ plan: Plan, _ folder: URL, _ engine: Engine?, _ clock: Clock, _ state: DeviceState) throws {
    self.variant = variant
    self.plan = plan
    self.folder = folder
    self.engine = engine
    self.clock = clock
    self.state = state
    preprocessing = variant.picture?.preprocessing
    picture = try variant.picture.map { size in
      let noise = Noise.integers(name: "picture", seed: plan.seed, count: size.width * size.height * 3, dtype: "uint8")
      return try Picture(width: size.width, height: size.height, rgb: noise.map { UInt8($0) })
    }
    found = Result(
      variant: variant.id, status: "ok", modelSHA256: variant.modelSHA256, engine: engine?.about ?? Named(name: variant.engine, version: nil),
      requested: variant.compute)
  }

  var goesOn: Bool { failure == nil && found.stopReason == nil }
  var hasSomething: Bool { failure != nil || !found.samplesNs.isEmpty }

  func prepare() {
    guarded("load_failed") {
      let file = folder.appendingPathComponent(variant.model)
      found.modelSHA256 = try SHA256.of(file)
      try require("sha256", found.modelSHA256 == variant.modelSHA256, "the file here is another")
      guard let engine else { throw ContractError("engine", "\(variant.engine) is not in this app") }
      before = state.memory()
      let (opened, open) = try timed { try engine.open(file, variant) }
      session = opened
      let (_, entry) = try timed { for stage in variant.stages { try opened.load(stage.entry) } }
      for spec in variant.stages.flatMap(\.inputs) where spec.fill != "handed_on" {
        inputs[spec.name] = try Tensor.filled(spec, seed: plan.seed)
      }
      let driver = EarlyExitModel(session: opened, stages: variant.stages, policy: variant.exitPolicy)
      model = driver
      let (answer, first) = try timed { try driver.classify(inputs) }
      last = answer
      found.loadNs = LoadTimes(open: open, entry: entry, firstCall: first)
    }
    guarded("run_failed") {
      while !plan.warmup.isOver(found.warmupNs) { found.warmupNs.append(try classify()) }
    }
  }

  func sample() {
    guarded("run_failed") {
      if found.samplesNs.isEmpty { began = clock.nowNs() }
      if let preprocessing, let picture {
        found.preprocessNs.append(try timed { preprocessing.normalised(try preprocessing.pixels(picture)) }.1)
      }
      found.samplesNs.append(try classify())
      exits.append(Int64(last?.exit ?? 0))
      found.stopReason = plan.measure.reason(found.samplesNs, elapsedNs: clock.nowNs() - began, warmup: plan.warmup)
      if found.stopReason != nil, let before, let after = state.memory() {
        let peak = max(before.beforeBytes, after.peakBytes)
        found.memory = Memory(beforeBytes: before.beforeBytes, peakBytes: peak, basis: after.basis)
      }
    }
  }

  func close() {
    found.actual = session?.actual
    found.actualBasis = session?.basis ?? "unknown"
    found.operators = session?.operators
    session = nil
    model = nil
  }

  func result(hot: String?) throws -> Result {
    var result = found
    if let session { (result.actual, result.actualBasis, result.operators) = (session.actual, session.basis, session.operators) }
    if let failure {
      result.status = failure.status
      result.error = failure.error
      result.samplesNs = []
      result.preprocessNs = []
      result.stopReason = nil
      result.memory = nil
      return result
    }
    if goesOn {
      result.status = "invalid"
      result.error = "the run was cut short: \(found.samplesNs.count) samples of at most \(plan.measure.max)"
      result.stopReason = Validation.cut
    }
    if let hot {
      result.status = "invalid"
      result.error = "the phone got warmer than the plan allows: \(hot)"
    }
    result.exits = variant.exitPolicy == nil ? nil : exits
    result.summary = try Stats.summary(found.samplesNs)
    if let first = last?.outputs.first {
      result.outputDigest = SHA256.of(first.bytes)
      result.outputBits = first.dtype == "float32" ? first.floats.prefix(64).map { Int64($0.bitPattern) } : []
    }
    return result
  }

  private func classify() throws -> Int64 {
    guard let model else { throw ContractError("model", "no model is open") }
    let (answer, time) = try timed { try model.classify(inputs) }
    last = answer
    return time
  }

  private func timed<T>(_ step: () throws -> T) rethrows -> (T, Int64) {
    let start = clock.nowNs()
    let value = try step()
    return (value, max(clock.nowNs() - start, 1))
  }

  private func guarded(_ status: String, _ step: () throws -> Void) {
    if failure != nil { return }
    do {
      try step()
    } catch {
      failure = (status, String("\(error)".prefix(1000)))
    }
  }
}
