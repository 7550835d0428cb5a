import Foundation

public struct NDArray: Sendable {
  public struct Descriptor: Sendable {}
  public struct MutableRawView {
    public func withUnsafeMutableBytes<R>(_ body: (UnsafeMutableRawPointer, [Int], [Int]) throws -> R) rethrows -> R { fatalError() }
  }
  public struct RawView {
    public func withUnsafeBytes<R>(_ body: (UnsafeRawPointer, [Int], [Int]) throws -> R) rethrows -> R { fatalError() }
  }
  public init(descriptor: Descriptor) {}
  public mutating func mutableRawView() -> MutableRawView { MutableRawView() }
  public func rawView() -> RawView { RawView() }
}
public struct InferenceFunction: Sendable {
  public enum ValueDescriptor: Sendable { case ndArray(NDArray.Descriptor) }
  public struct Descriptor: Sendable {
    public func inputDescriptor(of name: String) -> ValueDescriptor? { nil }
  }
  public struct Value: Sendable { public let ndArray: NDArray? }
  public struct Outputs: Sendable {
    public mutating func remove(_ name: String) -> Value? { nil }
  }
  public var descriptor: Descriptor { Descriptor() }
  public func run(inputs: [String: NDArray]) async throws -> Outputs { Outputs() }
}
public struct AIModel: Sendable {
  public init(contentsOf url: URL) async throws {}
  public func loadFunction(named name: String) throws -> InferenceFunction? { nil }
}
