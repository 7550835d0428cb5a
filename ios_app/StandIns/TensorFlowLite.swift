import Foundation

public enum Runtime { public static let version = "" }
public struct Tensor { public let data: Data }
public final class Interpreter {
  public struct Options {
    public init() {}
    public var threadCount: Int?
  }
  public init(modelPath: String, options: Options? = nil) throws {}
  public func signatureRunner(with key: String) throws -> SignatureRunner { SignatureRunner() }
}
public final class SignatureRunner {
  public func allocateTensors() throws {}
  public func copy(_ data: Data, toInputNamed name: String) throws {}
  public func invoke() throws {}
  public func output(named name: String) throws -> Tensor { Tensor(data: Data()) }
}
