// JSON without fractions, as plans and reports have it: see edgekit/device/integer_json.py.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace edgekit {

/// What cannot be accepted.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Json;
using List = std::vector<Json>;
using Object = std::map<std::string, Json>;

struct Json {
  std::variant<std::nullptr_t, bool, int64_t, std::string, List, Object> value = nullptr;

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool flag) : value(flag) {}
  Json(int64_t number) : value(number) {}
  Json(const char* text) : value(std::string(text)) {}
  Json(std::string text) : value(std::move(text)) {}
  Json(List list) : value(std::move(list)) {}
  Json(Object object) : value(std::move(object)) {}
  Json(const std::vector<int64_t>& numbers) : value(List(numbers.begin(), numbers.end())) {}

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value); }
  const Json& at(const std::string& key) const;
  const std::string& text() const;
  int64_t integer() const;
  const List& list() const;
  std::string canonical() const;
};

Json parse(const std::string& text);

}  // namespace edgekit
