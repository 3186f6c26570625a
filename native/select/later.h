// Which samples a later one of the same place replaces, found by comparing the codes of neighbouring windows.
#pragma once

#include "window.h"

namespace downup {
namespace DU_ISA {

// A window over the same place as window (0, 0), if its code is that of this one less `code`: `ahead` codes further on.
struct Later {
  int64_t rows, ahead;
  uint8_t code;
};
constexpr int64_t kMostLater = 512;

// The caller gives tap_columns so large that no two taps of neighbouring windows have one code by chance, and a gap that keeps
// rows apart.
DU_INLINE int64_t find_later(const SelectCall& call, Later* later) {
  const Axis &rows = call.rows, &columns = call.columns;
  const int64_t reach_y = (rows.size - 1) * rows.dilation, reach_x = (columns.size - 1) * columns.dilation;
  int64_t count = 0;
  for (int64_t down = 0; down * rows.stride <= reach_y; ++down) {
    if (!divides(rows.dilation, down * rows.stride)) continue;
    for (int64_t right = down ? -(reach_x / columns.stride) : 1; right * columns.stride <= reach_x; ++right) {
      if (!divides(columns.dilation, right * columns.stride)) continue;
      const int64_t code = down * rows.stride / rows.dilation * call.tap_columns + right * columns.stride / columns.dilation;
      later[count++] = {down, down * call.code_strides[2] + right * call.code_strides[3], static_cast<uint8_t>(code)};
    }
  }
  return count;
}

inline void keep_last(const SelectCall& call, uint8_t* kept, int64_t threads) {
  using Bytes = Vector<uint8_t, kVectorBytes>;
  const bool by_channel = call.codes_by_channel;
  const int64_t planes = by_channel ? call.batch : call.batch * call.channels, rows = call.rows.out, pitch = call.code_strides[2];
  Later later[kMostLater];
  const int64_t count = find_later(call, later);
  parallel_for(planes * rows, larger(1, 32768 / (pitch + 8)), threads, [&](int64_t begin, int64_t end) {
    RowCursor at(begin, rows);
    for (int64_t i = begin; i < end; ++i, at.next()) {
      const int64_t n = by_channel ? at.plane : at.plane / call.channels, c = by_channel ? 0 : at.plane % call.channels;
      const int64_t place = n * call.code_strides[0] + c * call.code_strides[1] + at.row * pitch;
      const uint8_t* codes = call.codes + place;
      for (int64_t x = 0; x < pitch; x += kVectorBytes) {
        const Bytes code = load_as<Bytes>(codes + x);
        Bytes result = code;
        for (int64_t k = 0; k < count; ++k) {
          if (at.row + later[k].rows >= rows) break;
          const auto is_same = load_as<Bytes>(codes + x + later[k].ahead) == code - later[k].code;
          result = is_same ? Bytes{} + kNone : result;
        }
        const int64_t rest = pitch - x;
        __builtin_memcpy(kept + place + x, &result, static_cast<uint64_t>(rest < kVectorBytes ? rest : kVectorBytes));
      }
    }
  });
}

}  // namespace DU_ISA
}  // namespace downup
