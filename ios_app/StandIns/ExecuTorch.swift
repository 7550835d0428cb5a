public protocol Scalar {}
extension Float: Scalar {}
public final class Tensor<Element: Scalar> {
  public init(_ scalars: [Element], shape: [Int]) {}
  public func scalars() -> [Element] { [] }
}
public final class Value {
  public init<Element: Scalar>(_ tensor: Tensor<Element>) {}
  public func tensor<Element: Scalar>() -> Tensor<Element>? { nil }
}
public final class Module {
  public init(filePath: String) {}
  public func load(_ method: String) throws {}
  public func execute(_ method: String, _ inputs: [Value]) throws -> [Value] { [] }
}
