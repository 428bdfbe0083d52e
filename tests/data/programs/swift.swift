import Foundation

public protocol Store: AnyObject {
    associatedtype Item: Hashable
    var items: [Item] { get }
    mutating func add(_ item: Item) throws
}

enum Shape: Equatable {
    case circle(radius: Double)
    indirect case pair(Shape, Shape)
    case empty
}

struct Point<T: Numeric>: Codable where T: Codable {
    var x: T, y: T
    private(set) var name: String?
    static let zero = 0

    var sum: T {
        get { x + y }
        set { x = newValue }
    }

    init?(_ values: [T]) {
        guard values.count >= 2, let first = values.first else { return nil }
        x = first
        y = values[1]
    }

    subscript(at: Int) -> T { at == 0 ? x : y }
}

@MainActor
final class Queue<Element>: ObservableObject {
    @Published private var items: [String: [Element]] = [:]
    weak var owner: AnyObject?

    func load(from url: URL, limit: Int = 10) async throws -> [Element] {
        let (data, _) = try await URLSession.shared.data(from: url)
        defer { print("read \(data.count) bytes, \(items.isEmpty ? "none" : "some")") }
        return items.values.flatMap { $0 }.filter { _ in limit > 0 }
    }

    func describe(_ shape: Shape) -> String {
        switch shape {
        case .circle(let radius) where radius > 10:
            return "large"
        case let .pair(a, b):
            return describe(a) + describe(b)
        default:
            break
        }
        let text = """
            a "long" text
            """
        do {
            try FileManager.default.removeItem(atPath: text)
        } catch let error as NSError where error.code == 4 {
            return error.localizedDescription
        } catch {}
        return [1, 2, 3].map { n in String(n * 2) }.joined(separator: ", ")
    }
}

extension Array where Element == Int {
    func total() -> Int { reduce(0, +) }
}
