@_exported import Foundation

public protocol View {
  associatedtype Body: View
  var body: Body { get }
}
extension Never: View { public var body: Never { fatalError() } }
public protocol Scene {
  associatedtype Body: Scene
  var body: Body { get }
}
extension Never: Scene {}
public protocol App {
  associatedtype Body: Scene
  @SceneBuilder var body: Body { get }
  init()
}
extension App { public static func main() {} }

@resultBuilder public enum SceneBuilder { public static func buildBlock<Content: Scene>(_ content: Content) -> Content { content } }
@resultBuilder public enum ViewBuilder {
  public static func buildBlock<Content: View>(_ content: Content) -> Content { content }
  public static func buildBlock<First: View, Second: View>(_ first: First, _ second: Second) -> Pair<First, Second> { Pair() }
}
public struct Pair<First: View, Second: View>: View { public var body: Never { fatalError() } }
public struct WindowGroup<Content: View>: Scene {
  public init(@ViewBuilder content: () -> Content) {}
  public var body: Never { fatalError() }
}
public enum HorizontalAlignment { case leading, center, trailing }
public struct VStack<Content: View>: View {
  public init(alignment: HorizontalAlignment = .center, spacing: Double? = nil, @ViewBuilder content: () -> Content) {}
  public var body: Never { fatalError() }
}
public struct ScrollView<Content: View>: View {
  public init(@ViewBuilder content: () -> Content) {}
  public var body: Never { fatalError() }
}
public struct Font {
  public static let body = Font()
  public func monospaced() -> Font { self }
}
public struct Text: View {
  public init(_ words: String) {}
  public func font(_ font: Font?) -> Text { self }
  public var body: Never { fatalError() }
}
public struct Button: View {
  public init(_ title: String, action: @escaping () -> Void) {}
  public var body: Never { fatalError() }
}
extension View {
  public func disabled(_ disabled: Bool) -> some View { self }
  public func padding() -> some View { self }
  public func onAppear(perform action: (() -> Void)? = nil) -> some View { self }
}

public protocol ObservableObject: AnyObject {}
@propertyWrapper public struct Published<Value> {
  public var wrappedValue: Value
  public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
}
@propertyWrapper public struct StateObject<Value: ObservableObject> {
  public let wrappedValue: Value
  public init(wrappedValue: @autoclosure @escaping () -> Value) { self.wrappedValue = wrappedValue() }
}
