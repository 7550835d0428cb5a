import Foundation
import LatencyCore

// Runs the vectors that Python, Kotlin and Swift share: prints the cases that fail, then "N passed, N failed".

struct Case {
  let base: JSON
  let input: JSON

  func integer(_ key: String) -> Int64 {
    guard case .integer(let value) = input[key] else { fatalError("\(key) is no integer") }
    return value
  }

  func int(_ key: String) -> Int { Int(integer(key)) }

  func text(_ key: String) -> String {
    guard case .text(let value) = input[key] else { fatalError("\(key) is no text") }
    return value
  }

  func integers(_ key: String) -> [Int64] { optionals(input[key])?.compactMap { $0 } ?? [] }

  /// The base with the case's changes made to it.
  func changed() -> JSON {
    list(input["changes"]).reduce(base) { whole, change in
      let row = list(change)
      return Case.set(whole, list(row[0])[...], row.count > 1 ? row[1] : nil)
    }
  }

  private static func set(_ place: JSON, _ path: ArraySlice<JSON>, _ value: JSON?) -> JSON {
    guard let key = path.first else { return value ?? .null }
    let remove = path.count == 1 && value == nil
    switch (place, key) {
    case (.object(var members), .text(let name)):
      members[name] = remove ? nil : set(members[name] ?? .null, path.dropFirst(), value)
      return .object(members)
    case (.list(var values), .integer(let number)):
      if remove { values.remove(at: Int(number)) } else { values[Int(number)] = set(values[Int(number)], path.dropFirst(), value) }
      return .list(values)
    default: fatalError("no such path")
    }
  }
}

func list(_ value: JSON) -> [JSON] {
  if case .list(let values) = value { return values }
  return []
}

func number(_ value: JSON) -> Int64? {
  if case .integer(let found) = value { return found }
  return nil
}

func string(_ value: JSON) -> String? {
  if case .text(let found) = value { return found }
  return nil
}

func optionals(_ value: JSON) -> [Int64?]? {
  if case .list(let values) = value { return values.map(number) }
  return nil
}

func warmup(_ given: Case) -> WarmupPolicy {
  WarmupPolicy(min: given.int("min"), max: given.int("max"), window: given.int("window"), relPermille: given.integer("rel_permille"))
}

func float(_ bits: Int64) -> Float { Float(bitPattern: UInt32(truncatingIfNeeded: bits)) }

func exitPolicy(_ given: Case) throws -> JSON {
  let rule = given.input["policy"]
  let bits = optionals(given.input["confidences_bits"])
  let micro = bits?.map { ExitPolicy.micro(float($0 ?? 0)) } ?? optionals(given.input["confidences_micro"]) ?? []
  let policy = try ExitPolicy(
    kind: string(rule["kind"]) ?? "", exits: Int(number(rule["exits"]) ?? 0), thresholdsMicro: optionals(rule["thresholds_micro"]),
    patience: number(rule["patience"]), exit: number(rule["exit"]))
  return .object(["exit": .integer(Int64(try policy.walk(micro, optionals(given.input["classes"]) ?? [])))])
}

func stop(_ given: Case) -> JSON {
  let policy = StopPolicy(
    min: given.int("min"), max: given.int("max"), minMs: given.integer("min_ms"), maxMs: given.integer("max_ms"), stop: given.text("stop"))
  let reason = policy.reason(given.integers("samples"), elapsedNs: given.integer("elapsed_ns"), warmup: warmup(given))
  return .object(["reason": JSON.string(reason)])
}

func confidence(_ given: Case) -> JSON {
  let logits = given.integers("bits").map(float)
  let sure = Confidence.of(given.text("kind"), logits, temperatureMicro: number(given.input["temperature_micro"]))
  return .object(["micro": JSON.number(ExitPolicy.micro(sure)), "class": JSON.number(Confidence.named(logits))])
}

func preprocess(_ given: Case) throws -> JSON {
  let (width, height) = (given.int("width"), given.int("height"))
  let noise = Noise.integers(name: "picture", seed: given.int("seed"), count: width * height * 3, dtype: "uint8")
  let how = Preprocessing(
    resolution: given.int("resolution"), cropMicro: given.integer("crop_micro"), interpolation: given.text("interpolation"),
    meanMicro: given.integers("mean_micro"), stdMicro: given.integers("std_micro"))
  let pixels = try how.pixels(Picture(width: width, height: height, rgb: noise.map { UInt8($0) }))
  let normal = Tensor(how.normalised(pixels), shape: [pixels.rgb.count])
  return .object([
    "pixels_sha256": .text(SHA256.of(pixels.rgb)), "normalised_sha256": .text(SHA256.of(normal.bytes)),
    "first": JSON.numbers(pixels.rgb.prefix(6).map { Int64($0) }),
  ])
}

func validate(_ given: Case) throws -> JSON {
  let whole = given.changed()
  let report = try Report(json: whole["report"])
  let plan = try Plan(json: whole["plan"])
  try Validation.check(report, plan, partial: given.input["partial"] == .flag(true))
  guard report.json == whole["report"] else { fatalError("a report is not written as it was read") }
  return .object(["results": .integer(Int64(report.results.count))])
}

func value(_ kind: String, _ given: Case) throws -> JSON? {
  switch kind {
  case "exit_policy": return try exitPolicy(given)
  case "summary": return .object(try Stats.summary(given.integers("samples")).mapValues { JSON.number($0) })
  case "percentile": return .object(["value": .integer(try Stats.percentile(given.integers("samples"), given.integer("share")))])
  case "trimmed_mean": return .object(["value": .integer(try Stats.trimmedMean(given.integers("samples"), given.integer("share")))])
  case "warmup": return .object(["calls": .integer(Int64(try warmup(given).calls(given.integers("times"))))])
  case "stop": return stop(given)
  case "turns":
    let order = try Rules.turns(variants: given.int("variants"), rounds: given.int("rounds"), process: given.int("process"))
    return .object(["turns": JSON.numbers(order.map { Int64($0) })])
  case "gate":
    let (waited, all) = (given.integer("waited_ms"), given.integer("wait_ms"))
    let decision = Rules.gate(thermal: string(given.input["thermal"]), limit: given.text("limit"), waitedMs: waited, waitMs: all)
    return .object(["decision": .text(decision)])
  case "noise":
    let values = Noise.integers(name: given.text("name"), seed: given.int("seed"), count: given.int("count"), dtype: given.text("dtype"))
    return .object(["values": JSON.numbers(values.map { Int64($0) })])
  case "confidence": return confidence(given)
  case "preprocess": return try preprocess(given)
  case "canonical": return .object(["text": .text(try JSON.parse(given.text("text")).canonical)])
  case "plan": return .object(["variants": .list(try Plan(json: given.changed()["plan"]).variants.map { .text($0.id) })])
  case "validate": return try validate(given)
  default: return nil
  }
}

var passed = 0
var failed: [String] = []
let folder = URL(fileURLWithPath: CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : ".")
let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".json") }.sorted()
for name in names {
  let document = try JSON.parse(String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8))
  let kind = document["schema"] == .text("edgekit-vectors/1") ? string(document["kind"]) ?? "" : ""
  for row in list(document["cases"]) {
    var found: JSON
    do {
      guard let answer = try value(kind, Case(base: document["base"], input: row["input"])) else {
        failed.append("\(name): unknown kind")
        break
      }
      found = .object(["expect": answer])
    } catch let error as ContractError {
      found = .object(["error": .text(error.code)])
    }
    var wanted: [String: JSON] = [:]
    if case .object(let members) = row { wanted = members.filter { $0.key == "expect" || $0.key == "error" } }
    if wanted.count == 1, found == .object(wanted) {
      passed += 1
    } else {
      failed.append("\(name): \(string(row["name"]) ?? ""): \(found.canonical), wanted \(JSON.object(wanted).canonical)")
    }
  }
}
for line in failed { print(line) }
print("\(passed) passed, \(failed.count) failed")
exit(failed.isEmpty && passed > 0 ? 0 : 1)
