#include "json.hpp"

namespace edgekit {
namespace {

constexpr int kDeepest = 32;

class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text) {}

  Json document() {
    Json found = value(1);
    space();
    if (at_ != text_.size()) wrong("something follows the document");
    return found;
  }

 private:
  [[noreturn]] void wrong(const std::string& what) const { throw Refused("json: " + what + ", at byte " + std::to_string(at_)); }

  void space() {
    while (at_ < text_.size() && std::string(" \t\n\r").find(text_[at_]) != std::string::npos) ++at_;
  }

  char peek() {
    if (at_ >= text_.size()) wrong("the document ends");
    return text_[at_];
  }

  Json value(int depth) {
    space();
    switch (peek()) {
      case '{': return object(depth);
      case '[': return list(depth);
      case '"': return string();
      case 'n': return word("null", nullptr);
      case 't': return word("true", true);
      case 'f': return word("false", false);
      default: return number();
    }
  }

  Json word(const std::string& name, Json found) {
    if (text_.compare(at_, name.size(), name) != 0) wrong("no JSON");
    at_ += name.size();
    return found;
  }

  Json number() {
    const size_t from = at_;
    if (peek() == '-') ++at_;
    const size_t digits = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    if (at_ == digits || (at_ - digits > 1 && text_[digits] == '0') || at_ - from > 20) wrong("no number");
    if (at_ < text_.size() && std::string(".eE").find(text_[at_]) != std::string::npos) wrong("no integer");
    try {
      return static_cast<int64_t>(std::stoll(text_.substr(from, at_ - from)));
    } catch (const std::out_of_range&) {
      wrong("more than 64 bits");
    }
  }

  Json list(int depth) {
    List found;
    items(depth, ']', [&] { found.push_back(value(depth + 1)); });
    return found;
  }

  Json object(int depth) {
    Object found;
    items(depth, '}', [&] {
      if (peek() != '"') wrong("a key has to be a text");
      std::string key = string();
      space();
      if (peek() != ':') wrong("no colon");
      ++at_;
      if (!found.emplace(key, value(depth + 1)).second) wrong("a key stands there twice");
    });
    return found;
  }

  template <typename Item>
  void items(int depth, char last, Item item) {
    if (depth > kDeepest) wrong("too deep");
    ++at_;
    space();
    if (peek() == last) {
      ++at_;
      return;
    }
    while (true) {
      space();
      item();
      space();
      const char next = peek();
      ++at_;
      if (next == last) return;
      if (next != ',') wrong("neither a comma nor the end");
    }
  }

  // What plans hold is printable ASCII, so escapes beyond the short ones are refused rather than read.
  std::string string() {
    ++at_;
    std::string found;
    while (true) {
      const char character = peek();
      ++at_;
      if (character == '"') return found;
      if (static_cast<unsigned char>(character) < 0x20) wrong("a control in a text");
      if (character != '\\') {
        found += character;
        continue;
      }
      const char escaped = peek();
      ++at_;
      if (escaped != '"' && escaped != '\\' && escaped != '/') wrong("no such escape in a plan");
      found += escaped;
    }
  }

  const std::string& text_;
  size_t at_ = 0;
};

void quote(const std::string& text, std::string& out) {
  static const char* digits = "0123456789abcdef";
  out += '"';
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\') {
      out += '\\';
      out += character;
    } else if (byte >= 0x20 && byte < 0x7f) {
      out += character;
    } else {  // a control; or a byte of UTF-8, which only error messages could hold: told as Latin-1
      out += "\\u00";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  out += '"';
}

void write(const Json& json, std::string& out) {
  if (json.is_null()) {
    out += "null";
  } else if (const auto* flag = std::get_if<bool>(&json.value)) {
    out += *flag ? "true" : "false";
  } else if (const auto* number = std::get_if<int64_t>(&json.value)) {
    out += std::to_string(*number);
  } else if (const auto* text = std::get_if<std::string>(&json.value)) {
    quote(*text, out);
  } else if (const auto* list = std::get_if<List>(&json.value)) {
    out += '[';
    for (size_t number = 0; number < list->size(); ++number) {
      if (number > 0) out += ',';
      write((*list)[number], out);
    }
    out += ']';
  } else {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : std::get<Object>(json.value)) {
      if (!first) out += ',';
      first = false;
      quote(key, out);
      out += ':';
      write(member, out);
    }
    out += '}';
  }
}

}  // namespace

Json parse(const std::string& text) { return Reader(text).document(); }

const Json& Json::at(const std::string& key) const {
  const auto* object = std::get_if<Object>(&value);
  if (object == nullptr || object->count(key) == 0) throw Refused("shape: no " + key);
  return object->at(key);
}

const std::string& Json::text() const {
  if (const auto* found = std::get_if<std::string>(&value)) return *found;
  throw Refused("shape: no text");
}

int64_t Json::integer() const {
  if (const auto* found = std::get_if<int64_t>(&value)) return *found;
  throw Refused("shape: no integer");
}

const List& Json::list() const {
  if (const auto* found = std::get_if<List>(&value)) return *found;
  throw Refused("shape: no list");
}

std::string Json::canonical() const {
  std::string out;
  write(*this, out);
  return out;
}

}  // namespace edgekit
