/// From cool to hot, in Apple's words.
public let thermalStates = ["nominal", "fair", "serious", "critical"]

let nanosecondsPerMillisecond: Int64 = 1_000_000

/// Calls before the samples: at least `min`, until settled, at most `max`.
public struct WarmupPolicy: Equatable, Sendable {
  public let min: Int
  public let max: Int
  public let window: Int
  public let relPermille: Int64

  public init(min: Int, max: Int, window: Int, relPermille: Int64) {
    self.min = min
    self.max = max
    self.window = window
    self.relPermille = relPermille
  }

  /// Whether warm-up is over after these calls.
  public func isOver(_ times: [Int64]) -> Bool {
    times.count >= max || (times.count >= min && Stats.settled(times, window: window, permille: relPermille))
  }

  /// After how many of these calls warm-up ends.
  /// - Throws: `ContractError` `short`: it would have gone on.
  public func calls(_ times: [Int64]) throws -> Int {
    for count in 0...Swift.min(times.count, max) where isOver(Array(times.prefix(count))) { return count }
    throw ContractError("short", "\(times.count) calls, and warm-up is not over")
  }
}

/// When sampling ends: `fixed` goes on to `max` or `maxMs`, `settled` also ends when nothing changes.
public struct StopPolicy: Equatable, Sendable {
  public let min: Int
  public let max: Int
  public let minMs: Int64
  public let maxMs: Int64
  public let stop: String

  public init(min: Int, max: Int, minMs: Int64, maxMs: Int64, stop: String) {
    self.min = min
    self.max = max
    self.minMs = minMs
    self.maxMs = maxMs
    self.stop = stop
  }

  /// Why sampling ends after these samples, `count`, `time` or `settled`; nil: it goes on.
  public func reason(_ samples: [Int64], elapsedNs: Int64, warmup: WarmupPolicy) -> String? {
    if samples.count >= max { return "count" }
    if samples.count < min { return nil }
    if elapsedNs >= maxMs * nanosecondsPerMillisecond { return "time" }
    let late = elapsedNs >= minMs * nanosecondsPerMillisecond
    return stop == "settled" && late && Stats.settled(samples, window: warmup.window, permille: warmup.relPermille) ? "settled" : nil
  }
}

public enum Rules {
  /// The variants' numbers in the order they run, each once a round: A B B A, and in odd processes B A A B.
  /// - Throws: `ContractError` `variants`, `rounds`, `process`: out of range.
  public static func turns(variants: Int, rounds: Int, process: Int) throws -> [Int] {
    try require("variants", (1...64).contains(variants), variants)
    try require("rounds", (1...100_000).contains(rounds), rounds)
    try require("process", (0...15).contains(process), process)
    return (0..<rounds).flatMap { round in (0..<variants).map { (round + process) % 2 == 0 ? $0 : variants - 1 - $0 } }
  }

  /// Whether a phone is cool enough to begin: `start`, `wait` or `refuse`. One that does not tell is let through.
  public static func gate(thermal: String?, limit: String, waitedMs: Int64, waitMs: Int64) -> String {
    guard let thermal, rank(thermal) > rank(limit) else { return "start" }
    return waitedMs < waitMs ? "wait" : "refuse"
  }

  static func rank(_ thermal: String) -> Int { thermalStates.firstIndex(of: thermal) ?? -1 }
}

/// Seeded inputs that every language makes alike: a linear congruential generator, begun from the tensor's name.
public enum Noise {
  /// The elements as integers; of float32 those before the division by 2^24.
  public static func integers(name: String, seed: Int, count: Int, dtype: String) -> [UInt32] {
    var state: UInt32 = 0x811C_9DC5
    for byte in name.utf8 { state = (state ^ UInt32(byte)) &* 0x0100_0193 }
    state ^= UInt32(truncatingIfNeeded: seed)
    let shift: UInt32 = dtype == "uint8" || dtype == "image" ? 24 : 8
    let bounded = dtype == "int32" || dtype == "int64"
    return (0..<count).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return bounded ? (state >> shift) % 100 : state >> shift
    }
  }
}
