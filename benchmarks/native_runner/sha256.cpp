#include "sha256.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <vector>

#include "json.hpp"

namespace edgekit {
namespace {

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr uint32_t kConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

uint32_t rotated(uint32_t word, int count) { return word >> count | word << (32 - count); }

}  // namespace

void Sha256::update(const void* bytes, size_t count) {
  const auto* from = static_cast<const uint8_t*>(bytes);
  length_ += count;
  while (count > 0) {
    const size_t part = std::min(count, pending_.size() - kept_);
    std::memcpy(pending_.data() + kept_, from, part);
    kept_ += part;
    from += part;
    count -= part;
    if (kept_ == pending_.size()) {
      block(pending_.data());
      kept_ = 0;
    }
  }
}

std::string Sha256::hexadecimal() {
  const uint64_t bits = length_ * 8;
  const uint8_t one = 0x80, zero = 0;
  update(&one, 1);
  while (kept_ != 56) update(&zero, 1);
  uint8_t length[8];
  for (int number = 0; number < 8; ++number) length[number] = static_cast<uint8_t>(bits >> (56 - 8 * number));
  update(length, 8);
  std::string found;
  for (const uint32_t word : state_) {
    for (int shift = 28; shift >= 0; shift -= 4) found += "0123456789abcdef"[word >> shift & 15];
  }
  return found;
}

void Sha256::block(const uint8_t* bytes) {
  uint32_t words[64];
  for (int number = 0; number < 16; ++number) {
    const uint8_t* at = bytes + 4 * number;
    words[number] = uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
  }
  for (int number = 16; number < 64; ++number) {
    const uint32_t early = words[number - 15], late = words[number - 2];
    const uint32_t first = rotated(early, 7) ^ rotated(early, 18) ^ early >> 3;
    const uint32_t second = rotated(late, 17) ^ rotated(late, 19) ^ late >> 10;
    words[number] = words[number - 16] + first + words[number - 7] + second;
  }
  std::array<uint32_t, 8> s = state_;
  for (int number = 0; number < 64; ++number) {
    const uint32_t sum = rotated(s[4], 6) ^ rotated(s[4], 11) ^ rotated(s[4], 25);
    const uint32_t one = s[7] + sum + ((s[4] & s[5]) ^ (~s[4] & s[6])) + kConstants[number] + words[number];
    const uint32_t two = (rotated(s[0], 2) ^ rotated(s[0], 13) ^ rotated(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    s = {one + two, s[0], s[1], s[2], s[3] + one, s[4], s[5], s[6]};
  }
  for (size_t number = 0; number < s.size(); ++number) state_[number] += s[number];
}

std::string sha256_of_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw Refused("model: cannot read " + path);
  Sha256 digest;
  std::vector<char> part(1 << 16);
  while (stream.read(part.data(), static_cast<std::streamsize>(part.size())) || stream.gcount() > 0) {
    digest.update(part.data(), static_cast<size_t>(stream.gcount()));
  }
  return digest.hexadecimal();
}

}  // namespace edgekit
