public final class CVPixelBuffer {}  // objc: none: CVPixelBufferRef
public struct CVPixelBufferLockFlags: OptionSet, Sendable {  // objc: CVPixelBufferLockFlags
  public let rawValue: UInt64  // objc: none
  public init(rawValue: UInt64) { self.rawValue = rawValue }  // objc: none
}
public let kCVPixelFormatType_32BGRA: UInt32 = 0  // objc: kCVPixelFormatType_32BGRA
public let kCVReturnSuccess: Int32 = 0  // objc: kCVReturnSuccess
public func CVPixelBufferCreate(  // objc: CVPixelBufferCreate
  _ allocator: AnyObject?, _ width: Int, _ height: Int, _ format: UInt32, _ attributes: AnyObject?, _ out: UnsafeMutablePointer<CVPixelBuffer?>
) -> Int32 { 0 }
// objc: CVPixelBufferLockBaseAddress
@discardableResult public func CVPixelBufferLockBaseAddress(_ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags) -> Int32 { 0 }
// objc: CVPixelBufferUnlockBaseAddress
@discardableResult public func CVPixelBufferUnlockBaseAddress(_ buffer: CVPixelBuffer, _ flags: CVPixelBufferLockFlags) -> Int32 { 0 }
public func CVPixelBufferGetBaseAddress(_ buffer: CVPixelBuffer) -> UnsafeMutableRawPointer? { nil }  // objc: CVPixelBufferGetBaseAddress
public func CVPixelBufferGetBytesPerRow(_ buffer: CVPixelBuffer) -> Int { 0 }  // objc: CVPixelBufferGetBytesPerRow
