/// A name and a version: of an engine, of the harness.
public struct Named: Equatable, Sendable {
  public let name: String
  public let version: String?

  public init(name: String, version: String?) {
    self.name = name
    self.version = version
  }

  var json: JSON { .object(["name": JSON.text(name), "version": JSON.string(version)]) }
}

/// The phone, in its own words.
public struct DeviceFacts: Equatable, Sendable {
  public let platform: String
  public let model: String
  public let soc: String?
  public let os: String
  public let debuggable: Bool?

  public init(platform: String, model: String, soc: String?, os: String, debuggable: Bool?) {
    self.platform = platform
    self.model = model
    self.soc = soc
    self.os = os
    self.debuggable = debuggable
  }

  var json: JSON {
    .object([
      "platform": JSON.text(platform), "model": JSON.text(model), "soc": JSON.string(soc), "os": JSON.text(os),
      "debuggable": JSON.boolean(debuggable),
    ])
  }
}

/// The phone's state at `tNs` of the monotonic clock; nil: not told.
public struct Reading: Equatable, Sendable {
  public let tNs: Int64
  public let thermal: String?
  public let batteryPct: Int64?
  public let charging: Bool?
  public let lowPower: Bool?

  public init(tNs: Int64, thermal: String?, batteryPct: Int64?, charging: Bool?, lowPower: Bool?) {
    self.tNs = tNs
    self.thermal = thermal
    self.batteryPct = batteryPct
    self.charging = charging
    self.lowPower = lowPower
  }

  var json: JSON {
    .object([
      "t_ns": JSON.integer(tNs), "thermal": JSON.string(thermal), "battery_pct": JSON.number(batteryPct), "charging": JSON.boolean(charging),
      "low_power": JSON.boolean(lowPower),
    ])
  }
}

/// Nanoseconds to open the file, to prepare its methods, and of the first call of all stages.
public struct LoadTimes: Equatable, Sendable {
  public let open: Int64
  public let entry: Int64
  public let firstCall: Int64

  var all: [Int64] { [open, entry, firstCall] }
  var json: JSON { .object(["open": JSON.integer(open), "entry": JSON.integer(entry), "first_call": JSON.integer(firstCall)]) }
}

/// Bytes before a model was opened and at most; `basis` says of what.
public struct Memory: Equatable, Sendable {
  public let beforeBytes: Int64
  public let peakBytes: Int64
  public let basis: String

  public init(beforeBytes: Int64, peakBytes: Int64, basis: String) {
    self.beforeBytes = beforeBytes
    self.peakBytes = peakBytes
    self.basis = basis
  }

  var json: JSON { .object(["before_bytes": JSON.integer(beforeBytes), "peak_bytes": JSON.integer(peakBytes), "basis": JSON.text(basis)]) }
}

/// One variant of one process.
public struct Result: Equatable, Sendable {
  public var variant: String
  public var status: String
  public var error: String?
  public var modelSHA256: String
  public var engine: Named
  public var requested: String
  public var actual: String?
  public var actualBasis = "unknown"
  public var loadNs: LoadTimes?
  public var cache = "unknown"
  public var warmupNs: [Int64] = []
  public var samplesNs: [Int64] = []
  public var preprocessNs: [Int64] = []
  public var exits: [Int64]?
  public var stopReason: String?
  public var memory: Memory?
  public var operators: [String: Int64]?
  public var summary: [String: Int64?]?
  public var outputDigest: String?
  public var outputBits: [Int64] = []

  var json: JSON {
    var members: [String: JSON] = [:]
    members["variant"] = JSON.text(variant)
    members["status"] = JSON.text(status)
    members["error"] = JSON.string(error)
    members["model_sha256"] = JSON.text(modelSHA256)
    members["engine"] = engine.json
    members["requested"] = JSON.text(requested)
    members["actual"] = JSON.string(actual)
    members["actual_basis"] = JSON.text(actualBasis)
    members["load_ns"] = loadNs?.json ?? JSON.null
    members["cache"] = JSON.text(cache)
    members["warmup_ns"] = JSON.numbers(warmupNs)
    members["samples_ns"] = JSON.numbers(samplesNs)
    members["preprocess_ns"] = JSON.numbers(preprocessNs)
    members["exits"] = JSON.numbers(exits)
    members["stop_reason"] = JSON.string(stopReason)
    members["memory"] = memory?.json ?? JSON.null
    members["operators"] = operators.map { JSON.object($0.mapValues { JSON.integer($0) }) } ?? JSON.null
    members["summary"] = summary.map { JSON.object($0.mapValues { JSON.number($0) }) } ?? JSON.null
    members["output_digest"] = JSON.string(outputDigest)
    members["output_bits"] = JSON.numbers(outputBits)
    return .object(members)
  }
}

/// What a phone tells of one process of a run: `latency-report/1`.
public struct Report: Equatable, Sendable {
  public var runId: String
  public var process: Int64
  public var complete: Bool
  public var harness: Named
  public var device: DeviceFacts
  public var env: [Reading]
  public var results: [Result]

  static let schema = "latency-report/1"

  public var json: JSON {
    var members: [String: JSON] = [:]
    members["schema"] = JSON.text(Report.schema)
    members["run_id"] = JSON.text(runId)
    members["process"] = JSON.integer(process)
    members["complete"] = JSON.flag(complete)
    members["harness"] = harness.json
    members["device"] = device.json
    members["env"] = JSON.list(env.map(\.json))
    members["results"] = JSON.list(results.map(\.json))
    return .object(members)
  }
}

extension Report {
  private static let resultKeys = [
    "variant", "status", "error", "model_sha256", "engine", "requested", "actual", "actual_basis", "load_ns", "cache", "warmup_ns", "samples_ns",
    "preprocess_ns", "exits", "stop_reason", "memory", "operators", "summary", "output_digest", "output_bits",
  ]

  /// - Throws: `ContractError` `schema`, `shape`.
  public init(json document: JSON) throws {
    if case .object(let members) = document, members["schema"] != .text(Report.schema) {
      throw ContractError("schema", "this is no latency report")
    }
    let keys = ["schema", "run_id", "process", "complete", "harness", "device", "env", "results"]
    let row = try Fields(document, keys, "the report")
    let device = try Fields(row.raw("device"), ["platform", "model", "soc", "os", "debuggable"], "device")
    runId = try bounded(row.text("run_id"))
    process = try row.integer("process")
    complete = try row.flag("complete")
    harness = try Report.named(row.raw("harness"))
    let soc = try device.textOrNil("soc").map { try bounded($0) }
    let (platform, model, os) = (try bounded(device.text("platform")), try bounded(device.text("model")), try bounded(device.text("os")))
    self.device = DeviceFacts(platform: platform, model: model, soc: soc, os: os, debuggable: try device.flagOrNil("debuggable"))
    env = try bounded(row.rows("env"), 20_000).map { try Report.reading($0) }
    results = try bounded(row.rows("results"), 64).map { try Report.result($0) }
  }

  private static func reading(_ value: JSON) throws -> Reading {
    let row = try Fields(value, ["t_ns", "thermal", "battery_pct", "charging", "low_power"], "a reading")
    return Reading(
      tNs: try row.integer("t_ns"), thermal: try row.textOrNil("thermal").map { try bounded($0) }, batteryPct: try row.integerOrNil("battery_pct"),
      charging: try row.flagOrNil("charging"), lowPower: try row.flagOrNil("low_power"))
  }

  private static func result(_ value: JSON) throws -> Result {
    let row = try Fields(value, resultKeys, "a result")
    var found = Result(
      variant: try bounded(row.text("variant")), status: try word(row.text("status"), ["ok", "load_failed", "run_failed", "invalid"]),
      modelSHA256: try bounded(row.text("model_sha256")), engine: try named(row.raw("engine")), requested: try bounded(row.text("requested")))
    found.error = try row.textOrNil("error").map { try bounded($0) }
    found.actual = try row.textOrNil("actual").map { try bounded($0) }
    found.actualBasis = try word(row.text("actual_basis"), ["plan", "runtime", "unknown"])
    found.loadNs = try row.isNull("load_ns") ? nil : loadTimes(row.raw("load_ns"))
    found.cache = try word(row.text("cache"), ["cold", "warm", "unknown"])
    found.warmupNs = try bounded(row.integers("warmup_ns"), 10_000)
    found.samplesNs = try bounded(row.integers("samples_ns"), 10_000)
    found.preprocessNs = try bounded(row.integers("preprocess_ns"), 10_000)
    found.exits = try row.integersOrNil("exits").map { try bounded($0, 10_000) }
    found.stopReason = try row.textOrNil("stop_reason").map { try word($0, ["count", "time", "settled", "cut"]) }
    found.memory = try row.isNull("memory") ? nil : memory(row.raw("memory"))
    found.operators = try row.isNull("operators") ? nil : operators(row.raw("operators"))
    found.summary = try row.isNull("summary") ? nil : summary(row.raw("summary"))
    found.outputDigest = try row.textOrNil("output_digest").map { try bounded($0) }
    found.outputBits = try bounded(row.integers("output_bits"), 10_000)
    return found
  }

  private static func named(_ value: JSON) throws -> Named {
    let row = try Fields(value, ["name", "version"], "a name and version")
    return Named(name: try bounded(row.text("name")), version: try row.textOrNil("version").map { try bounded($0) })
  }

  private static func loadTimes(_ value: JSON) throws -> LoadTimes {
    let row = try Fields(value, ["open", "entry", "first_call"], "load_ns")
    return LoadTimes(open: try row.integer("open"), entry: try row.integer("entry"), firstCall: try row.integer("first_call"))
  }

  private static func memory(_ value: JSON) throws -> Memory {
    let row = try Fields(value, ["before_bytes", "peak_bytes", "basis"], "memory")
    return Memory(beforeBytes: try row.integer("before_bytes"), peakBytes: try row.integer("peak_bytes"), basis: try bounded(row.text("basis")))
  }

  private static func operators(_ value: JSON) throws -> [String: Int64] {
    let units = ["cpu", "gpu", "npu", "unknown"]
    let row = try Fields(value, units, "operators")
    var found: [String: Int64] = [:]
    for unit in units { found[unit] = try row.integer(unit) }
    return found
  }

  private static func summary(_ value: JSON) throws -> [String: Int64?] {
    let names = ["n", "min", "p50", "p90", "p99", "max", "mean", "trimmed_mean"]
    let row = try Fields(value, names, "summary")
    var found: [String: Int64?] = [:]
    for name in names {
      let value: Int64? = name == "p99" ? try row.integerOrNil(name) : try row.integer(name)
      found.updateValue(value, forKey: name)
    }
    return found
  }
}

private func bounded(_ text: String) throws -> String {
  guard text.unicodeScalars.count <= 4000 else { throw ContractError("shape", "a text is too long") }
  return text
}

private func bounded<T>(_ values: [T], _ most: Int) throws -> [T] {
  guard values.count <= most else { throw ContractError("shape", "\(values.count) values, at most \(most)") }
  return values
}

private func word(_ text: String, _ words: [String]) throws -> String {
  guard words.contains(text) else { throw ContractError("shape", "\(text.prefix(40)) is none of \(words)") }
  return text
}
