/// An input; with `fill` nil an output.
public struct TensorSpec: Equatable, Sendable {
  public let name: String
  public let dtype: String
  public let shape: [Int]
  public let fill: String?

  public var elements: Int { shape.reduce(1, *) }
}

/// A method of the model's file.
public struct Stage: Equatable, Sendable {
  public let entry: String
  public let inputs: [TensorSpec]
  public let outputs: [TensorSpec]
}

/// Preprocessing to be timed on a made-up picture.
public struct PicturePlan: Equatable, Sendable {
  public let width: Int
  public let height: Int
  public let resolution: Int
  public let cropMicro: Int64
  public let interpolation: String
  public let meanMicro: [Int64]
  public let stdMicro: [Int64]

  public var preprocessing: Preprocessing {
    Preprocessing(resolution: resolution, cropMicro: cropMicro, interpolation: interpolation, meanMicro: meanMicro, stdMicro: stdMicro)
  }
}

/// One model on one compute unit: its stages run one after the other until the policy lets a sample go.
public struct Variant: Equatable, Sendable {
  public let id: String
  public let engine: String
  public let model: String
  public let modelSHA256: String
  public let compute: String
  public let threads: Int
  public let stages: [Stage]
  public let exitPolicy: ExitPolicy?
  public let picture: PicturePlan?
}

/// What a phone is to do: `latency-plan/1`.
public struct Plan: Equatable, Sendable {
  public let runId: String
  public let seed: Int
  public let processes: Int
  public let variants: [Variant]
  public let warmup: WarmupPolicy
  public let measure: StopPolicy
  public let cooldownMs: Int64
  public let maxStart: String
  public let waitMs: Int64

  static let schema = "latency-plan/1"

  /// - Throws: `ContractError`, the codes that `edgekit.device.plan` lists.
  public init(json document: JSON) throws {
    if case .object(let members) = document, members["schema"] != .text(Plan.schema) {
      throw ContractError("schema", "this is no latency plan")
    }
    let keys = ["schema", "run_id", "seed", "processes", "variants", "warmup", "measure", "order", "cooldown_ms", "thermal"]
    let fields = try Fields(document, keys, "the plan")
    let warmupFields = try Fields(fields.raw("warmup"), ["min", "max", "window", "rel_permille"], "warmup")
    let measureFields = try Fields(fields.raw("measure"), ["min", "max", "min_ms", "max_ms", "stop"], "measure")
    let thermalFields = try Fields(fields.raw("thermal"), ["max_start", "wait_ms"], "thermal")
    let calls = try ["min", "max", "window", "rel_permille"].map(warmupFields.integer)
    let samples = try ["min", "max", "min_ms", "max_ms"].map(measureFields.integer)
    let run = try fields.text("run_id")
    let seed = try fields.integer("seed")
    let processes = try fields.integer("processes")
    let rows = try fields.rows("variants").map(RawVariant.init)
    let order = try fields.text("order")
    let cooldown = try fields.integer("cooldown_ms")
    let stop = try measureFields.text("stop")
    let maxStart = try thermalFields.text("max_start")
    let wait = try thermalFields.integer("wait_ms")

    try require("run_id", isHexadecimal(run, 32), run)
    try require("seed", (0...Int64(Int32.max)).contains(seed), seed)
    try require("processes", (1...16).contains(processes), processes)
    try require("order", order == "abba", order)
    try require("cooldown", (0...600_000).contains(cooldown), cooldown)
    try require("warmup", 0 <= calls[0] && calls[0] <= calls[1] && calls[1] <= 1000, calls)
    try require("warmup", (1...100).contains(calls[2]) && (0...1000).contains(calls[3]), calls)
    try require("measure", 1 <= samples[0] && samples[0] <= samples[1] && samples[1] <= 10_000 && ["fixed", "settled"].contains(stop), samples)
    try require("measure", 0 <= samples[2] && samples[2] <= samples[3] && samples[3] <= 3_600_000, samples)
    try require("thermal", thermalStates.contains(maxStart) && (0...3_600_000).contains(wait), maxStart)
    try require("variants", (1...64).contains(rows.count), rows.count)
    try require("variant_id", Set(rows.map(\.id)).count == rows.count, "the same id twice")
    variants = try rows.map { try $0.checked() }
    runId = run
    self.seed = Int(seed)
    self.processes = Int(processes)
    warmup = WarmupPolicy(min: Int(calls[0]), max: Int(calls[1]), window: Int(calls[2]), relPermille: calls[3])
    measure = StopPolicy(min: Int(samples[0]), max: Int(samples[1]), minMs: samples[2], maxMs: samples[3], stop: stop)
    cooldownMs = cooldown
    self.maxStart = maxStart
    waitMs = wait
  }
}

func isHexadecimal(_ text: String, _ length: Int) -> Bool {
  text.utf8.count == length && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
}

/// Letters, digits, and inside also dots, dashes and underscores; at most 128.
func isName(_ text: String) -> Bool {
  func plain(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) }
  let bytes = Array(text.utf8)
  guard let first = bytes.first, bytes.count <= 128, plain(first) else { return false }
  return bytes.allSatisfy { plain($0) || [UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-")].contains($0) }
}

/// Values of the right types, not yet checked: shapes are told before ranges.
private struct RawTensor {
  let name: String
  let dtype: String
  let shape: [Int64]
  let fill: String?

  init(_ value: JSON) throws {
    let row = try Fields(value, ["name", "dtype", "shape", "fill"], "a tensor")
    fill = try row.textOrNil("fill")
    name = try row.text("name")
    dtype = try row.text("dtype")
    shape = try row.integers("shape")
  }

  func checked() throws -> TensorSpec {
    let most: Int64 = 1 << 28
    var elements: Int64 = 1
    for size in shape {
      try require("tensor", (1...most).contains(size), shape)
      elements *= size
      try require("tensor", elements <= most, shape)
    }
    let known = ["float32", "float16", "uint8", "int32", "int64", "image"].contains(dtype)
    try require("tensor", isName(name) && known && shape.count <= 8, name)
    return TensorSpec(name: name, dtype: dtype, shape: shape.map(Int.init), fill: fill)
  }
}

private struct RawStage {
  let entry: String
  let inputs: [RawTensor]
  let outputs: [RawTensor]

  init(_ value: JSON) throws {
    let row = try Fields(value, ["entry", "inputs", "outputs"], "a stage")
    entry = try row.text("entry")
    inputs = try row.rows("inputs").map(RawTensor.init)
    outputs = try row.rows("outputs").map(RawTensor.init)
  }
}

private struct RawPolicy {
  let kind: String
  let exits: Int64
  let thresholds: [Int64?]?
  let patience: Int64?
  let exit: Int64?
  let temperatures: [Int64]?
  let reads: String

  init(_ value: JSON) throws {
    let keys = ["kind", "exits", "thresholds_micro", "patience", "exit", "temperatures_micro", "reads"]
    let row = try Fields(value, keys, "an exit policy")
    thresholds =
      try row.isNull("thresholds_micro")
      ? nil
      : row.rows("thresholds_micro").map { value -> Int64? in
        switch value {
        case .null: return nil
        case .integer(let number): return number
        default: throw ContractError("shape", "thresholds_micro are integers and nulls")
        }
      }
    kind = try row.text("kind")
    exits = try row.integer("exits")
    patience = try row.integerOrNil("patience")
    exit = try row.integerOrNil("exit")
    temperatures = try row.integersOrNil("temperatures_micro")
    reads = try row.text("reads")
  }

  func checked(_ rows: [Stage]) throws -> ExitPolicy {
    let stages = rows.count
    let policy: ExitPolicy
    do {
      policy = try ExitPolicy(
        kind: kind, exits: Int(exits), thresholdsMicro: thresholds, patience: patience, exit: exit, temperaturesMicro: temperatures, reads: reads)
    } catch let error as ContractError {
      throw ContractError("policy", error.message)
    }
    let sure = ExitPolicy.confidenceKinds.contains(kind)
    let needs = sure ? ["confidence", "logits"] : kind == "patience" ? ["logits"] : ["nothing"]
    try require("policy", exits == stages && needs.contains(reads), kind)
    let readable = rows.dropLast().allSatisfy { $0.outputs.contains { $0.name == reads } }
    try require("policy", readable || reads == "nothing", reads)
    if let temperatures {
      try require("policy", sure && reads == "logits" && temperatures.count == stages - 1, temperatures)
      try require("policy", temperatures.allSatisfy { (1...1_000_000_000_000).contains($0) }, temperatures)
    }
    return policy
  }
}

private struct RawPicture {
  let sizes: [Int64]
  let mean: [Int64]
  let std: [Int64]
  let interpolation: String

  init(_ value: JSON) throws {
    let keys = ["width", "height", "resolution", "crop_micro", "interpolation", "mean_micro", "std_micro"]
    let row = try Fields(value, keys, "a picture")
    sizes = try keys.prefix(4).map(row.integer)
    mean = try row.integers("mean_micro")
    std = try row.integers("std_micro")
    interpolation = try row.text("interpolation")
  }

  func checked() throws -> PicturePlan {
    try require("picture", (1...8192).contains(sizes[0]) && (1...8192).contains(sizes[1]) && (1...2048).contains(sizes[2]), sizes)
    try require("picture", (100_000...1_000_000).contains(sizes[3]) && ["bicubic", "bilinear"].contains(interpolation), sizes)
    try require("picture", mean.count == 3 && mean.allSatisfy { (0...1_000_000).contains($0) }, mean)
    try require("picture", std.count == 3 && std.allSatisfy { (1...10_000_000).contains($0) }, std)
    return PicturePlan(
      width: Int(sizes[0]), height: Int(sizes[1]), resolution: Int(sizes[2]), cropMicro: sizes[3], interpolation: interpolation, meanMicro: mean,
      stdMicro: std)
  }
}

private struct RawVariant {
  let id: String
  let engine: String
  let model: String
  let sha256: String
  let compute: String
  let threads: Int64
  let stages: [RawStage]
  let policy: RawPolicy?
  let picture: RawPicture?

  init(_ value: JSON) throws {
    let keys = ["id", "engine", "model", "model_sha256", "compute", "threads", "stages", "exit_policy", "picture"]
    let row = try Fields(value, keys, "a variant")
    id = try row.text("id")
    engine = try row.text("engine")
    model = try row.text("model")
    sha256 = try row.text("model_sha256")
    compute = try row.text("compute")
    threads = try row.integer("threads")
    stages = try row.rows("stages").map(RawStage.init)
    policy = try row.isNull("exit_policy") ? nil : RawPolicy(row.raw("exit_policy"))
    picture = try row.isNull("picture") ? nil : RawPicture(row.raw("picture"))
  }

  func checked() throws -> Variant {
    try require("variant_id", isName(id), id)
    try require("engine", ["executorch", "litert", "coreml", "coreai"].contains(engine), engine)
    try require("model", isName(model) && !hasTwoDots(model), model)
    try require("sha256", isHexadecimal(sha256, 64), sha256)
    try require("compute", ["cpu", "gpu", "npu", "all"].contains(compute), compute)
    try require("threads", (1...64).contains(threads), threads)
    try require("stages", (1...64).contains(stages.count) && stages.allSatisfy { isName($0.entry) }, stages.count)
    var before: Set<String> = []
    var checked: [Stage] = []
    for stage in stages {
      try require("stages", !stage.inputs.isEmpty && !stage.outputs.isEmpty, stage.entry)
      let inputs = try stage.inputs.map { try $0.checked() }
      let outputs = try stage.outputs.map { try $0.checked() }
      for tensor in inputs {
        let known = tensor.fill.map { ["noise", "zeros", "handed_on", "never"].contains($0) } ?? false
        try require("tensor", known && (tensor.fill != "handed_on" || before.contains(tensor.name)), tensor)
      }
      try require("tensor", outputs.allSatisfy { $0.fill == nil }, stage.entry)
      before = Set(outputs.map(\.name))
      checked.append(Stage(entry: stage.entry, inputs: inputs, outputs: outputs))
    }
    if policy == nil { try require("policy", stages.count == 1, "several stages without a policy") }
    return Variant(
      id: id, engine: engine, model: model, modelSHA256: sha256, compute: compute, threads: Int(threads), stages: checked,
      exitPolicy: try policy?.checked(checked), picture: try picture?.checked())
  }

  private func hasTwoDots(_ name: String) -> Bool {
    zip(name.utf8, name.utf8.dropFirst()).contains { $0 == UInt8(ascii: ".") && $1 == UInt8(ascii: ".") }
  }
}
