// swift-tools-version: 5.9
import PackageDescription

// For Linux only: LatencyCore's run loop over the real ExecuTorch, through the C library of benchmarks/native_runner. Apps do not need it.
let package = Package(
  name: "RealEngine",
  dependencies: [.package(path: "../LatencyCore")],
  targets: [
    .systemLibrary(name: "CLatencyEngine"),
    .executableTarget(name: "runreal", dependencies: ["LatencyCore", "CLatencyEngine"]),
  ]
)
