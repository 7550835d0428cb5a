#if canImport(ExecuTorch)
  import ExecuTorch
  import Foundation
  import LatencyCore

  /// ExecuTorch. Which backend runs a method is decided when the file is made; its Swift interface does not tell which.
  struct ExecuTorchEngine: Engine {
    let about = Named(name: "executorch", version: "1.5.1")

    func open(_ model: URL, _ variant: Variant) throws -> Session { ExecuTorchSession(Module(filePath: model.path)) }
  }

  private final class ExecuTorchSession: Session {
    private let module: Module
    let actual: String? = nil
    let basis = "unknown"
    let operators: [String: Int64]? = nil

    init(_ module: Module) { self.module = module }

    func load(_ entry: String) throws { try module.load(entry) }

    func run(_ stage: Stage, _ inputs: [LatencyCore.Tensor]) throws -> [LatencyCore.Tensor] {
      let given = try inputs.map { tensor -> Value in
        guard tensor.dtype == "float32" else { throw ContractError("tensor", "\(tensor.dtype) is not given to ExecuTorch here") }
        return Value(ExecuTorch.Tensor<Float>(tensor.floats, shape: tensor.shape))
      }
      let outputs = try module.execute(stage.entry, given)
      return try zip(outputs, stage.outputs).map { value, spec in
        guard let tensor: ExecuTorch.Tensor<Float> = value.tensor() else { throw ContractError("tensor", "\(spec.name) is no float tensor") }
        return LatencyCore.Tensor(tensor.scalars(), shape: spec.shape)
      }
    }
  }
#endif
