#include <algorithm>
#include <concepts>
#include <coroutine>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace house::queue {

template <typename T>
concept Printable = requires(const T& value, std::ostream& out) {
    { out << value } -> std::same_as<std::ostream&>;
};

template <Printable Key, typename Value = int, std::size_t... Sizes>
class Heap final : public std::enable_shared_from_this<Heap<Key, Value, Sizes...>> {
public:
    explicit Heap(std::initializer_list<std::pair<const Key, Value>> items) : items_{items} {}
    Heap(const Heap&) = delete;
    Heap& operator=(Heap&&) noexcept = default;
    virtual ~Heap() = default;

    [[nodiscard]] auto top() const -> std::optional<Value> {
        if (auto found = items_.begin(); found != items_.end()) return found->second;
        return std::nullopt;
    }

    bool operator<(const Heap& other) const { return items_.size() < other.items_.size(); }

private:
    std::map<Key, Value, std::less<>> items_;
    mutable int reads_ = 0;
};

enum class Level : unsigned char { low = 1 << 0, high };

constexpr auto total(auto... each) { return (each + ... + 0); }

}  // namespace house::queue

int main(int argc, char** argv) {
    using namespace house::queue;
    std::vector<std::unique_ptr<std::string>> words;
    for (int i = 0; i < argc; ++i) words.push_back(std::make_unique<std::string>(argv[i]));
    std::ranges::sort(words, {}, [](const auto& word) { return word->size(); });
    auto print = [&words, n = 0](const char* head = "words") mutable noexcept {
        for (const auto& [at, word] : {std::pair{n++, *words[0]}})
            std::cout << head << ' ' << at << R"(: "raw")" << word << '\n';
    };
    try {
        print();
        Heap<std::string> heap{{"a", 1}, {"b", 2}};
        if constexpr (total(1, 2) == 3) return static_cast<int>(heap.top().value_or(0));
    } catch (const std::exception& error) {
        throw;
    }
}
