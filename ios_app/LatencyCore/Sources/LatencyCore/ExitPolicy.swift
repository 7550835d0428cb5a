import Foundation

/// Where samples leave a network with `exits` exits, decided in integers: confidences are micro-units, `floor(1000000 * float32)`, nil: not a number.
/// Which of `thresholdsMicro`, `patience` and `exit` counts says the `kind`; the others are nil.
public struct ExitPolicy: Equatable, Sendable {
  public static let micro: Int64 = 1_000_000
  static let confidenceKinds = ["max_softmax", "entropy", "margin"]

  public let kind: String
  public let exits: Int
  public let thresholdsMicro: [Int64?]?
  public let patience: Int64?
  public let exit: Int64?
  public let temperaturesMicro: [Int64]?
  public let reads: String

  /// - Throws: `ContractError` `unknown_kind`, `exits`, `rule`, `thresholds_length`, `threshold_range`, `patience_range`, `exit_range`.
  public init(
    kind: String, exits: Int, thresholdsMicro: [Int64?]? = nil, patience: Int64? = nil, exit: Int64? = nil, temperaturesMicro: [Int64]? = nil,
    reads: String = "confidence"
  ) throws {
    let sure = Self.confidenceKinds.contains(kind)
    try require("unknown_kind", sure || kind == "patience" || kind == "anytime", kind)
    try require("exits", exits >= 2, exits)
    let given = [thresholdsMicro != nil, patience != nil, exit != nil]
    try require("rule", given == [sure, kind == "patience", kind == "anytime"], kind)
    if let thresholdsMicro {
      try require("thresholds_length", thresholdsMicro.count == exits - 1, thresholdsMicro.count)
      try require("threshold_range", thresholdsMicro.allSatisfy { $0.map { (0...Self.micro).contains($0) } ?? true }, thresholdsMicro)
    }
    try require("patience_range", patience.map { $0 >= 2 } ?? true, patience)
    try require("exit_range", exit.map { (1...Int64(exits)).contains($0) } ?? true, exit)
    self.kind = kind
    self.exits = exits
    self.thresholdsMicro = thresholdsMicro
    self.patience = patience
    self.exit = exit
    self.temperaturesMicro = temperaturesMicro
    self.reads = reads
  }

  /// Whether the sample leaves at exit `k`, from 1, of which and of those before the values are known.
  public func leaves(_ k: Int, _ confidencesMicro: [Int64?], _ classes: [Int64?]) -> Bool {
    if k == exits { return true }
    if let exit { return k >= exit }
    if let patience {
      guard k >= patience, let last = classes[k - 1] else { return false }
      return classes[(k - Int(patience))..<k].allSatisfy { $0 == last }
    }
    guard let threshold = thresholdsMicro?[k - 1], let confidence = confidencesMicro[k - 1] else { return false }
    return confidence >= threshold
  }

  /// The exit where the sample leaves, from 1; what stands behind it is not looked at.
  /// - Throws: `ContractError` `stage_missing`, `confidence_range`, `class_range`.
  public func walk(_ confidencesMicro: [Int64?], _ classes: [Int64?]) throws -> Int {
    for k in 1..<exits {
      if Self.confidenceKinds.contains(kind) { try check("confidence_range", confidencesMicro, k, Self.micro) }
      if kind == "patience" { try check("class_range", classes, k, .max) }
      if leaves(k, confidencesMicro, classes) { return k }
    }
    return exits
  }

  private func check(_ code: String, _ values: [Int64?], _ k: Int, _ most: Int64) throws {
    try require("stage_missing", k <= values.count, "nothing is known of exit \(k)")
    if let value = values[k - 1] { try require(code, (0...most).contains(value), "\(value) at exit \(k)") }
  }

  /// The micro-units of a confidence; nil: not a number.
  public static func micro(_ confidence: Float) -> Int64? {
    if confidence.isNaN { return nil }
    let exact: Double = Double(confidence) * Double(micro)
    return Int64(Swift.min(Swift.max(exact, 0), Double(micro)).rounded(.down))
  }
}

/// How sure a row of logits is: float64, rounded to float32 once.
public enum Confidence {
  private static let logOfNothing = -104.0

  /// - Parameter temperatureMicro: what the logits are divided by first, in float32; nil: nothing.
  public static func of(_ kind: String, _ logits: [Float], temperatureMicro: Int64? = nil) -> Float {
    let temperature = temperatureMicro.map { Float(Double($0) / 1e6) }
    var values: [Double] = []
    for logit in logits {
      let divided: Float = logit / (temperature ?? 1)
      values.append(Double(divided))
    }
    guard !values.contains(where: { $0.isNaN }), let most = values.max() else { return .nan }
    var shifted: [Double] = []
    for value in values { shifted.append(value - most) }
    var total: Double = 0
    for value in shifted { total += exp(value) }
    switch kind {
    case "max_softmax": return Float(1 / total)
    case "entropy":
      var negative: Double = 0
      for value in shifted { negative += exp(value) * Swift.max(value, logOfNothing) }
      let entropy: Double = negative / total - log(total)
      let relative: Double = entropy / log(Double(values.count))
      return Float(1 + relative)
    default:
      let second: Double = exp(shifted.sorted()[shifted.count - 2])
      return Float((1 - second) / total)
    }
  }

  /// The class of the largest logit, the first of equal ones; nil where a logit is not a number.
  public static func named(_ logits: [Float]) -> Int64? {
    guard !logits.contains(where: \.isNaN) else { return nil }
    var best = 0
    for number in logits.indices where logits[number] > logits[best] { best = number }
    return Int64(best)
  }
}
