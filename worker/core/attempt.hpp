// One attempt that this worker holds, from its assignment until main has acknowledged its result.
//
//            assign                    handed to a host                 result, or the host's death
//   (main) ─────────▶ Queued ──────────────────────────▶ Handed ─────────────────────────────▶ Finished ──ack──▶ gone
//                      │  ▲    taken back, never begun      │
//                      │  └─────────────────────────────────┘
//                      └── recalled: gone
#pragma once

#include <cstdint>

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/model/task.hpp"

namespace retire::worker {

// Numbers what is handed to hosts: it grows by one with each attempt handed over, and is never used twice by a process,
// also when an attempt is handed over again. 0: none.
using Sequence = std::uint64_t;

using SlotIndex = std::uint32_t;
using TypeIndex = std::uint32_t;
using AttemptIndex = std::uint32_t;  // into AttemptTable
using FrameIndex = std::uint32_t;    // into AttemptTable's frames

constexpr std::uint32_t kNone = UINT32_MAX;

enum class AttemptState : std::uint8_t { Free, Queued, Handed, Finished };

struct Attempt {
  TaskId task;
  AttemptId id;
  ByteView payload;         // into its frame; empty once finished
  ByteView checkpoint;      // and what it is handed of an earlier attempt
  Duration timeout{};       // from its start
  std::uint64_t order = 0;  // place in the order of assignment
  Sequence sequence = 0;    // while Handed
  FrameIndex frame = kNone;
  SlotIndex slot = kNone;  // while Handed
  TypeIndex type = 0;
  std::uint32_t number = 1;       // 1 for the first attempt of the task
  AttemptIndex previous = kNone;  // in the queue of its priority while Queued
  AttemptIndex next = kNone;      // there, or in its batch of the outbox while Finished
  AttemptState state = AttemptState::Free;
  Priority priority = Priority::Normal;
  bool at_most_once = false;
  bool stop_wanted = false;   // main has asked to end it
  bool abandoned = false;     // and does not want to hear of it either
  bool overdue = false;       // its timeout is over
  bool reported = false;      // `started` was sent
  std::uint8_t disowned = 0;  // how often a host that was seen at it said that it had not begun
};

}  // namespace retire::worker
