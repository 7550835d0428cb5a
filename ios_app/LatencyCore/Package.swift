// swift-tools-version: 5.9
import PackageDescription

let package = Package(
  name: "LatencyCore",
  platforms: [.iOS(.v17), .macOS(.v14)],
  products: [.library(name: "LatencyCore", targets: ["LatencyCore"])],
  targets: [
    .target(name: "LatencyCore"),
    .executableTarget(name: "conformance", dependencies: ["LatencyCore"]),
    .executableTarget(name: "runonce", dependencies: ["LatencyCore"]),
    .testTarget(name: "LatencyCoreTests", dependencies: ["LatencyCore"]),
  ]
)
