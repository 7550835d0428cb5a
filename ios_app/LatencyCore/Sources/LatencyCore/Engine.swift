import Foundation

/// A tensor's elements as little-endian bytes, which is how every phone stores them.
public struct Tensor: Equatable, Sendable {
  public let dtype: String
  public let shape: [Int]
  public let bytes: [UInt8]

  public init(dtype: String, shape: [Int], bytes: [UInt8]) {
    self.dtype = dtype
    self.shape = shape
    self.bytes = bytes
  }

  public init(_ values: [Float], shape: [Int]) {
    self.init(dtype: "float32", shape: shape, bytes: values.withUnsafeBytes { Array($0) })
  }

  public var floats: [Float] {
    bytes.withUnsafeBytes { buffer in
      (0..<buffer.count / 4).map { buffer.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
    }
  }

  /// What a plan fills an input with; `handed_on` is not made here.
  /// - Throws: `ContractError` `tensor`: a dtype that is not made on phones.
  public static func filled(_ spec: TensorSpec, seed: Int) throws -> Tensor {
    let values =
      spec.fill == "noise"
      ? Noise.integers(name: spec.name, seed: seed, count: spec.elements, dtype: spec.dtype) : [UInt32](repeating: 0, count: spec.elements)
    switch spec.dtype {
    case "float32":
      let floats: [Float] = spec.fill == "never" ? values.map { _ in Float.infinity } : values.map { Float($0) / 16_777_216 }
      return Tensor(floats, shape: spec.shape)
    case "uint8", "image":
      return Tensor(dtype: spec.dtype, shape: spec.shape, bytes: values.map { UInt8($0) })
    case "int32":
      return Tensor(dtype: spec.dtype, shape: spec.shape, bytes: values.map { Int32($0) }.withUnsafeBytes { Array($0) })
    case "int64":
      return Tensor(dtype: spec.dtype, shape: spec.shape, bytes: values.map { Int64($0) }.withUnsafeBytes { Array($0) })
    default:
      throw ContractError("tensor", "\(spec.dtype) cannot be filled here")
    }
  }
}

/// A model that an engine has opened. `actual` is the compute unit as far as `basis` (`plan`, `runtime`, `unknown`) can tell.
public protocol Session: AnyObject {
  var actual: String? { get }
  var basis: String { get }
  var operators: [String: Int64]? { get }

  /// Prepares a method, if the engine does that apart from running it.
  func load(_ entry: String) throws

  /// Runs a method: tensors in the plan's order in, tensors in the plan's order out.
  func run(_ stage: Stage, _ inputs: [Tensor]) throws -> [Tensor]
}

public protocol Engine {
  var about: Named { get }

  /// - Throws: the file is none that it can run on this unit.
  func open(_ model: URL, _ variant: Variant) throws -> Session
}

public protocol Clock {
  /// Nanoseconds of a clock that never goes back.
  func nowNs() -> Int64

  func sleep(milliseconds: Int64)
}

public protocol DeviceState {
  var facts: DeviceFacts { get }

  func read(at tNs: Int64) -> Reading

  /// What the process holds now, and at most so far; nil: not told.
  func memory() -> Memory?
}

/// Takes the report as it is so far, and the whole one at the end.
public protocol Sink {
  func write(_ report: Report) throws
}

/// Writes reports beside the plan: into a hidden file first, so that a reader never sees half of one.
public struct FolderSink: Sink {
  private let folder: URL

  public init(_ folder: URL) { self.folder = folder }

  public func write(_ report: Report) throws {
    let name = "\(report.complete ? "report" : "partial")-\(report.process).json"
    try Data((report.json.canonical + "\n").utf8).write(to: folder.appendingPathComponent(name), options: .atomic)
  }
}
