#if canImport(TensorFlowLite)
  import Foundation
  import LatencyCore
  import TensorFlowLite

  /// LiteRT through its Swift interpreter, on the CPU; methods are signatures.
  struct LiteRTEngine: Engine {
    let about = Named(name: "litert", version: Runtime.version)

    func open(_ model: URL, _ variant: Variant) throws -> Session {
      guard variant.compute == "cpu" else { throw ContractError("compute", "LiteRT runs on the CPU here, not on \(variant.compute)") }
      var options = Interpreter.Options()
      options.threadCount = variant.threads
      return LiteRTSession(try Interpreter(modelPath: model.path, options: options))
    }
  }

  private final class LiteRTSession: Session {
    private let interpreter: Interpreter
    private var runners: [String: SignatureRunner] = [:]
    let actual: String? = "cpu"
    let basis = "runtime"
    let operators: [String: Int64]? = nil

    init(_ interpreter: Interpreter) { self.interpreter = interpreter }

    func load(_ entry: String) throws {
      let runner = try interpreter.signatureRunner(with: entry)
      try runner.allocateTensors()
      runners[entry] = runner
    }

    func run(_ stage: Stage, _ inputs: [LatencyCore.Tensor]) throws -> [LatencyCore.Tensor] {
      guard let runner = runners[stage.entry] else { throw ContractError("model", "\(stage.entry) is not loaded") }
      for (spec, tensor) in zip(stage.inputs, inputs) { try runner.copy(Data(tensor.bytes), toInputNamed: spec.name) }
      try runner.invoke()
      return try stage.outputs.map { LatencyCore.Tensor(dtype: $0.dtype, shape: $0.shape, bytes: Array(try runner.output(named: $0.name).data)) }
    }
  }
#endif
